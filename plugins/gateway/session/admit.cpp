// The way in: from a request to a durable input.
#include "plugins/common/json_schema/schema.h"
#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/delivery/mapping.h"
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/gateway/session/validate.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

constexpr size_t kTextBytes = 1024 * 1024;

// What the same key answers later.
api::RouteMessageResponse first_words(const AcceptedInput& accepted) {
  api::RouteMessageResponse out;
  out.set_session_id(accepted.session_id);
  out.set_run_id(accepted.run_id);
  out.set_mode(accepted.mode);
  out.set_input_id(accepted.input_id);
  return out;
}

template <typename T>
T limited(T asked, T most) {
  if (asked <= 0) return most;
  return most <= 0 ? asked : std::min(asked, most);
}

}  // namespace

Status GatewayImpl::check(const Input& input) const {
  if (!input.session_id.empty()) {
    Status status = check_ulid("session_id", input.session_id);
    if (!status.ok()) return status;
  }
  Status status = check_text("text", input.text, input.purpose == tape::RUN_PURPOSE_COMPACT ? 0 : 1,
                             kTextBytes);
  if (status.ok()) status = check_text("idempotency_key", input.idempotency_key, 0, 128);
  if (status.ok()) status = check_channel(input.channel, input.caller.channel);
  if (status.ok()) status = check_text("conversation", input.conversation, 0, 200);
  if (status.ok()) status = check_text("agent_id", input.agent_id, 0, 64);
  if (status.ok()) status = check_text("model", input.model, 0, 256);
  if (status.ok() && !tape::QueueMode_IsValid(input.queue_mode)) {
    status =
        Status(Code::kInvalidArgument, "queue_mode must be follow-up, collect, steer or interrupt");
  }
  if (status.ok() && input.coalesce_ms > kLongestWindowMs) {
    status = Status(Code::kInvalidArgument,
                    "coalesce_ms must be 0 to " + std::to_string(kLongestWindowMs));
  }
  if (status.ok() && !input.response_schema_json.empty()) {
    const auto schema = json_schema::Schema::parse(input.response_schema_json);
    if (!schema.ok()) {
      status = Status(schema.status().code(), "response_schema_json: " + schema.status().message());
    }
  }
  if (status.ok()) {
    const auto& limits = input.limits;
    if (limits.max_running_ms() < 0 || limits.max_tokens() < 0 || limits.max_output_tokens() < 0 ||
        limits.approval_timeout_ms() < 0) {
      status = Status(Code::kInvalidArgument, "limits must not be negative");
    }
  }
  return status;
}

// What a request asks for, within what the operator allows.
tape::RunLimits GatewayImpl::limits_for(const tape::RunLimits& asked) const {
  const LimitOptions& most = environment_.options.limits;
  tape::RunLimits out;
  out.set_max_turns(limited(asked.max_turns(), most.max_turns));
  out.set_max_tool_calls(limited(asked.max_tool_calls(), most.max_tool_calls));
  out.set_max_running_ms(limited(asked.max_running_ms(), most.max_running_ms));
  out.set_max_repeated_failures(limited(asked.max_repeated_failures(), most.max_repeated_failures));
  out.set_max_parallel_tools(limited(asked.max_parallel_tools(), most.max_parallel_tools));
  out.set_max_tokens(limited(asked.max_tokens(), most.max_tokens));
  out.set_max_output_tokens(limited(asked.max_output_tokens(), most.max_output_tokens));
  out.set_approval_timeout_ms(limited(asked.approval_timeout_ms(), most.approval_timeout_ms));
  return out;
}

Task<Result<AcceptedInput>> GatewayImpl::start_run(Caller caller, api::RunStart request) {
  Input input;
  input.origin = caller.surface;
  input.caller = std::move(caller);
  input.session_id = request.session_id();
  input.agent_id = request.agent_id();
  input.text = std::move(*request.mutable_text());
  input.idempotency_key = request.idempotency_key();
  input.limits = request.limits();
  input.response_schema_json = request.response_schema_json();
  input.ask_mode = request.ask_mode();
  input.model = request.model();
  input.queue_mode = request.queue_mode();
  co_return co_await accept(std::move(input));
}

Task<Result<AcceptedInput>> GatewayImpl::follow_up(Caller caller, std::string session_id,
                                                   api::FollowUp request) {
  Input input;
  input.origin = caller.surface;
  input.caller = std::move(caller);
  input.session_id = std::move(session_id);
  input.text = std::move(*request.mutable_text());
  input.idempotency_key = request.idempotency_key();
  input.queue_mode = request.queue_mode();
  Status status = check_ulid("session_id", input.session_id);
  if (!status.ok()) co_return status;
  co_return co_await accept(std::move(input));
}

