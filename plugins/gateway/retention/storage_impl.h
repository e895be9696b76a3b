// The life of the store as the gateway drives it: retention by a timer, and what StorageService
// asks for.
#pragma once

#include "palyra/task.hpp"
#include "plugins/gateway/retention/plan.h"
#include "plugins/gateway/session/keeper.h"
#include "plugins/gateway/storage.h"

#include <functional>
#include <string>

namespace palyra::gateway::retention {

// A pass looks at sessions in the order of their last use, from where the one before ended: a
// session that is used again comes again. Everything is done in small commits. Without rules no
// timer runs. On the gateway's lane.
class StorageImpl : public Storage {
 public:
  // All outlive this.
  StorageImpl(World world, GatewayImpl& gateway, Upkeep& upkeep, Rules rules)
      : world_(world), upkeep_(upkeep), keeper_(gateway, upkeep), rules_(rules) {}

  Task<Result<api::EraseResponse>> erase_session(Caller caller,
                                                 api::EraseSessionRequest request) override;
  Task<Result<api::EraseResponse>> erase_run(Caller caller, api::EraseRunRequest request) override;
  Task<Result<api::StorageStatus>> status(Caller caller, api::GetStorageRequest request) override;
  Task<Result<api::ArchiveSessionsResponse>> archive(Caller caller,
                                                     api::ArchiveSessionsRequest request) override;
  Task<Result<api::VacuumResponse>> vacuum(Caller caller, api::VacuumRequest request) override;

  // One pass: archives what the rules say, then gives free pages back. The first failure ends it.
  Task<Status> pass();
  // Passes for ever, the first at once; `failed` is told of those that failed. Ends at once if
  // there are no rules. `pass_ns` apart.
  Task<void> run(int64_t pass_ns, std::function<void(const Status&)> failed);

 private:
  Task<Result<api::RetentionState>> state();
  Task<Status> put_state(api::RetentionState state);
  Task<Result<std::vector<api::Session>>> oldest(int64_t from_ms, std::string* cursor);
  Task<Result<uint64_t>> used_bytes();
  // Free pages of the file, in small steps, until none is left or the time is up.
  Task<Result<api::VacuumResponse>> give_back(bool sweep, int64_t until_ns);

  World world_;
  Upkeep& upkeep_;
  Keeper keeper_;
  const Rules rules_;
};

}  // namespace palyra::gateway::retention
