// What happens to a message while a run is active or waits: it joins that run, or gets its own.
#include "plugins/gateway/run/inputs.h"
#include "plugins/gateway/session/gateway_impl.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

// A window is extended by each message, but the first does not wait longer than this many.
constexpr int64_t kMostWindows = 10;

bool is_full(const run::State& state, size_t more) {
  size_t bytes = more;
  for (const auto& input : state.inputs) bytes += input.added.text().size();
  return state.inputs.size() >= run::kMostInputs || bytes > run::kMostInputBytes;
}

}  // namespace

int64_t GatewayImpl::coalesce_window(const api::RouteMessageRequest& request,
                                     const Caller& caller) const {
  // Nothing more can come for a session that nobody has the name of.
  if (request.session_id().empty() && request.conversation().empty()) return 0;
  if (request.has_coalesce_ms()) return request.coalesce_ms();
  return caller.channel.rfind("channel:", 0) == 0 ? environment_.options.coalesce_ms : 0;
}

// How the message is taken if it gets a run of its own or joins one that waits: UNSPECIFIED if
// there is no run before it.
tape::QueueMode GatewayImpl::mode_of(const Input& input, const Session& session) const {
  const tape::QueueMode wanted = input.queue_mode != tape::QUEUE_MODE_UNSPECIFIED
                                     ? input.queue_mode
                                     : session.doc().queue_mode();
  if (wanted == tape::QUEUE_MODE_COLLECT) return wanted;
  return session.idle() ? tape::QUEUE_MODE_UNSPECIFIED : tape::QUEUE_MODE_FOLLOW_UP;
}

// A message joins only a run that would be the same if the message had made it: the policy judges a
// run by its principal and channel, and what a message asks for is never applied by half.
bool GatewayImpl::fits(const Input& input, const run::State& state) const {
  const tape::RunCreated& created = state.created;
  const auto same = [](const std::string& asked, const std::string& there) {
    return asked.empty() || asked == there;
  };
  if (created.purpose() != tape::RUN_PURPOSE_UNSPECIFIED || created.has_replay_of()) return false;
  if (input.caller.principal != created.principal() || input.caller.channel != created.channel()) {
    return false;
  }
  if (!same(input.agent_id, created.agent().agent_id()) ||
      !same(input.model, created.agent().model()) ||
      !same(input.response_schema_json, created.response_schema_json())) {
    return false;
  }
  if (input.ask_mode != tape::ASK_MODE_UNSPECIFIED && input.ask_mode != created.ask_mode()) {
    return false;
  }
  return input.limits.ByteSizeLong() == 0 ||
         run::with_defaults(limits_for(input.limits)).SerializeAsString() ==
             state.limits().SerializeAsString();
}

// The active run, if the message steers or interrupts it.
std::shared_ptr<RunLoop> GatewayImpl::active_to_join(const Input& input,
                                                     const Session& session) const {
  const tape::QueueMode wanted = input.queue_mode != tape::QUEUE_MODE_UNSPECIFIED
                                     ? input.queue_mode
                                     : session.doc().queue_mode();
  if (wanted != tape::QUEUE_MODE_STEER && wanted != tape::QUEUE_MODE_INTERRUPT) return nullptr;
  const auto found = runs_.find(session.active_run);
  if (found == runs_.end() || !fits(input, found->second->state())) return nullptr;
  return found->second;
}

// The newest run that waits, if the message may still become part of it.
std::shared_ptr<RunLoop> GatewayImpl::waiting_to_join(const Input& input,
                                                      const Session& session) const {
  if (session.queue.empty()) return nullptr;
  const auto found = runs_.find(session.queue.back());
  if (found == runs_.end()) return nullptr;
  const std::shared_ptr<RunLoop>& loop = found->second;
  const run::State& state = loop->state();
  if (loop->begun() || state.phase != run::Phase::kQueued || !state.corrupt.empty()) return nullptr;
  const bool collects = mode_of(input, session) == tape::QUEUE_MODE_COLLECT &&
                        state.created.queue_mode() == tape::QUEUE_MODE_COLLECT;
  const bool in_window =
      input.coalesce_ms > 0 && environment_.world.clock.mono_now() < loop->joinable.until_ns;
  if (!collects && !in_window) return nullptr;
  // A run that is full is left to begin; the message makes the next one.
  return fits(input, state) && !is_full(state, input.text.size()) ? loop : nullptr;
}