Task<Result<api::RouteMessageResponse>> GatewayImpl::route_message(
    Caller caller, api::RouteMessageRequest request) {
  Input input;
  input.origin = "route";
  input.channel = request.channel();
  input.coalesce_ms = coalesce_window(request, caller);
  input.caller = std::move(caller);
  input.session_id = request.session_id();
  input.conversation = request.conversation();
  input.agent_id = request.agent_id();
  input.text = std::move(*request.mutable_text());
  input.idempotency_key = request.idempotency_key();
  input.limits = request.limits();
  input.response_schema_json = request.response_schema_json();
  input.ask_mode = request.ask_mode();
  input.model = request.model();
  input.queue_mode = request.queue_mode();
  auto accepted = co_await accept(std::move(input));
  if (!accepted.ok()) co_return accepted.status();
  api::RouteMessageResponse out;
  out.set_session_id(accepted->session_id);
  out.set_run_id(accepted->run_id);
  out.set_position(accepted->position);
  out.set_duplicate(accepted->duplicate);
  out.set_mode(accepted->mode);
  out.set_input_id(accepted->input_id);
  co_return out;
}

// The answer that this key got before; NOT_FOUND if it is new.
Task<Result<AcceptedInput>> GatewayImpl::first_answer(std::string key) {
  auto stored = co_await gateway::load<api::RouteMessageResponse>(
      environment_.world.journal, kInputs, key, "input with this key");
  if (!stored.ok()) co_return stored.status();
  AcceptedInput out;
  out.session_id = stored->session_id();
  out.run_id = stored->run_id();
  out.duplicate = true;
  out.mode = stored->mode();
  out.input_id = stored->input_id();
  uint64_t next = 1;
  do {
    service::ReadRequest request;
    request.set_stream(run_stream(out.run_id));
    request.set_from_seq(next);
    if (next == 1) request.set_limit(1);
    auto page = co_await environment_.world.journal.read(std::move(request));
    if (!page.ok()) co_return page.status();
    for (const auto& record : page->records()) {
      next = record.seq() + 1;
      tape::RunEvent event;
      // Without an id (from before there were joined messages) it is the run's first.
      const bool first = record.type() == "run_created" &&
                         (out.input_id.empty() || (event.ParseFromString(record.payload()) &&
                                                   event.run_created().input_id() == out.input_id));
      const bool joined = record.type() == "input_added" &&
                          event.ParseFromString(record.payload()) &&
                          event.input_added().input_id() == out.input_id;
      if (first || joined) {
        out.position = record.position();
        co_return out;
      }
    }
    if (page->records().empty() || next > page->head_seq()) break;
  } while (true);
  co_return out;
}

Task<Result<AcceptedInput>> GatewayImpl::accept(Input input) {
  Status status = check(input);
  if (!status.ok()) co_return status;
  if (draining_ || environment_.stopping) {
    co_return Status(Code::kUnavailable,
                     "the daemon is stopping and takes no new messages; try again shortly",
                     PALYRA_ERROR_RETRYABLE);
  }
  std::string key;
  if (!input.idempotency_key.empty()) {
    key = input_key(input.caller.principal, input.idempotency_key);
    auto before = co_await first_answer(key);
    if (before.ok() || before.status().code() != Code::kNotFound) co_return before;
  }
  auto agent = agents_.find(input.agent_id);
  if (!agent.ok()) co_return agent.status();

  // Another task may make the same conversation first, or this session be lost to another daemon:
  // then the second round finds what is there.
  for (int round = 0;; ++round) {
    std::shared_ptr<Session> session;
    if (!input.session_id.empty()) {
      auto opened = co_await open_session(input.caller, input.session_id);
      if (!opened.ok()) co_return opened.status();
      session = *opened;
    } else if (!input.conversation.empty()) {
      auto found = co_await find_session(input.caller, input.conversation);
      if (!found.ok()) co_return found.status();
      session = *found;
    }
    if (!session) {
      session = std::make_shared<Session>(
          environment_.world, environment_.options,
          new_session(input.caller, input.conversation, (*agent)->agent_id, title_of(input.text),
                      input.repetition.get()),
          0);
    }
    auto accepted = co_await accept_into(input, session, key);
    if (accepted.ok()) co_return accepted;
    const Code code = accepted.status().code();
    if (code != Code::kFailedPrecondition && code != Code::kAlreadyExists) co_return accepted;
    if (!key.empty()) {
      auto before = co_await first_answer(key);
      if (before.ok() || before.status().code() != Code::kNotFound) co_return before;
    }
    if (round > 0 || session->doc().archived()) co_return accepted;
    forget(session);
  }
}

