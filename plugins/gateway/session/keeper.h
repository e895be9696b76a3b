// What is done to sessions that are at rest: archived, erased.
#pragma once

#include "palyra/gateway/v1/storage.pb.h"
#include "plugins/gateway/ports/upkeep.h"
#include "plugins/gateway/session/gateway_impl.h"

#include <memory>
#include <string>
#include <vector>

namespace palyra::gateway {

// Beside GatewayImpl, whose sessions it locks while it writes to their streams. A session with a
// run that has not ended is never touched: FAILED_PRECONDITION. On the gateway's lane.
class Keeper {
 public:
  // Both outlive this.
  Keeper(GatewayImpl& gateway, Upkeep& upkeep) : gateway_(gateway), upkeep_(upkeep) {}

  struct Archived {
    uint64_t records = 0;
    uint64_t payload_bytes = 0;
    uint64_t file_bytes = 0;
  };
  // The tapes of the session's runs, and its own but for the newest records. What is archived
  // already stays as it is. NOT_FOUND.
  Task<Result<Archived>> archive(std::string session_id);

  // Nothing that was said stays in the store: payloads of the tapes, the archive's too, titles,
  // answers, previews, arguments of approvals, pinned facts. With its first commit it is noted as
  // an Erasure; resume() finishes one that was cut off, whoever asks again does, too. Whoever calls
  // removes the note with done().
  Task<Result<api::EraseResponse>> erase_session(Caller caller, std::string session_id,
                                                 std::string reason);
  Task<Result<api::EraseResponse>> erase_run(Caller caller, std::string run_id, std::string reason);
  Task<Result<api::EraseResponse>> resume(api::Erasure erasure);
  Task<Result<std::vector<api::Erasure>>> unfinished();
  Task<Status> done(std::string key);
  // The note's key.
  static std::string key_of(const api::Erasure& erasure);

 private:
  Task<Result<api::EraseResponse>> erase_session_as(Caller caller, api::Erasure erasure);
  Task<Result<api::EraseResponse>> erase_run_as(Caller caller, api::Erasure erasure, bool begun);
  Task<Status> archive_stream(std::string stream, uint64_t up_to, Archived* done,
                              service::CommitResponse* last);
  // The documents of a run without what was said, in one commit.
  Task<Status> empty_run(std::shared_ptr<Session> session, api::Run run);
  Task<Result<service::CommitResponse>> erase_stream(std::string stream, uint64_t first,
                                                     uint64_t last, std::string principal,
                                                     std::string reason);
  // Records of the session's stream with messages for this run.
  Task<Result<std::vector<uint64_t>>> messages_for(std::string session_id, std::string run_id);
  void forget_contexts();
  Status busy(const Session& session) const;

  GatewayImpl& gateway_;
  Upkeep& upkeep_;
};

}  // namespace palyra::gateway
