// The life of the store as the gateway drives it: retention by a timer, erasures that are finished
// whatever happens, and what StorageService asks for.
#pragma once

#include "palyra/task.hpp"
#include "plugins/gateway/retention/plan.h"
#include "plugins/gateway/session/keeper.h"
#include "plugins/gateway/storage.h"

#include <functional>
#include <set>
#include <string>

namespace palyra::gateway::retention {

// A pass looks at sessions in the order of their last use, from where the one before ended: a
// session that is used again comes again. Everything is done in small commits. Without rules, and
// with no erasure to finish, no timer runs. On the gateway's lane.
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

  // One pass: archives what the rules say, then gives free pages back. A session that is damaged or
  // lacks a file is left to the next pass and the others are archived; its failure is returned at
  // the end, any other ends the pass.
  Task<Status> pass();
  // Why the last pass, or the erasures that have begun, did not come to an end; empty = they did.
  std::string problem() const { return problem_.empty() ? pass_problem_ : problem_; }
  // Finishes the erasures that have begun; the first failure is returned after all were tried. At
  // the start, before anybody is served, and by run().
  Task<Status> finish_erasures();
  // Passes for ever, the first at once, `pass_ns` apart; `failed` is told of those that failed.
  // While an erasure is not finished it is tried again every minute. Ends when there is nothing to
  // wait for; `begin` is called when it should run again.
  Task<void> run(int64_t pass_ns, std::function<void(const Status&)> failed);
  void on_work(std::function<void()> begin) { begin_ = std::move(begin); }

 private:
  Task<Result<api::RetentionState>> state();
  Task<Status> put_state(api::RetentionState state);
  Task<Result<std::vector<api::Session>>> oldest(int64_t from_ms, std::string* cursor);
  Task<Result<uint64_t>> used_bytes();
  // The end of an erasure: what was freed is overwritten, and the note removed.
  Task<Status> finish(std::string key);
  Task<Result<api::EraseResponse>> finish_first(std::string key, Result<api::EraseResponse> erased);
  // Free pages of the file, in small steps, until none is left or the time is up.
  Task<Result<api::VacuumResponse>> give_back(bool sweep, int64_t until_ns);

  World world_;
  Upkeep& upkeep_;
  Keeper keeper_;
  const Rules rules_;
  std::function<void()> begin_;
  bool running_ = false;
  // Notes of erasures that somebody waits for.
  std::multiset<std::string> in_hand_;
  std::string problem_;
  std::string pass_problem_;
};

}  // namespace palyra::gateway::retention
