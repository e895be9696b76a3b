// The gateway behind its face: admission of inputs, the live runs, and what clients may look at.
#pragma once

#include "plugins/gateway/agent/agents.h"
#include "plugins/gateway/delivery/cursor.h"
#include "plugins/gateway/gateway.h"
#include "plugins/gateway/replay/replays.h"
#include "plugins/gateway/run_loop/run_loop.h"
#include "plugins/gateway/session/documents.h"
#include "plugins/gateway/session/search_index.h"
#include "plugins/gateway/session/session.h"
#include "plugins/gateway/sessions.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace palyra::gateway {

// Always: a run that has not ended is in `runs_` with its hub; the first run of a session that is
// not ended is driven by its loop, those behind it wait in the session's queue. A principal sees
// its own sessions and runs, the scope admin all.
class GatewayImpl : public Gateway, public Sessions, public Repeats {
 public:
  GatewayImpl(World world, Options options, policy::PolicyRules rules);
  ~GatewayImpl() override;

  // From then on searches use an index of what was said, and keep it up. `heads` outlives this.
  void index_searches(JournalAudit& heads) {
    search_index_ = std::make_unique<SearchIndex>(environment_.world, heads);
  }

  // After a reload of the configuration.
  void set_policy(policy::PolicyRules rules) { environment_.set_rules(std::move(rules)); }

  Task<Result<AcceptedInput>> start_run(Caller caller, api::RunStart request) override;
  Task<Result<api::RouteMessageResponse>> route_message(Caller caller,
                                                        api::RouteMessageRequest request) override;
  Task<Result<AcceptedInput>> follow_up(Caller caller, std::string session_id,
                                        api::FollowUp request) override;
  Task<Result<std::unique_ptr<Subscription>>> attach(Caller caller,
                                                     api::RunAttach request) override;
  Task<Result<api::WaitRunResponse>> wait_run(Caller caller, api::WaitRunRequest request) override;
  Task<Result<api::CancelRunResponse>> cancel_run(Caller caller,
                                                  api::CancelRunRequest request) override;
  Task<Result<api::Run>> get_run(Caller caller, api::GetRunRequest request) override;
  Task<Result<api::ListRunsResponse>> list_runs(Caller caller,
                                                api::ListRunsRequest request) override;
  Task<Result<api::ReadTapeResponse>> read_tape(Caller caller,
                                                api::ReadTapeRequest request) override;
  Task<Result<api::VerifyTapeResponse>> verify_tape(Caller caller,
                                                    api::VerifyTapeRequest request) override;
  Task<Result<api::Session>> resolve_session(Caller caller,
                                             api::ResolveSessionRequest request) override;
  Task<Result<api::Session>> get_session(Caller caller, api::GetSessionRequest request) override;
  Task<Result<api::ListSessionsResponse>> list_sessions(Caller caller,
                                                        api::ListSessionsRequest request) override;
  Task<Result<api::Session>> rename_session(Caller caller,
                                            api::RenameSessionRequest request) override;
  Task<Result<api::Session>> archive_session(Caller caller,
                                             api::ArchiveSessionRequest request) override;
  Task<Result<api::Session>> reset_session(Caller caller,
                                           api::ResetSessionRequest request) override;
  Task<Result<api::ListAgentsResponse>> list_agents(Caller caller,
                                                    api::ListAgentsRequest request) override;
  Task<Result<api::Agent>> get_agent(Caller caller, api::GetAgentRequest request) override;
  Task<Result<api::ListApprovalsResponse>> list_approvals(
      Caller caller, api::ListApprovalsRequest request) override;
  Task<Result<api::Approval>> decide_approval(Caller caller,
                                              api::ApprovalDecision request) override;

  Task<Result<api::Session>> set_queue_mode(Caller caller,
                                            api::SetQueueModeRequest request) override;
  Task<Result<api::Session>> branch_session(Caller caller,
                                            api::BranchSessionRequest request) override;
  Task<Result<api::Session>> rewind_session(Caller caller,
                                            api::RewindSessionRequest request) override;
  Task<Result<api::ListTurnsResponse>> list_turns(Caller caller,
                                                  api::ListTurnsRequest request) override;
  Task<Result<api::CompareSessionsResponse>> compare_sessions(
      Caller caller, api::CompareSessionsRequest request) override;
  Task<Result<api::SearchSessionsResponse>> search_sessions(
      Caller caller, api::SearchSessionsRequest request) override;
  Task<Result<tape::FactPinned>> pin_fact(Caller caller, api::PinFactRequest request) override;
  Task<Result<api::Session>> unpin_fact(Caller caller, api::UnpinFactRequest request) override;
  Task<Result<api::ListPinsResponse>> list_pins(Caller caller,
                                                api::ListPinsRequest request) override;
  Task<Result<api::CompactSessionResponse>> compact_session(
      Caller caller, api::CompactSessionRequest request) override;
  Task<Result<api::Session>> expand_session(Caller caller,
                                            api::ExpandSessionRequest request) override;
  Task<Result<api::ExplainRunResponse>> explain_run(Caller caller,
                                                    api::ExplainRunRequest request) override;