tape::InputAdded GatewayImpl::added(const Input& input, tape::QueueMode mode) const {
  tape::InputAdded out;
  out.set_input_id(environment_.world.ids.ulid());
  out.set_principal(input.caller.principal);
  out.set_text(input.text);
  out.set_provenance(palyra::common::v1::PROVENANCE_PRINCIPAL);
  out.set_mode(mode);
  return out;
}

// The run's loop owns the run's stream, so it writes both records. If the run ends first the
// message gets a run of its own.
Task<Result<AcceptedInput>> GatewayImpl::join_active(Input input, std::shared_ptr<Session> session,
                                                     std::shared_ptr<RunLoop> loop,
                                                     std::string key) {
  const tape::QueueMode mode = input.queue_mode != tape::QUEUE_MODE_UNSPECIFIED
                                   ? input.queue_mode
                                   : session->doc().queue_mode();
  RunLoop::Joining joining;
  joining.input = added(input, mode);
  joining.idempotency_key = input.idempotency_key;
  joining.key = key;
  AcceptedInput out;
  out.session_id = session->id();
  out.run_id = loop->doc().run_id();
  out.mode = mode;
  out.input_id = joining.input.input_id();
  const auto joined = co_await loop->join(std::move(joining));
  if (joined.ok()) {
    out.position = joined.value();
    co_return out;
  }
  if (joined.status().code() != Code::kAborted) co_return joined.status();
  input.queue_mode = tape::QUEUE_MODE_FOLLOW_UP;
  co_return co_await accept_into(std::move(input), std::move(session), std::move(key));
}

// The caller holds the session's lock.
Task<Result<AcceptedInput>> GatewayImpl::join_waiting(Input input, std::shared_ptr<Session> session,
                                                      std::shared_ptr<RunLoop> loop,
                                                      std::string key) {
  const int64_t wall = std::max(environment_.world.clock.wall_now(), loop->state().last_ns);
  const int64_t mono = environment_.world.clock.mono_now();
  const std::string run_id = loop->doc().run_id();
  tape::RunEvent event;
  tape::InputAdded& joined = *event.mutable_input_added();
  joined = added(input, tape::QUEUE_MODE_COLLECT);
  RunLoop::Window window = loop->joinable;
  if (input.coalesce_ms > 0) {
    const int64_t length = input.coalesce_ms * kNanosPerMilli;
    window.until_ns = std::max(window.until_ns,
                               std::min(mono + length, window.opened_ns + kMostWindows * length));
    joined.set_start_after_ms((wall + window.until_ns - mono) / kNanosPerMilli);
  }

  service::CommitRequest commit;
  tape::SessionEvent session_event;
  auto& accepted = *session_event.mutable_input_accepted();
  accepted.set_input_id(joined.input_id());
  accepted.set_run_id(run_id);
  accepted.set_principal(input.caller.principal);
  accepted.set_idempotency_key(input.idempotency_key);
  accepted.set_text(input.text);
  accepted.set_mode(tape::QUEUE_MODE_COLLECT);
  append(commit, session_stream(session->id()), session->seq(), session_event, wall);
  append(commit, run_stream(run_id), loop->state().last_seq, event, wall);
  api::Run run_doc = loop->doc();
  run_doc.set_seq(loop->state().last_seq + 1);
  run_doc.set_inputs_added(run_doc.inputs_added() + 1);
  put_run(commit, run_doc);
  api::Session doc = session->doc();
  doc.set_updated_at_ms(wall / kNanosPerMilli);
  put_session(commit, doc);
  AcceptedInput out;
  out.session_id = session->id();
  out.run_id = run_id;
  out.mode = tape::QUEUE_MODE_COLLECT;
  out.input_id = joined.input_id();
  if (!key.empty()) {
    api::RouteMessageResponse first;
    first.set_session_id(out.session_id);
    first.set_run_id(out.run_id);
    first.set_mode(out.mode);
    first.set_input_id(out.input_id);
    put_input(commit, key, first);
  }
  auto response = co_await session->commit(std::move(commit));
  if (!response.ok()) co_return response.status();
  session->committed(*response, std::move(doc));
  if (const auto* landed = appended(*response, run_stream(run_id))) {
    out.position = landed->first_position();
  }
  loop->take_input(std::move(event), wall);
  loop->joinable = window;
  co_return out;
}

}  // namespace palyra::gateway
