#include "tests/sim/outside.h"

#include "tests/sim/invariants.h"

#include <utility>

namespace palyra::sim {
namespace {

// Says that something is under way until the coroutine that holds it ends or is destroyed. A
// daemon's end counts what it leaves before it destroys it.
class InFlight {
 public:
  InFlight(Ledger& ledger, int daemon, const char* record) : ledger_(ledger) {
    at_ = ledger_.flights.insert(ledger_.flights.end(), {daemon, record, false});
  }
  ~InFlight() { ledger_.flights.erase(at_); }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;
  void happened() { at_->happened = true; }

 private:
  Ledger& ledger_;
  std::list<Ledger::Flight>::iterator at_;
};

std::shared_ptr<const gateway::Catalogue> all_tools() {
  auto catalogue = std::make_shared<gateway::Catalogue>();
  const auto add = [&](const char* name, common::EffectClass effect, bool read, bool parallel) {
    gateway::Tool tool;
    tool.instance = "sim";
    tool.info.set_name(name);
    tool.info.set_description(name);
    tool.info.set_input_schema_json(R"({"type":"object"})");
    tool.info.set_effect(effect);
    tool.info.set_access(read ? service::TOOL_ACCESS_READ : service::TOOL_ACCESS_WRITE);
    tool.info.set_parallel_safe(parallel);
    tool.info.set_timeout_ms(60'000);
    tool.info.set_provenance(common::PROVENANCE_WORKSPACE);
    catalogue->tools[name] = tool;
  };
  add("look", common::EFFECT_CLASS_NONE, true, true);
  add("set", common::EFFECT_CLASS_IDEMPOTENT, false, false);
  add("pay", common::EFFECT_CLASS_KEYED, false, true);
  add("file", common::EFFECT_CLASS_VERIFIABLE, false, true);
  add("launch", common::EFFECT_CLASS_OPAQUE, false, true);
  catalogue->digest = std::string(32, 'c');
  return catalogue;
}

bool asks_for_summary(const service::ChatRequest& request) {
  return request.messages(request.messages_size() - 1).text().find("Write the summary now.") !=
         std::string::npos;
}

// Waits until it is cancelled or the time is up; true if it was cancelled.
Task<bool> hang(Lane& lane, int64_t until_ns, CancelToken cancel) {
  Slot<bool> over;
  const TimerId timer = lane.post_at(until_ns, [over] { over.set(false); });
  const uint64_t waiting =
      cancel.on_cancel([&lane, over] { lane.post([over] { over.set(true); }); });
  const bool cancelled = co_await over;
  lane.cancel(timer);
  cancel.forget(waiting);
  co_return cancelled;
}

}  // namespace

Task<void> linger(Scene& scene, Lane& lane) {
  if (!scene.dice.chance(25)) {
    Slot<bool> slot;
    lane.post([slot] { slot.set(true); });
    co_await slot;
  } else {
    co_await sleep_until(lane, scene.clock.mono_now() + scene.dice.pick(1, 2'000) * kNanosPerMilli);
  }
}

Task<gateway::ChatOutcome> Model::chat(std::string, Serialised<service::ChatRequest> bytes,
                                       std::function<void(const service::ChatEvent&)> on_event,
                                       CancelToken cancel) {
  const service::ChatRequest request = bytes.parsed();
  Dice& dice = scene_.dice;
  const bool summary = asks_for_summary(request);
  const InFlight flight(ledger_, daemon_, summary ? "compaction_started" : "model_turn_started");
  if (!summary) observer_.model_saw(request, ledger_.replaced.count(daemon_) == 0);
  gateway::ChatOutcome outcome;
  if (ledger_.brisk) {
    co_await linger(scene_, lane_);
    answer(request, outcome, on_event);
    co_return outcome;
  }
  outcome.result.mutable_usage()->set_input_tokens(dice.pick(1, 20));
  outcome.result.mutable_usage()->set_output_tokens(dice.pick(1, 20));
  if (!summary && dice.chance(static_cast<int>(ledger_.overflow))) {
    co_await linger(scene_, lane_);
    outcome.status = Status(Code::kInvalidArgument, "the prompt is too long");
    outcome.failure.set_kind(service::FAILURE_KIND_CONTEXT_OVERFLOW);
    co_return outcome;
  }
  const int64_t parts = dice.pick(0, 2);
  const bool deaf = dice.chance(20);
  for (int64_t i = 0; i < parts; ++i) {
    co_await linger(scene_, lane_);
    if (summary) break;
    if (cancel.cancelled() && !deaf) {
      outcome.status = Status(Code::kCancelled, "cancelled");
      co_return outcome;
    }
    service::ChatEvent event;
    if (dice.chance(15)) {
      event.set_reasoning_delta("hm ");
    } else {
      event.set_text_delta("part " + std::to_string(dice.pick(0, 9)) + " ");
    }
    on_event(event);
  }
  if (dice.chance(3)) {
    // A provider that says nothing more.
    const CancelToken heard = deaf ? CancelToken() : cancel;
    const int64_t until = scene_.clock.mono_now() + 90 * kNanosPerSecond;
    const bool cancelled = co_await hang(lane_, until, heard);
    outcome.status = cancelled ? Status(Code::kCancelled, "cancelled")
                               : Status(Code::kDeadlineExceeded, "the model says nothing",
                                        uint32_t{PALYRA_ERROR_RETRYABLE});
    outcome.failure.set_kind(service::FAILURE_KIND_TIMEOUT);
    co_return outcome;
  }
  co_await linger(scene_, lane_);
  if (dice.chance(summary ? 30 : 10)) {
    const bool transient = dice.chance(85);
    outcome.status = Status(Code::kUnavailable, "the model is away",
                            transient ? uint32_t{PALYRA_ERROR_RETRYABLE} : 0U);
    outcome.failure.set_kind(transient ? service::FAILURE_KIND_UNAVAILABLE
                                       : service::FAILURE_KIND_BAD_REQUEST);
    co_return outcome;
  }
  answer(request, outcome, on_event);
  co_return outcome;
}

// The messages that it was shown, a call of some tools, an answer or nothing.
void Model::answer(const service::ChatRequest& request, gateway::ChatOutcome& outcome,
                   const std::function<void(const service::ChatEvent&)>& on_event) {
  Dice& dice = scene_.dice;
  outcome.result.set_finish_reason(service::FINISH_REASON_STOP);
  if (asks_for_summary(request)) {
    if (!ledger_.brisk && dice.chance(5)) return;
    service::ChatEvent event;
    std::string text = "It was about";
    for (const uint64_t number : numbers_after("message ", request.messages(1).text())) {
      text += " message " + std::to_string(number);
    }
    event.set_text_delta(text);
    return on_event(event);
  }
  if (ledger_.brisk) {
    service::ChatEvent event;
    event.set_text_delta("heard");
    return on_event(event);
  }
  const bool few = ledger_.proposed < ledger_.proposed_at_least;
  if (request.tools_size() > 0 && (few || dice.chance(35))) {
    outcome.result.set_finish_reason(service::FINISH_REASON_TOOL_CALLS);
    for (int64_t i = few ? dice.pick(2, 4) : dice.pick(1, 3); i > 0; --i) {
      service::ChatEvent event;
      auto& call = *event.mutable_tool_call();
      const std::string id = std::to_string(++ledger_.proposed);
      call.set_call_id("call-" + id);
      const auto index = static_cast<int>(
          (static_cast<int64_t>(ledger_.proposed) + dice.pick(0, request.tools_size() - 1)) %
          request.tools_size());
      call.set_name(request.tools(index).name());
      call.set_arguments_json("{\"id\":\"" + id + "\"}");
      on_event(event);
    }
  } else if (dice.chance(8)) {
    // No answer at all, which the final-answer contract refuses.
  } else {
    service::ChatEvent event;
    event.set_text_delta("the answer is " + std::to_string(dice.pick(0, 9)));
    on_event(event);
  }
}

Tools::Tools(Scene& scene, Lane& lane, Ledger& ledger, const Observer& observer, int daemon)
    : scene_(scene), lane_(lane), ledger_(ledger), observer_(observer), daemon_(daemon) {
  static const auto catalogue = all_tools();
  catalogue_ = catalogue;
}

// An attempt begins: the tape must say so, and the effect class must allow it.
void Tools::begun(const service::InvokeRequest& request, const std::string& id) {
  const std::string what =
      request.name() + " call " + id + ", attempt " + std::to_string(request.attempt());
  scene_.say("  daemon " + std::to_string(daemon_) + " calls " + what);
  const Observer::Call* call = observer_.call(id);
  const auto start =
      call == nullptr ? decltype(call->starts.begin()){} : call->starts.find(request.attempt());
  if (call == nullptr || start == call->starts.end() || start->second.daemon != daemon_ ||
      start->second.verify) {
    scene_.violate(kIntent, what + " was begun by daemon " + std::to_string(daemon_) +
                                " without a durable record of its own");
  }
  Ledger::Record& record = ledger_.calls[id];
  ++record.invoked;
  // What a daemon had begun before another took over may come late; it changes nothing of what the
  // tool has said since.
  if (ledger_.replaced.count(daemon_) != 0) return;
  if (record.invoked > 1) {
    if (request.name() == "launch") {
      scene_.violate(kPromiseOpaque, what + ": an opaque tool was called again");
    }
    if (request.name() == "file" && !record.not_happened) {
      scene_.violate(kPromiseVerifiable, what + ": called again without asking");
    }
  }
  record.not_happened = false;
}

void Tools::act(const service::InvokeRequest& request, const std::string& id) {
  if (request.name() == "look") return;
  const bool first = ledger_.keys.insert(request.idempotency_key()).second;
  // A keyed tool remembers its keys; a verifiable one changes only what is still as it was.
  if (!first && (request.name() == "pay" || request.name() == "file")) return;
  scene_.say("    " + request.name() + " call " + id + " has its effect");
  ++ledger_.effects;
  const int effects = ++ledger_.calls[id].effects;
  if (effects == 1 || request.name() == "set") return;
  const char* promise = request.name() == "pay"    ? kPromiseKeyed
                        : request.name() == "file" ? kPromiseVerifiable
                                                   : kPromiseOpaque;
  scene_.violate(promise, request.name() + " call " + id + " had its effect " +
                              std::to_string(effects) + " times");
}

Task<Result<service::InvokeResult>> Tools::invoke(
    std::string, service::InvokeRequest request, int64_t deadline_ns,
    std::function<void(const service::InvokeProgress&)> on_progress, CancelToken cancel) {
  Dice& dice = scene_.dice;
  const std::string id = id_of(request.arguments_json());
  begun(request, id);
  InFlight flight(ledger_, daemon_, "tool_call_started");
  const int64_t steps = dice.pick(1, 3);
  const int64_t effect_at = dice.pick(1, steps);
  const bool deaf = dice.chance(30);
  for (int64_t step = 1; step <= steps; ++step) {
    co_await linger(scene_, lane_);
    if (cancel.cancelled() && !deaf) co_return Status(Code::kCancelled, "cancelled");
    if (dice.chance(4)) {
      co_return Status(Code::kUnavailable, "the tool's process died", PALYRA_ERROR_RETRYABLE);
    }
    if (dice.chance(2)) {
      const CancelToken heard = deaf ? CancelToken() : cancel;
      const int64_t until = deaf ? deadline_ns + 60 * kNanosPerSecond : deadline_ns;
      const bool cancelled = co_await hang(lane_, until, heard);
      if (cancelled) co_return Status(Code::kCancelled, "cancelled");
      co_return Status(Code::kDeadlineExceeded, "the tool hangs");
    }
    if (step == effect_at) {
      if (dice.chance(5)) {
        service::InvokeResult refused;
        refused.set_is_error(true);
        refused.set_content("the tool says no to call " + id);
        co_return refused;
      }
      act(request, id);
      flight.happened();
    }
    service::InvokeProgress progress;
    progress.set_text("step");
    on_progress(progress);
  }
  service::InvokeResult result;
  result.set_content("done");
  co_return result;
}

Task<Result<service::VerifyCallResponse>> Tools::verify(std::string,
                                                        service::VerifyCallRequest request,
                                                        int64_t) {
  const std::string id = id_of(request.arguments_json());
  scene_.say("  daemon " + std::to_string(daemon_) + " asks about " + request.name() + " call " +
             id);
  const Observer::Call* call = observer_.call(id);
  bool recorded = false;
  if (call != nullptr) {
    for (const auto& [attempt, start] : call->starts) {
      recorded = recorded || (start.daemon == daemon_ && start.verify);
    }
  }
  if (!recorded) scene_.violate(kIntent, "call " + id + " was asked about without a record");
  co_await linger(scene_, lane_);
  service::VerifyCallResponse response;
  if (scene_.dice.chance(10)) {
    response.set_outcome(service::CALL_OUTCOME_UNKNOWN);
    co_return response;
  }
  if (scene_.dice.chance(5)) co_return Status(Code::kUnavailable, "the tool is away");
  const bool happened = ledger_.keys.count(request.idempotency_key()) != 0;
  response.set_outcome(happened ? service::CALL_OUTCOME_HAPPENED
                                : service::CALL_OUTCOME_NOT_HAPPENED);
  ledger_.calls[id].not_happened = !happened;
  if (happened) response.mutable_result()->set_content("done");
  co_return response;
}

}  // namespace palyra::sim