  // repeat.cpp
  Task<Result<AcceptedInput>> repeat(Caller caller, Repetition repetition) override;

  Load load() const override;
  Task<Status> recover() override;
  void begin_drain() override { draining_ = true; }
  Task<void> shutdown() override;

  // Sessions in memory; O(active).
  size_t sessions_in_memory() const { return sessions_.size(); }
  size_t runs_in_memory() const { return environment_.loops; }

 private:
  friend class Keeper;

  // An input on its way in, checked.
  struct Input {
    Caller caller;
    std::string session_id;  // empty = by conversation if there is one, else a new one
    std::string channel;     // as the client named it; empty = the caller's
    std::string conversation;
    std::string agent_id;
    std::string text;
    std::string idempotency_key;
    tape::RunLimits limits;
    std::string response_schema_json;
    tape::AskMode ask_mode = tape::ASK_MODE_UNSPECIFIED;
    std::string model;
    std::string origin;
    tape::QueueMode queue_mode = tape::QUEUE_MODE_UNSPECIFIED;  // the session's
    int64_t coalesce_ms = 0;  // waits so long for more of its conversation; 0 = not
    tape::RunPurpose purpose = tape::RUN_PURPOSE_UNSPECIFIED;
    // Set if the run repeats another one.
    std::shared_ptr<const Repetition> repetition;
  };

  // gateway_impl.cpp: sessions and runs in memory
  Task<Result<std::shared_ptr<Session>>> open_session(Caller caller, std::string session_id);
  api::Session new_session(const Caller& caller, const std::string& conversation,
                           const std::string& agent_id, const std::string& title,
                           const Repetition* repetition = nullptr);
  Task<Result<std::shared_ptr<Session>>> find_session(Caller caller, std::string conversation);
  std::shared_ptr<RunLoop> add_run(std::shared_ptr<Session> session, run::State state,
                                   api::Run doc);
  void run_ended(const std::shared_ptr<RunLoop>& loop, const Status& status);
  Task<void> take_next(std::shared_ptr<Session> session);
  Task<void> take_next_at(std::shared_ptr<Session> session, int64_t mono_ns);
  void rest(const std::shared_ptr<Session>& session);
  // The next who wants this session reads it anew. Another object of it that came meanwhile stays,
  // and so does one with runs.
  void forget(const std::shared_ptr<Session>& session);
  bool owns(const Caller& caller, const std::string& principal) const {
    return caller.principal == principal || caller.may("admin");
  }
  int64_t now_ms() const { return environment_.world.clock.wall_now() / kNanosPerMilli; }
  Task<Result<api::Run>> visible_run(Caller caller, std::string run_id);

  // approvals.cpp
  Task<Result<std::vector<api::Approval>>> lasting_approvals(std::string session_id);
  Task<Status> load_approvals(std::string session_id);
  Task<Status> end_approvals(std::string session_id, service::CommitRequest& commit);

  // admit.cpp
  Status check(const Input& input) const;
  tape::RunLimits limits_for(const tape::RunLimits& asked) const;
  Task<Result<AcceptedInput>> accept(Input input);
  Task<Result<AcceptedInput>> first_answer(std::string key);
  Task<Result<AcceptedInput>> accept_into(Input input, std::shared_ptr<Session> session,
                                          std::string key);

  // queue.cpp: what happens to a message while a run is active or waits
  int64_t coalesce_window(const api::RouteMessageRequest& request, const Caller& caller) const;
  tape::QueueMode mode_of(const Input& input, const Session& session) const;
  bool fits(const Input& input, const run::State& state) const;
  std::shared_ptr<RunLoop> active_to_join(const Input& input, const Session& session) const;
  std::shared_ptr<RunLoop> waiting_to_join(const Input& input, const Session& session) const;
  tape::InputAdded added(const Input& input, tape::QueueMode mode) const;
  Task<Result<AcceptedInput>> join_active(Input input, std::shared_ptr<Session> session,
                                          std::shared_ptr<RunLoop> loop, std::string key);
  Task<Result<AcceptedInput>> join_waiting(Input input, std::shared_ptr<Session> session,
                                           std::shared_ptr<RunLoop> loop, std::string key);

