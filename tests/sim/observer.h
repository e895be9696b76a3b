// Observer: reads the log as the database writes it, and checks every record at once.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "palyra/service/v1/provider.pb.h"
#include "palyra/status.hpp"
#include "palyra/tape/v1/run.pb.h"
#include "palyra/tape/v1/session.pb.h"
#include "plugins/gateway/replay/check.h"
#include "plugins/gateway/run/state.h"
#include "tests/sim/scene.h"
#include "tests/sim/tree.h"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace palyra::sim {

namespace common = palyra::common::v1;

// The id that the simulated model gives every call, out of {"id":"17"}.
std::string id_of(const std::string& arguments_json);

// What is durable, in its own words. It sees each commit once, in the order of the log, when
// nobody has been told of it: what it knows is exactly what may be acknowledged, shown or acted on.
class Observer {
 public:
  explicit Observer(Scene& scene) : tree(scene), scene_(scene) {}

  // A commit that `daemon` asked for has been carried out, or refused.
  void saw(int daemon, const service::CommitRequest& request,
           const Result<service::CommitResponse>& result);
  // `daemon` has read a stream that is at `head`.
  void read(int daemon, const std::string& stream, uint64_t head) { known_[daemon][stream] = head; }

  struct Run {
    run::State state;
    std::unique_ptr<gateway::replay::Checker> replay;
    uint64_t token = 0;  // under which its newest record was written
    std::vector<std::string> inputs;
    bool active = false;
    tape::CompactionTrigger compacting = tape::COMPACTION_TRIGGER_UNSPECIFIED;  // the newest
    std::set<tape::CompactionTrigger> compacted;  // for which reasons it was
    bool more = false;                            // the newest was one step of some
    uint32_t overflowed =
        0;  // the turn whose prompt the model refused, and nothing was compacted since
  };
  // Null if it has no record.
  const Run* run(const std::string& run_id) const;
  const std::map<std::string, Run>& runs() const { return runs_; }

  struct Start {
    int daemon = 0;
    bool verify = false;
  };
  struct Call {
    std::string run_id;
    std::string name;
    std::map<uint32_t, Start> starts;  // by attempt
  };
  // The model was asked for an answer. `current`: by a daemon that nobody took over from.
  void model_saw(const service::ChatRequest& request, bool current);

  // By the model's id; null if it was never started.
  const Call* call(const std::string& id) const;
  // How many were started.
  size_t calls() const { return calls_.size(); }

  // The run that the input with this key belongs to; empty if it was not accepted.
  std::string accepted(const std::string& key) const;
  const std::set<std::string>& sessions() const { return session_ids_; }
  // A run of the session has not ended.
  bool busy(const std::string& session_id) const;

  Tree tree;

 private:
  struct Lease {
    uint64_t token = 0;
    std::string owner;
    int64_t expires_ns = 0;
  };
  struct Session {
    std::string active_run;
    uint64_t resets = 0;
    std::set<std::string> unfinished;  // runs
  };
  struct Approval {
    std::string run_id;
    std::string session_id;
    uint32_t turn = 0;
    uint32_t call_index = 0;
    std::string rule_digest;
    tape::ApprovalVerdict verdict = tape::APPROVAL_VERDICT_UNSPECIFIED;
    tape::ApprovalScope scope = tape::APPROVAL_SCOPE_UNSPECIFIED;
    int64_t until_ms = 0;
    uint64_t resets = 0;  // of the session when it was decided
    bool used = false;
  };

  void leases(const service::CommitRequest& request, const service::CommitResponse& response);
  void takeovers(int daemon, const service::CommitRequest& request);
  uint64_t token_for(const std::string& session_id, const service::CommitRequest& request);
  void run_record(int daemon, uint64_t token, const std::string& run_id, uint64_t seq,
                  const service::NewRecord& record);
  void session_record(const std::string& session_id, uint64_t seq,
                      const service::NewRecord& record);
  void before(const Run& run, uint64_t token, const tape::RunEvent& event);
  void after(int daemon, const std::string& run_id, Run& run, const tape::RunEvent& event,
             int64_t wall_ns);
  void compacting(Run& run, const tape::RunEvent& event);
  void call_started(int daemon, const std::string& run_id, const Run& run,
                    const tape::ToolCallStarted& started);
  void judged(const Run& run, const tape::PolicyEvaluated& judged, int64_t wall_ns);

  Scene& scene_;
  std::map<std::string, uint64_t> heads_;
  std::map<int, std::map<std::string, uint64_t>> known_;  // heads, by daemon
  std::map<std::string, Run> runs_;
  std::map<std::string, Session> sessions_;
  std::set<std::string> session_ids_;
  std::map<std::string, Lease> leases_;
  std::map<std::string, Call> calls_;
  std::map<std::string, Approval> approvals_;
  std::map<std::string, std::string> inputs_;  // key -> run
  std::set<uint64_t> seen_;                    // messages, by the model
};

}  // namespace palyra::sim
