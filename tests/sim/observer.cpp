#include "tests/sim/observer.h"

#include "plugins/gateway/run/compaction.h"
#include "plugins/gateway/run/evolve.h"
#include "tests/sim/invariants.h"

#include <algorithm>
#include <utility>

namespace palyra::sim {
namespace {

constexpr std::string_view kRunPrefix = "run/";
constexpr std::string_view kSessionPrefix = "session/";

bool is(const std::string& stream, std::string_view prefix) {
  return stream.compare(0, prefix.size(), prefix) == 0;
}

// What begins something; 0 if it does not.
const tape::EffectStart* start_of(const tape::RunEvent& event) {
  switch (event.event_case()) {
    case tape::RunEvent::kContextStarted:
      return &event.context_started().start();
    case tape::RunEvent::kModelTurnStarted:
      return &event.model_turn_started().start();
    case tape::RunEvent::kPolicyStarted:
      return &event.policy_started().start();
    case tape::RunEvent::kApprovalRequested:
      return &event.approval_requested().start();
    case tape::RunEvent::kToolCallStarted:
      return &event.tool_call_started().start();
    case tape::RunEvent::kTimerStarted:
      return &event.timer_started().start();
    case tape::RunEvent::kCompactionStarted:
      return &event.compaction_started().start();
    default:
      return nullptr;
  }
}

}  // namespace

std::string id_of(const std::string& arguments_json) {
  const size_t begin = arguments_json.find(":\"");
  const size_t end = arguments_json.rfind('"');
  if (begin == std::string::npos || end <= begin + 2) return "";
  return arguments_json.substr(begin + 2, end - begin - 2);
}

const Observer::Run* Observer::run(const std::string& run_id) const {
  const auto found = runs_.find(run_id);
  return found == runs_.end() ? nullptr : &found->second;
}

const Observer::Call* Observer::call(const std::string& id) const {
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : &found->second;
}

std::string Observer::accepted(const std::string& key) const {
  const auto found = inputs_.find(key);
  return found == inputs_.end() ? "" : found->second;
}

bool Observer::busy(const std::string& session_id) const {
  const auto found = sessions_.find(session_id);
  return found != sessions_.end() && !found->second.unfinished.empty();
}

void Observer::model_saw(const service::ChatRequest& request, bool current) {
  uint64_t last = 0;
  for (const auto& message : request.messages()) {
    for (const uint64_t number : numbers_after("message ", message.text())) {
      seen_.insert(number);
      last = number;
    }
  }
  const Run* run = this->run(tree.run_of(last));
  if (current && run != nullptr) tree.shown(run->state, request);
}

void Observer::leases(const service::CommitRequest& request,
                      const service::CommitResponse& response) {
  const int64_t now = scene_.clock.wall_now();
  for (int i = 0; i < request.takes_size(); ++i) {
    const auto& take = request.takes(i);
    Lease& lease = leases_[take.name()];
    if (take.token() == 0 && !lease.owner.empty() && lease.owner != take.owner() &&
        lease.expires_ns > now) {
      scene_.violate(kLease, take.name() + " was taken from " + lease.owner + " by " +
                                 take.owner() + " while its lease was live");
    }
    if (take.token() != 0 && take.token() != lease.token) {
      scene_.violate(kFence, take.name() + " was renewed under a token that is not its own");
    }
    lease.token = i < response.lease_tokens_size() ? response.lease_tokens(i) : 0;
    lease.owner = take.owner();
    lease.expires_ns = now + take.ttl_ms() * kNanosPerMilli;
  }
}

// A commit that only takes the lease is followed by a look at what there is.
void Observer::takeovers(int daemon, const service::CommitRequest& request) {
  const auto says = [](const auto& append) { return !append.records().empty(); };
  if (std::none_of(request.appends().begin(), request.appends().end(), says)) return;
  for (const auto& take : request.takes()) {
    if (take.token() != 0 || !is(take.name(), kSessionPrefix)) continue;
    const uint64_t known = known_[daemon][take.name()];
    if (known != heads_[take.name()]) {
      scene_.violate(kTakeover, take.name() + " is at " + std::to_string(heads_[take.name()]) +
                                    " and was taken by one who has read " + std::to_string(known));
    }
  }
}

uint64_t Observer::token_for(const std::string& session_id, const service::CommitRequest& request) {
  const std::string name = std::string(kSessionPrefix) + session_id;
  const uint64_t current = leases_[name].token;
  for (const auto& take : request.takes()) {
    if (take.name() == name) return current;
  }
  for (const auto& fence : request.fences()) {
    if (fence.name() != name) continue;
    if (fence.token() != current) {
      scene_.violate(kFence, "records of session " + session_id + " were written under token " +
                                 std::to_string(fence.token()) + " when it was " +
                                 std::to_string(current));
    }
    return current;
  }
  scene_.violate(kFence, "records of session " + session_id + " were written without its fence");
  return current;
}

void Observer::saw(int daemon, const service::CommitRequest& request,
                   const Result<service::CommitResponse>& result) {
  if (!result.ok()) return;
  leases(request, *result);
  takeovers(daemon, request);
  for (int i = 0; i < request.appends_size(); ++i) {
    const auto& append = request.appends(i);
    const std::string& stream = append.stream();
    uint64_t& head = heads_[stream];
    const auto& landed = result->appended(i);
    if (append.records().empty()) {
      if (landed.last_seq() != head) {
        scene_.violate(kGapless, stream + " was taken to be at " +
                                     std::to_string(landed.last_seq()) + " when it was at " +
                                     std::to_string(head));
      }
      continue;
    }
    if (landed.first_seq() != head + 1 ||
        landed.last_seq() != head + static_cast<uint64_t>(append.records_size())) {
      scene_.violate(kGapless, stream + " went from " + std::to_string(head) + " to " +
                                   std::to_string(landed.first_seq()));
    }
    if (is(stream, kSessionPrefix)) {
      const std::string session_id = stream.substr(kSessionPrefix.size());
      session_ids_.insert(session_id);
      token_for(session_id, request);
      uint64_t seq = landed.first_seq();
      for (const auto& record : append.records()) {
        if (scene_.trace) {
          scene_.say("  durable by daemon " + std::to_string(daemon) + ": session " +
                     session_id.substr(16) + " " + record.type());
        }
        session_record(session_id, seq++, record);
      }
    } else if (is(stream, kRunPrefix)) {
      const std::string run_id = stream.substr(kRunPrefix.size());
      std::string session_id;
      const auto known = runs_.find(run_id);
      if (known != runs_.end()) {
        session_id = known->second.state.created.session_id();
      } else {
        tape::RunEvent first;
        if (first.ParseFromString(append.records(0).payload())) {
          session_id = first.run_created().session_id();
        }
      }
      const uint64_t token = token_for(session_id, request);
      uint64_t seq = landed.first_seq();
      for (const auto& record : append.records()) {
        run_record(daemon, token, run_id, seq++, record);
      }
      tree.wrote(run_id);
    }
    head = landed.last_seq();
  }
  tree.committed(request);
}

void Observer::session_record(const std::string& session_id, uint64_t seq,
                              const service::NewRecord& record) {
  tape::SessionEvent event;
  if (!event.ParseFromString(record.payload())) {
    return scene_.violate(kGapless, "a record of session " + session_id + " cannot be read");
  }
  tree.record(session_id, seq, event, busy(session_id));
  if (event.has_input_accepted()) {
    const auto& input = event.input_accepted();
    if (!input.idempotency_key().empty() &&
        !inputs_.emplace(input.idempotency_key(), input.run_id()).second) {
      scene_.violate(kAcceptedOnce, input.idempotency_key() + " was accepted twice");
    }
  } else if (event.has_session_reset()) {
    ++sessions_[session_id].resets;
  }
}

void Observer::run_record(int daemon, uint64_t token, const std::string& run_id, uint64_t seq,
                          const service::NewRecord& record) {
  tape::RunEvent event;
  if (!event.ParseFromString(record.payload())) {
    return scene_.violate(
        kGapless, "record " + std::to_string(seq) + " of run " + run_id + " cannot be read");
  }
  if (scene_.trace) {
    scene_.say("  durable by daemon " + std::to_string(daemon) + ": run " + run_id.substr(16) +
               " " + std::to_string(seq) + " " + record.type());
  }
  Run& run = runs_[run_id];
  before(run, token, event);
  run::evolve(run.state, event, record.wall_time_ns(), seq);
  if (!run.replay) {
    run.replay = std::make_unique<gateway::replay::Checker>(
        [](std::string_view, std::string_view) { return std::string(); });
  }
  run.replay->add(seq, record.wall_time_ns(), event);
  after(daemon, run_id, run, event, record.wall_time_ns());
  run.token = token;
}

void Observer::before(const Run& run, uint64_t token, const tape::RunEvent& event) {
  const run::State& state = run.state;
  const std::string of = " of run " + state.run_id();
  if (state.terminal()) scene_.violate(kGapless, "a record after the last" + of);
  if (start_of(event) != nullptr && state.cancel) {
    scene_.violate(kCancelHolds, "something was begun after the cancel" + of);
  }
  if ((event.has_run_completed() || event.has_run_failed()) && state.cancel) {
    scene_.violate(kCancelHolds, "another end than cancelled after the cancel" + of);
  }
  if (event.has_run_cancelled() && !state.cancel) {
    scene_.violate(kCancelHolds, "cancelled by nobody: the end" + of);
  }
  if (event.has_run_resumed() && token == run.token) {
    scene_.violate(kResumeOnce, "taken up again by who drives it already: the tape" + of);
  }
}

void Observer::after(int daemon, const std::string& run_id, Run& run, const tape::RunEvent& event,
                     int64_t wall_ns) {
  const run::State& state = run.state;
  if (!state.corrupt.empty()) scene_.violate(kGapless, state.corrupt);
  Session& session = sessions_[state.created.session_id()];
  switch (event.event_case()) {
    case tape::RunEvent::kRunCreated:
      run.inputs.push_back(event.run_created().input_text());
      tree.said(run_id, run.inputs.back());
      session.unfinished.insert(run_id);
      break;
    case tape::RunEvent::kInputAdded:
      run.inputs.push_back(event.input_added().text());
      tree.said(run_id, run.inputs.back());
      if (state.compacts()) {
        scene_.violate(kSteerSeen, run.inputs.back() + " joined run " + run_id +
                                       ", which only compacts and asks no model for an answer");
      }
      break;
    case tape::RunEvent::kContextGathered:
      tree.gathered(run_id, state.created.session_id());
      break;
    case tape::RunEvent::kModelTurnStarted:
    case tape::RunEvent::kModelTurnFailed:
    case tape::RunEvent::kCompactionStarted:
    case tape::RunEvent::kCompactionFinished:
      compacting(run, event);
      break;
    case tape::RunEvent::kRunStarted:
      if (!session.active_run.empty()) {
        scene_.violate(kOneActiveRun, "session " + state.created.session_id() +
                                          " had two active runs: " + session.active_run + " and " +
                                          run_id);
      }
      session.active_run = run_id;
      run.active = true;
      break;
    case tape::RunEvent::kToolCallStarted:
      call_started(daemon, run_id, run, event.tool_call_started());
      break;
    case tape::RunEvent::kPolicyEvaluated:
      judged(run, event.policy_evaluated(), wall_ns);
      break;
    case tape::RunEvent::kApprovalRequested: {
      const auto& asked = event.approval_requested();
      Approval& approval = approvals_[asked.approval_id()];
      approval.run_id = run_id;
      approval.session_id = state.created.session_id();
      approval.turn = asked.turn();
      approval.call_index = asked.call_index();
      approval.rule_digest = asked.rule_digest();
      break;
    }
    case tape::RunEvent::kApprovalDecided: {
      const auto& decided = event.approval_decided();
      Approval& approval = approvals_[decided.approval_id()];
      if (approval.verdict != tape::APPROVAL_VERDICT_UNSPECIFIED) {
        scene_.violate(kApprovalOnce, "approval " + decided.approval_id() + " was decided twice");
      }
      approval.verdict = decided.verdict();
      approval.scope = decided.scope();
      approval.until_ms = decided.until_ms();
      approval.resets = session.resets;
      break;
    }
    case tape::RunEvent::kRunCompleted:
      for (const auto& input : run.inputs) {
        for (const uint64_t message : numbers_after("message ", input)) {
          if (seen_.count(message) != 0) continue;
          scene_.violate(kSteerSeen,
                         "run " + run_id + " completed and the model never saw " + input);
        }
      }
      break;
    default:
      break;
  }
  if (state.terminal()) session.unfinished.erase(run_id);
  if (state.terminal() && session.active_run == run_id) session.active_run.clear();
  const int64_t limit = state.limits().max_tokens();
  if (limit > 0 && !state.overrun && state.settled_tokens + state.reserved_tokens > limit) {
    scene_.violate(kBudget, "run " + run_id + " exceeded its budget");
  }
}

// Once for each reason; and a prompt that the model refused as too long is sent again only behind
// it.
void Observer::compacting(Run& run, const tape::RunEvent& event) {
  const std::string of = " of run " + run.state.run_id();
  if (event.has_model_turn_started()) {
    if (run.overflowed == event.model_turn_started().turn())
      scene_.violate(kOverflowOnce, "a prompt was sent again as it was" + of);
  } else if (event.has_model_turn_failed()) {
    const auto& failed = event.model_turn_failed();
    if (failed.kind() == service::FAILURE_KIND_CONTEXT_OVERFLOW) run.overflowed = failed.turn();
  } else if (event.has_compaction_finished()) {
    run.overflowed = 0;
    run.more = event.compaction_finished().more();
    run.compacted.insert(run.compacting);
  } else {
    const auto& started = event.compaction_started();
    if (run.compacted.count(started.trigger()) != 0 && !run.more) {
      scene_.violate(kOverflowOnce, "two compactions for the same reason" + of);
    }
    run.compacting = started.trigger();
    if (const run::Turn* turn = run.state.turn()) {
      const size_t kept = run::kept_turns(turn->gathered, started.trigger());
      if (kept < 1 || kept > run::kKeptTurns) {
        scene_.violate(kView, "not one to six turns stay as they are" + of);
      }
      tree.sums_up(run.state.run_id(), run.state.created.session_id(), kept);
    }
  }
}

// A cached approval is used: it must be one for more than one action, of this session and rule.
void Observer::judged(const Run& run, const tape::PolicyEvaluated& judged, int64_t wall_ns) {
  if (judged.approval_id().empty()) return;
  const auto found = approvals_.find(judged.approval_id());
  const std::string& session_id = run.state.created.session_id();
  const bool fits =
      found != approvals_.end() && found->second.verdict == tape::APPROVAL_VERDICT_ALLOW &&
      found->second.session_id == session_id && found->second.rule_digest == judged.rule_digest() &&
      found->second.resets == sessions_[session_id].resets &&
      (found->second.scope == tape::APPROVAL_SCOPE_SESSION ||
       (found->second.scope == tape::APPROVAL_SCOPE_TIMEBOXED &&
        wall_ns / kNanosPerMilli <= found->second.until_ms));
  if (!fits) {
    scene_.violate(kApprovalOnce, "approval " + judged.approval_id() +
                                      " let a call through that it was not given for");
  }
}

void Observer::call_started(int daemon, const std::string& run_id, const Run& run,
                            const tape::ToolCallStarted& started) {
  Call& call = calls_[id_of(started.call().arguments_json())];
  call.run_id = run_id;
  call.name = started.call().name();
  const bool first = call.starts.empty();
  call.starts[started.start().attempt()] = {daemon, started.verify()};
  if (!first) return;
  const run::Turn* turn = run.state.turn();
  if (turn == nullptr || started.call_index() >= turn->calls.size()) return;
  if (turn->calls[started.call_index()].judgement.verdict() != tape::VERDICT_ASK) return;
  for (auto& [id, approval] : approvals_) {
    if (approval.run_id != run_id || approval.turn != started.turn() ||
        approval.call_index != started.call_index() || approval.used ||
        approval.verdict != tape::APPROVAL_VERDICT_ALLOW) {
      continue;
    }
    approval.used = true;
    return;
  }
  scene_.violate(kApprovalOnce,
                 call.name + " of run " + run_id + " was started without an approval of its own");
}

}  // namespace palyra::sim