  // repeat.cpp
  static void apply(const Repetition& repetition, tape::RunCreated& created);

  // runs.cpp
  Task<Result<std::string>> visible_stream(Caller caller, std::string run_id,
                                           std::string session_id);

  // sessions.cpp
  // Says in the event what it changed in the document; no event = nothing to do.
  using Change = std::function<Status(api::Session&, tape::SessionEvent&)>;
  Task<Result<api::Session>> change_session(Caller caller, std::string session_id, Change change);

  // tree.cpp, pins.cpp: changes of head and view, each one commit
  struct Edit {
    api::Session doc;
    tape::SessionEvent event;  // none = nothing to do
    std::optional<store::SessionView> view;
  };
  using Editor = std::function<Task<Result<Edit>>(std::shared_ptr<Session>)>;
  Task<Result<api::Session>> edit_session(Caller caller, std::string session_id, Editor editor);
  Task<Result<Edit>> rewound(std::shared_ptr<Session> session, api::RewindSessionRequest request,
                             std::string reason, std::string principal);
  // The fact as it is pinned: the one before if the text is.
  Task<Result<Edit>> pinned(std::shared_ptr<Session> session, tape::FactPinned* pin);
  Task<Result<Edit>> unpinned(std::shared_ptr<Session> session, std::string pin_id,
                              std::string principal);
  Task<Result<Edit>> expanded(std::shared_ptr<Session> session);
  Task<Result<tape::TurnRef>> turns_back(std::shared_ptr<Session> session, uint32_t back);
  Task<Result<tape::TurnRef>> before_rewind(std::shared_ptr<Session> session);
  Task<void> fill_previews(api::TurnInfo* info);

  // search.cpp
  struct Search;
  Task<bool> is_replay(std::string session_id);
  Task<Status> look_at(std::shared_ptr<Search> search, api::Run run);
  Task<Status> search_titles(std::shared_ptr<Search> search);
  // Runs that the index does not cover yet; false if they are too many, and it is of no use.
  Task<Result<bool>> search_uncovered(std::shared_ptr<Search> search);
  Task<Status> search_words(std::shared_ptr<Search> search);
  Task<Status> search_runs(std::shared_ptr<Search> search);

  // explain.cpp
  Task<Result<run::Piece>> compile_again(std::shared_ptr<const run::State> state,
                                         tape::Segment segment, size_t nth);
  Task<Status> explain_full(std::shared_ptr<const run::State> state, tape::ContextGathered gathered,
                            api::ExplainedContext* out);

  // recovery.cpp
  struct Recovery;
  struct Folded;
  Task<void> recover_sessions(std::shared_ptr<Recovery> recovery);
  Task<Status> recover_session(std::shared_ptr<Recovery> recovery, std::string session_id,
                               std::vector<api::Run> runs);
  Task<Status> fold_all(std::shared_ptr<Recovery> recovery, api::Session session,
                        std::vector<api::Run>* runs, std::vector<Folded>* folded);
  Task<Status> fold_runs(std::shared_ptr<Recovery> recovery, std::vector<api::Run>* runs,
                         std::vector<Folded>* folded);
  Task<Result<Folded>> fold_run(std::shared_ptr<Recovery> recovery, api::Run doc);
  Task<Status> recover_run(std::shared_ptr<Recovery> recovery, std::shared_ptr<Session> session,
                           Folded folded);
  void begin_recovered(const std::shared_ptr<Recovery>& recovery);
  Task<void> begin_runs(std::shared_ptr<Recovery> recovery);
  // Takes up what another daemon left unfinished in a session. ABORTED while that one drives it.
  // `reading`: how often it is read for that, if somebody else wrote to it meanwhile.
  Task<Status> adopt(std::string session_id, int reading = 1);
  bool drives(const std::string& run_id) const;

  Agents agents_;
  std::unordered_map<std::string, std::shared_ptr<Session>> sessions_;
  // Sessions without runs, oldest first; one that was used again meanwhile has a later entry too.
  std::deque<std::pair<std::string, uint64_t>> resting_;
  std::unordered_map<std::string, std::shared_ptr<RunLoop>> runs_;
  // When a run begins to be driven here, and when the gateway stops. Outlives it with who waits.
  std::shared_ptr<Signal> taken_up_;
  bool draining_ = false;
  bool declared_ = false;
  std::unique_ptr<SearchIndex> search_index_;  // null = searches look at runs, newest first
  Environment environment_;                    // last: its tasks end before what they use
};

}  // namespace palyra::gateway
