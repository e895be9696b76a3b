#include "tests/sim/clients.h"

#include "tests/sim/invariants.h"

#include <algorithm>
#include <utility>

namespace palyra::sim {

Clients::Clients(Scene& scene, Observer& observer) : scene_(scene), observer_(observer) {
  caller_.principal = "user:ada";
  caller_.scopes = {"runs.write", "runs.read", "approvals.decide"};
  caller_.channel = "sim";
  caller_.surface = "sim";
}

// Whether a daemon may answer a right request with this.
bool Clients::excused(const Daemon& daemon, Code code) const {
  if (code == Code::kResourceExhausted || code == Code::kUnavailable) return true;
  const bool lost = code == Code::kAborted || code == Code::kFailedPrecondition ||
                    code == Code::kAlreadyExists || code == Code::kOutOfRange;
  return lost && (contended || daemon.replaced);
}

void Clients::send(Daemon& daemon) {
  const bool fresh = messages_.size() < 2 || scene_.dice.chance(30);
  send(daemon, fresh);
}

void Clients::send(Daemon& daemon, bool fresh) {
  auto message = std::make_shared<Message>();
  message->text = "message " + std::to_string(messages_.size());
  message->key = "key " + std::to_string(messages_.size());
  if (fresh) {
    if (scene_.dice.chance(20)) message->conversation = "c" + std::to_string(messages_.size());
  } else if (!messages_.empty()) {
    const auto& before = any(messages_);
    if (!talks_.empty() && scene_.dice.chance(50)) {
      // A branch, or where most was said.
      message->session_id = scene_.dice.chance(50) ? any(talks_) : talks_.front();
    } else if (!before->conversation.empty() && scene_.dice.chance(50)) {
      message->conversation = before->conversation;
    } else if (before->acknowledged) {
      message->session_id = before->accepted_session;
      message->follow_up = scene_.dice.chance(50);
    }
  }
  constexpr tape::QueueMode kModes[] = {tape::QUEUE_MODE_UNSPECIFIED, tape::QUEUE_MODE_FOLLOW_UP,
                                        tape::QUEUE_MODE_COLLECT, tape::QUEUE_MODE_STEER,
                                        tape::QUEUE_MODE_INTERRUPT};
  message->mode = kModes[scene_.dice.pick(0, 4)];
  if (!message->conversation.empty() && scene_.dice.chance(60)) {
    message->coalesce_ms = static_cast<uint32_t>(scene_.dice.pick(1, 3'000));
  }
  messages_.push_back(message);
  daemon.clients.spawn(deliver(daemon, message));
}

void Clients::go_on(Daemon& daemon, size_t size) {
  auto message = std::make_shared<Message>();
  message->text = "message " + std::to_string(messages_.size()) + " " + std::string(size, 'x');
  message->key = "key " + std::to_string(messages_.size());
  if (!talks_.empty()) message->session_id = talks_.front();
  messages_.push_back(message);
  daemon.clients.spawn(deliver(daemon, message));
}

void Clients::send_again(Daemon& daemon) {
  if (!messages_.empty()) daemon.clients.spawn(deliver(daemon, any(messages_)));
}

Task<void> Clients::deliver(Daemon& daemon, std::shared_ptr<Message> message) {
  for (const uint64_t number : numbers_after("message ", message->text))
    observer_.tree.sent(number);
  // On its way, where others may overtake it.
  if (scene_.dice.chance(20)) co_await linger(scene_, daemon.lane);
  Result<gateway::AcceptedInput> accepted = gateway::AcceptedInput();
  if (message->follow_up) {
    api::FollowUp request;
    request.set_text(message->text);
    request.set_idempotency_key(message->key);
    request.set_queue_mode(message->mode);
    accepted = co_await daemon.gateway->follow_up(caller_, message->session_id, std::move(request));
  } else if (!message->conversation.empty()) {
    api::RouteMessageRequest request;
    request.set_text(message->text);
    request.set_idempotency_key(message->key);
    request.set_conversation(message->conversation);
    request.set_queue_mode(message->mode);
    request.set_coalesce_ms(message->coalesce_ms);
    auto routed = co_await daemon.gateway->route_message(caller_, std::move(request));
    if (routed.ok()) {
      accepted->session_id = routed->session_id();
      accepted->run_id = routed->run_id();
      accepted->duplicate = routed->duplicate();
    } else {
      accepted = routed.status();
    }
  } else {
    api::RunStart request;
    request.set_text(message->text);
    request.set_idempotency_key(message->key);
    request.set_session_id(message->session_id);
    request.set_queue_mode(message->mode);
    accepted = co_await daemon.gateway->start_run(caller_, std::move(request));
  }
  if (daemon.replaced) co_return;  // nobody hears it
  if (!accepted.ok()) {
    scene_.say("refused: " + accepted.status().to_string());
    const bool archived = accepted.status().code() == Code::kFailedPrecondition &&
                          !archived_.empty() &&
                          accepted.status().message().find("is archived") != std::string::npos;
    // Goes on in a session of its own.
    if (archived) {
      message->session_id.clear();
      message->conversation.clear();
      message->follow_up = false;
    } else if (!excused(daemon, accepted.status().code())) {
      scene_.violate(kAnswers, "a good message was refused: " + accepted.status().to_string());
    }
    co_return;
  }
  scene_.say("accepted " + message->text + " as run " + accepted->run_id +
             (accepted->duplicate ? " (again)" : ""));
  if (message->acknowledged && message->run_id != accepted->run_id) {
    scene_.violate(kAcknowledged, "the key of " + message->text + " was answered with two runs");
  }
  const Observer::Run* run = observer_.run(accepted->run_id);
  if (observer_.accepted(message->key) != accepted->run_id || run == nullptr ||
      std::count(run->inputs.begin(), run->inputs.end(), message->text) != 1) {
    scene_.violate(kAcknowledged, message->text + " was acknowledged and is not durable");
  }
  message->acknowledged = true;
  message->accepted_session = accepted->session_id;
  message->run_id = accepted->run_id;
  know_talk(accepted->session_id);
  follow(accepted->run_id);
}

void Clients::follow(const std::string& run_id) {
  if (!known_runs_.insert(run_id).second) return;
  auto watcher = std::make_shared<Watcher>();
  watcher->run_id = run_id;
  watchers_.push_back(watcher);
}

void Clients::cancel_one(Daemon& daemon) {
  if (watchers_.empty()) return;
  const std::string run_id = any(watchers_)->run_id;
  scene_.say("cancel " + run_id);
  cancelled_.insert(run_id);
  daemon.clients.spawn(cancel(daemon, run_id));
}

Task<void> Clients::cancel(Daemon& daemon, std::string run_id) {
  api::CancelRunRequest request;
  request.set_run_id(run_id);
  auto response = co_await daemon.gateway->cancel_run(caller_, std::move(request));
  if (!response.ok()) {
    if (!excused(daemon, response.status().code())) {
      scene_.violate(kAnswers, "cancel failed: " + response.status().to_string());
    }
    co_return;
  }
  const Observer::Run* run = observer_.run(run_id);
  if (!daemon.replaced && (run == nullptr || (!run->state.cancel && !run->state.terminal()))) {
    scene_.violate(kCancelHolds,
                   "the cancel of run " + run_id + " was acknowledged and is not durable");
  }
}

void Clients::approve_one(Daemon& daemon) { daemon.clients.spawn(approve(daemon, false)); }

Task<void> Clients::approve(Daemon& daemon, bool all) {
  auto listed = co_await daemon.gateway->list_approvals(caller_, api::ListApprovalsRequest());
  if (!listed.ok() || listed->approvals().empty()) co_return;
  Dice& dice = scene_.dice;
  const auto count = static_cast<int64_t>(listed->approvals_size());
  for (int i = all ? 0 : static_cast<int>(dice.pick(0, count - 1)); i < count; ++i) {
    api::ApprovalDecision decision;
    decision.set_approval_id(listed->approvals(i).request().approval_id());
    decision.set_verdict(dice.chance(15) ? tape::APPROVAL_VERDICT_DENY
                                         : tape::APPROVAL_VERDICT_ALLOW);
    const int64_t scope = dice.pick(0, 9);
    decision.set_scope(scope < 7    ? tape::APPROVAL_SCOPE_ONCE
                       : scope == 7 ? tape::APPROVAL_SCOPE_TIMEBOXED
                                    : tape::APPROVAL_SCOPE_SESSION);
    if (scope == 7) decision.set_seconds(5);
    scene_.say("decide approval " + decision.approval_id());
    // It may have been decided, or its run have ended, in the meantime.
    const auto decided = co_await daemon.gateway->decide_approval(caller_, std::move(decision));
    scene_.say(decided.ok() ? "decided" : decided.status().to_string());
    if (!all) co_return;
  }
}

void Clients::change_session(Daemon& daemon) {
  if (messages_.empty()) return;
  const auto& message = any(messages_);
  if (!message->acknowledged) return;
  const int64_t what = scene_.dice.pick(0, 4);
  if (what == 2 || what == 3) archived_.insert(message->accepted_session);
  daemon.clients.spawn(change(daemon, message->accepted_session, what));
}

Task<void> Clients::change(Daemon& daemon, std::string session_id, int64_t what) {
  Status status;
  if (what == 0) {
    api::RenameSessionRequest request;
    request.set_session_id(session_id);
    request.set_title("renamed");
    status = (co_await daemon.gateway->rename_session(caller_, std::move(request))).status();
  } else if (what == 1) {
    api::ResetSessionRequest request;
    request.set_session_id(session_id);
    status = (co_await daemon.gateway->reset_session(caller_, std::move(request))).status();
  } else if (what == 4) {
    api::SetQueueModeRequest request;
    request.set_session_id(session_id);
    request.set_mode(scene_.dice.chance(50) ? tape::QUEUE_MODE_COLLECT : tape::QUEUE_MODE_STEER);
    status = (co_await daemon.gateway->set_queue_mode(caller_, std::move(request))).status();
  } else {
    api::ArchiveSessionRequest request;
    request.set_session_id(session_id);
    request.set_archived(what == 2);
    status = (co_await daemon.gateway->archive_session(caller_, std::move(request))).status();
  }
  scene_.say("session " + session_id + " changed: " + status.to_string());
}

// ---- watchers

void Clients::watch_one(Daemon& daemon) {
  if (watchers_.empty()) return;
  auto watcher = any(watchers_);
  if (scene_.dice.chance(10)) {
    // Somebody else, from the start.
    auto second = std::make_shared<Watcher>();
    second->run_id = watcher->run_id;
    watchers_.push_back(second);
    watcher = second;
  }
  if (watcher->daemon == 0 && !watcher->ended) {
    watcher->daemon = daemon.number;
    daemon.clients.spawn(watch(daemon, watcher));
  }
}

void Clients::leave_one(Daemon& daemon) {
  if (watchers_.empty()) return;
  const auto watcher = any(watchers_);
  if (watcher->daemon != daemon.number || watcher->subscription == nullptr) return;
  watcher->leaves = true;
  watcher->subscription->close();
}

void Clients::daemon_gone(int number) {
  for (const auto& watcher : watchers_) {
    if (watcher->daemon != number) continue;
    watcher->daemon = 0;
    watcher->subscription = nullptr;
    watcher->leaves = false;
  }
}

Task<void> Clients::watch(Daemon& daemon, std::shared_ptr<Watcher> watcher) {
  api::RunAttach request;
  request.set_run_id(watcher->run_id);
  request.set_from_seq(watcher->next_seq);
  request.set_turn(watcher->turn);
  request.set_attempt(watcher->attempt);
  request.set_offset(watcher->text.size());
  request.set_reasoning_offset(watcher->reasoning);
  auto subscription = co_await daemon.gateway->attach(caller_, std::move(request));
  if (watcher->daemon != daemon.number) co_return;  // has turned to another daemon
  if (!subscription.ok()) {
    watcher->daemon = 0;
    if (!excused(daemon, subscription.status().code())) {
      scene_.violate(kAnswers, "attach failed: " + subscription.status().to_string());
    }
    co_return;
  }
  watcher->subscription = subscription->get();
  for (;;) {
    auto event = co_await (*subscription)->next();
    if (watcher->daemon != daemon.number) co_return;
    if (!event) break;
    see(*watcher, *event);
    if (scene_.dice.chance(20)) co_await linger(scene_, daemon.lane);  // a slow reader
    if (watcher->daemon != daemon.number) co_return;
  }
  watcher->subscription = nullptr;
  const bool left = std::exchange(watcher->leaves, false);
  watcher->daemon = 0;
  if (!watcher->ended && !left && !contended && !daemon.replaced) {
    scene_.violate(kStreamExact, "the stream of run " + watcher->run_id + " ended before the run");
  }
}

void Clients::see(Watcher& watcher, const api::RunStreamEvent& event) {
  const std::string of = " of run " + watcher.run_id;
  if (event.seq() != 0) {
    if (event.seq() != watcher.next_seq++) {
      scene_.violate(kStreamExact, "gap or duplicate in the stream" + of);
    }
    const Observer::Run* run = observer_.run(watcher.run_id);
    if (run == nullptr || run->state.last_seq < event.seq()) {
      scene_.violate(kDurableShown, "record " + std::to_string(event.seq()) + of +
                                        " was shown before it was durable");
    }
  }
  const auto enter = [&](uint32_t turn, uint32_t attempt) {
    watcher.turn = turn;
    watcher.attempt = attempt;
    watcher.text.clear();
    watcher.reasoning = 0;
  };
  if (event.has_turn_restarted()) {
    enter(event.turn_restarted().turn(), event.turn_restarted().attempt());
  } else if (event.has_model_delta() || event.has_reasoning_delta()) {
    const auto& delta = event.has_model_delta() ? event.model_delta() : event.reasoning_delta();
    if (delta.turn() != watcher.turn || delta.attempt() != watcher.attempt) {
      enter(delta.turn(), delta.attempt());
    }
    const uint64_t have = event.has_model_delta() ? watcher.text.size() : watcher.reasoning;
    if (delta.offset() != have) {
      scene_.violate(kStreamExact, "text lost or repeated" + of);
    }
    if (event.has_model_delta()) {
      watcher.text += delta.text();
    } else {
      watcher.reasoning += delta.text().size();
    }
  } else if (event.has_status() && event.seq() != 0) {
    const auto state = event.status().state();
    // What a compaction did is told by its end only.
    const Observer::Run* run = observer_.run(watcher.run_id);
    const bool answers = run == nullptr || !run->state.compacts();
    if (answers && state == api::RUN_STATE_COMPLETED && event.status().text() != watcher.text) {
      scene_.violate(kStreamExact, "what was streamed is not the answer" + of + ": \"" +
                                       watcher.text + "\" and \"" + event.status().text() + "\"");
    }
    watcher.ended = gateway::ended(state);
  }
}

// ---- the end

void Clients::finish(Daemon& daemon, bool approve_all, bool resend) {
  for (const auto& message : messages_) {
    if (!message->acknowledged && resend) daemon.clients.spawn(deliver(daemon, message));
  }
  for (const auto& watcher : watchers_) {
    if (watcher->daemon != 0 || watcher->ended) continue;
    watcher->daemon = daemon.number;
    daemon.clients.spawn(watch(daemon, watcher));
  }
  if (approve_all) daemon.clients.spawn(approve(daemon, true));
}

bool Clients::all_ended() const {
  return std::all_of(watchers_.begin(), watchers_.end(),
                     [](const auto& watcher) { return watcher->ended; });
}

bool Clients::all_acknowledged() const {
  return std::all_of(messages_.begin(), messages_.end(),
                     [](const auto& message) { return message->acknowledged; });
}

}  // namespace palyra::sim
