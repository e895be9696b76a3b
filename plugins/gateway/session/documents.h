// The documents behind sessions, runs, approvals and idempotency keys: their collections, keys and
// indexes in one place. Functions that add to a commit only build; they neither read nor wait.
#pragma once

#include "palyra/gateway/v1/approvals.pb.h"
#include "palyra/gateway/v1/gateway.pb.h"
#include "palyra/service/v1/journal.pb.h"
#include "palyra/status.hpp"
#include "palyra/tape/v1/run.pb.h"
#include "palyra/tape/v1/session.pb.h"
#include "palyra/task.hpp"
#include "plugins/gateway/ports/ports.h"
#include "plugins/gateway/run/state.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::gateway {

namespace api = palyra::gateway::v1;
namespace tape = palyra::tape::v1;
namespace service = palyra::service::v1;

inline constexpr char kSessions[] = "sessions";    // api::Session by session id
inline constexpr char kRuns[] = "runs";            // api::Run by run id
inline constexpr char kApprovals[] = "approvals";  // api::Approval by approval id; audited
inline constexpr char kInputs[] = "inputs";        // api::RouteMessageResponse by hashed key
inline constexpr char kPartials[] = "partials";    // tape::ModelTurnInterrupted by run id
inline constexpr char kViews[] = "views";          // store::SessionView by session id
inline constexpr char kSaid[] = "said";            // words of runs by run id; see search_index.h
inline constexpr char kAuditStream[] = "audit";

// The channel of sessions in which runs are repeated; no credential speaks on it.
inline constexpr char kReplayChannel[] = "replay";

// Of the coalescer, for one message.
inline constexpr int64_t kLongestWindowMs = 60'000;

std::string run_stream(std::string_view run_id);
std::string session_stream(std::string_view session_id);

// Declares all collections; repeating it changes nothing.
Task<Status> declare_documents(Journal& journal);

// A principal as it stands in front of other words of an index: fixed size, no wildcard.
std::string owner_key(std::string_view principal);
// Of the unique index that sessions are resolved by.
std::string session_key(std::string_view principal, std::string_view device_id,
                        std::string_view channel, std::string_view conversation);
// Of an idempotency key, which only means something together with its principal.
std::string input_key(std::string_view principal, std::string_view idempotency_key);
// Big-endian: bytewise order is the order of numbers.
std::string ordered(int64_t number);

bool ended(api::RunState state);
// The decision holds for other actions of its rule too, until its time if it has one. A decision
// for the session that has a time was ended then.
bool lasts(const tape::ApprovalDecided& decision);
// Of all messages of a run, in the order in which they were accepted.
std::vector<std::string> input_ids(const run::State& state);

// Of a session, from its first message or the preview of that: the beginning of the first line that
// has text, if it is in the preview; 80 bytes at most.
std::string title_of(std::string_view text);

void put_session(service::CommitRequest& commit, const api::Session& session);
void put_run(service::CommitRequest& commit, const api::Run& run);
// With the record on the audit stream that says so.
void put_approval(service::CommitRequest& commit, const api::Approval& approval, int64_t now_ns);
// Fails the commit if the key was used.
void put_input(service::CommitRequest& commit, std::string_view key,
               const api::RouteMessageResponse& answer);

// Appends to the commit's batch for that stream, begun with `expected_seq` if it is the first.
void append(service::CommitRequest& commit, const std::string& stream, uint64_t expected_seq,
            std::string_view type, std::string payload, int64_t wall_time_ns);
void append(service::CommitRequest& commit, const std::string& stream, uint64_t expected_seq,
            const tape::SessionEvent& event, int64_t wall_time_ns);
void append(service::CommitRequest& commit, const std::string& stream, uint64_t expected_seq,
            const tape::RunEvent& event, int64_t wall_time_ns);
// The commit fails if the stream is not at this sequence number; an append to it says so already.
void expect(service::CommitRequest& commit, const std::string& stream, uint64_t seq);
// The sequence number that the last record appended there will have.
uint64_t last_seq(const service::CommitRequest& commit, const std::string& stream,
                  uint64_t expected_seq);
// What the journal says of that stream's append; null if there was none.
const service::Appended* appended(const service::CommitResponse& response,
                                  const std::string& stream);

// The runs of a session by their making; `unended`: only those that have not ended.
Task<Result<std::vector<api::Run>>> runs_of(Journal& journal, std::string session_id,
                                            bool unended = false);

// NOT_FOUND if there is none; `what` names it for people.
Task<Result<std::string>> load_document(Journal& journal, const char* collection, std::string key,
                                        std::string what);
template <typename Message>
Task<Result<Message>> load(Journal& journal, const char* collection, std::string key,
                           std::string what) {
  auto value = co_await load_document(journal, collection, key, what);
  if (!value.ok()) co_return value.status();
  Message message;
  if (!message.ParseFromString(*value)) {
    co_return Status(Code::kDataLoss, "the stored document of " + what + " cannot be read");
  }
  co_return message;
}

}  // namespace palyra::gateway