Task<Result<AcceptedInput>> GatewayImpl::accept_into(Input input, std::shared_ptr<Session> session,
                                                     std::string key) {
  Mutex::Guard guard = co_await session->lock();
  if (draining_ || environment_.stopping) {
    co_return Status(Code::kUnavailable, "the daemon is stopping and takes no new messages");
  }
  if (session->doc().archived()) {
    co_return Status(Code::kFailedPrecondition,
                     "session " + session->id() +
                         " is archived; to go on with it: palyra sessions archive " +
                         session->id() + " --undo");
  }
  if (session->idle() && !session->doc().active_run().empty()) {
    // What is known here is of no use until it is read again.
    forget(session);
    co_return Status(Code::kAborted,
                     "another daemon drives run " + session->doc().active_run() + " of session " +
                         session->id() + "; send to that one, or again when it is gone",
                     PALYRA_ERROR_RETRYABLE);
  }
  if (session->idle() && session->lost()) {
    co_return Status(
        Code::kUnavailable,
        "session " + session->id() + " has runs that could not be taken over yet; send it again",
        PALYRA_ERROR_RETRYABLE);
  }
  if (const auto loop = active_to_join(input, *session)) {
    guard.release();
    co_return co_await join_active(std::move(input), session, loop, std::move(key));
  }
  if (const auto loop = waiting_to_join(input, *session)) {
    // The lock stays ours: the run must not begin meanwhile.
    co_return co_await join_waiting(std::move(input), session, loop, std::move(key));
  }
  const bool idle = session->idle();
  if (!idle && session->queue.size() >= environment_.options.queue_depth) {
    co_return Status(Code::kResourceExhausted,
                     std::to_string(session->queue.size()) + " runs wait in session " +
                         session->id() + " already; try again when its run has ended",
                     PALYRA_ERROR_RETRYABLE);
  }
  const std::string& agent_id = input.agent_id.empty() ? session->doc().agent_id() : input.agent_id;
  auto agent = agents_.find(agent_id);
  // An agent that the configuration no longer has must not lock a session for ever.
  if (!agent.ok() && input.agent_id.empty()) agent = &agents_.default_agent();
  if (!agent.ok()) co_return agent.status();
  auto snapshot = co_await agents_.snapshot(**agent, input.model, environment_.world.journal);
  if (!snapshot.ok()) co_return snapshot.status();
  if (!input.model.empty()) {
    // What a request names must be there; an agent's own model may come back, so its runs wait.
    const std::string instance = input.model.substr(0, input.model.find('/'));
    const auto running = environment_.world.providers.instances();
    if (std::find(running.begin(), running.end(), instance) == running.end()) {
      co_return Status(Code::kNotFound,
                       "no provider \"" + instance + "\" is running; see: palyra models");
    }
  }

  const auto known = sessions_.find(session->id());
  const bool replaced =
      session->seq() != 0 && (known == sessions_.end() || known->second != session);
  if (session->idle() != idle || replaced) {
    // Runs of another daemon were taken over while this waited, which happens without the lock and
    // may be for another object: this one must not come in its place.
    co_return Status(Code::kFailedPrecondition,
                     "session " + session->id() + " has just been taken over; send it again");
  }
  const int64_t now = environment_.world.clock.wall_now();
  const std::string run_id = environment_.world.ids.ulid();
  const std::string input_id = environment_.world.ids.ulid();
  const bool direct = idle && input.coalesce_ms == 0;
  const tape::QueueMode mode = mode_of(input, *session);
  const bool fresh = session->seq() == 0;
  const std::string stream = session_stream(session->id());

  RunLoop::Opening opening;
  service::CommitRequest& commit = opening.commit;
  api::Session doc = session->doc();
  if (fresh) {
    tape::SessionEvent event;
    auto& created = *event.mutable_session_created();
    created.set_session_id(doc.session_id());
    created.set_principal(doc.principal());
    created.set_device_id(doc.device_id());
    created.set_channel(doc.channel());
    created.set_conversation(doc.conversation());
    created.set_agent_id(doc.agent_id());
    created.set_title(doc.title());
    if (input.repetition && input.repetition->parent) {
      *created.mutable_branched_from() = *input.repetition->parent;
    }
    append(commit, stream, 0, event, now);
  }
  {
    tape::SessionEvent event;
    auto& accepted = *event.mutable_input_accepted();
    accepted.set_input_id(input_id);
    accepted.set_run_id(run_id);
    accepted.set_principal(input.caller.principal);
    accepted.set_idempotency_key(input.idempotency_key);
    accepted.set_text(input.text);
    accepted.set_mode(mode);
    append(commit, stream, session->seq(), event, now);
  }
  if (direct) {
    tape::SessionEvent event;
    event.mutable_input_taken()->set_input_id(input_id);
    event.mutable_input_taken()->set_run_id(run_id);
    append(commit, stream, session->seq(), event, now);
  }
  tape::RunEvent event;
  auto& created = *event.mutable_run_created();
  created.set_run_id(run_id);
  created.set_session_id(session->id());
  created.set_principal(input.caller.principal);
  created.set_origin(input.origin);
  created.set_input_id(input_id);
  created.set_input_text(input.text);
  created.set_input_provenance(palyra::common::v1::PROVENANCE_PRINCIPAL);
  *created.mutable_agent() = std::move(*snapshot);
  *created.mutable_limits() = limits_for(input.limits);
  created.set_response_schema_json(input.response_schema_json);
  created.set_ask_mode(input.ask_mode);
  created.set_channel(input.caller.channel);
  created.set_queue_mode(mode);
  if (input.coalesce_ms > 0) {
    created.set_start_after_ms(now / kNanosPerMilli + input.coalesce_ms);
  }
  created.set_purpose(input.purpose);
  if (input.repetition) apply(*input.repetition, created);

  doc.set_updated_at_ms(now / kNanosPerMilli);
  if (direct) {
    doc.set_active_run(run_id);
  } else {
    doc.set_queued(static_cast<uint32_t>(session->queue.size()) + 1);
  }
  // The document of a session in use lags behind by a minute at most while a run is on: the tape
  // has all of it, and the end of the run writes it.
  constexpr int64_t kLagMs = 60'000;
  const bool lags = !fresh && direct && !session->doc().archived() &&
                    doc.updated_at_ms() - session->doc().updated_at_ms() < kLagMs;
  if (!lags) put_session(commit, doc);

  AcceptedInput out;
  out.session_id = session->id();
  out.run_id = run_id;
  out.mode = mode;
  out.input_id = input_id;
  if (!key.empty()) put_input(commit, key, first_words(out));
  api::Run run_doc;
  run_doc.set_run_id(run_id);
  run_doc.set_principal(input.caller.principal);

  if (direct) {
    session->active_run = run_id;
    sessions_[session->id()] = session;
    const auto loop = add_run(session, run::State(), std::move(run_doc));
    opening.session_doc = std::move(doc);
    opening.guard = std::move(guard);
    opening.events.push_back(std::move(event));
    if (input.repetition) {
      // What had joined the original is there from the beginning.
      for (const auto& joined : input.repetition->inputs) {
        *opening.events.emplace_back().mutable_input_added() = joined;
      }
    }
    opening.admission = true;
    const Slot<Result<service::CommitResponse>> committed;
    opening.committed = committed;
    environment_.tasks.spawn(loop->run(std::move(opening)));
    const auto response = co_await committed;
    if (!response.ok()) {
      if (fresh) sessions_.erase(session->id());
      co_return response.status();
    }
    if (const auto* landed = appended(response.value(), run_stream(run_id))) {
      out.position = landed->first_position();
    }
    co_return out;
  }

  run::State state;
  run::evolve(state, event, now, 1);
  append(commit, run_stream(run_id), 0, event, now);
  run_doc.set_session_id(session->id());
  run_doc.set_agent_id(created.agent().agent_id());
  run_doc.set_model(created.agent().model());
  run_doc.set_state(api::RUN_STATE_QUEUED);
  run_doc.set_created_at_ms(now / kNanosPerMilli);
  run_doc.set_input_preview(std::string(utf8::prefix(input.text, 200)));
  run_doc.set_seq(1);
  put_run(commit, run_doc);
  if (fresh) sessions_[session->id()] = session;
  auto response = co_await session->commit(std::move(commit));
  if (!response.ok()) {
    if (fresh) sessions_.erase(session->id());
    co_return response.status();
  }
  session->committed(*response, std::move(doc));
  if (const auto* landed = appended(*response, run_stream(run_id))) {
    out.position = landed->first_position();
  }
  // Durable, and for whoever drives the session now to go on with.
  if (session->lost()) co_return out;
  const auto loop = add_run(session, std::move(state), std::move(run_doc));
  loop->joinable.opened_ns = environment_.world.clock.mono_now();
  loop->joinable.until_ns = loop->joinable.opened_ns + input.coalesce_ms * kNanosPerMilli;
  session->queue.push_back(run_id);
  // The active run may have ended while this was on its way.
  if (session->active_run.empty()) environment_.tasks.spawn(take_next(session));
  co_return out;
}

}  // namespace palyra::gateway
