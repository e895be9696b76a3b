#include "plugins/gateway/session/gateway_impl.h"

#include "plugins/gateway/session/validate.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {

GatewayImpl::GatewayImpl(World world, Options options, policy::PolicyRules rules)
    : agents_(options),
      taken_up_(std::make_shared<Signal>(world.executor)),
      environment_(world, std::move(options), std::move(rules)) {}

GatewayImpl::~GatewayImpl() {
  environment_.stopping = true;
  environment_.tasks.clear();
  runs_.clear();
  sessions_.clear();
}

void GatewayImpl::forget(const std::shared_ptr<Session>& session) {
  const auto known = sessions_.find(session->id());
  if (known != sessions_.end() && known->second == session && session->idle())
    sessions_.erase(known);
}

Task<Result<std::shared_ptr<Session>>> GatewayImpl::open_session(Caller caller,
                                                                 std::string session_id) {
  auto found = sessions_.find(session_id);
  if (found != sessions_.end() && found->second->lost() && found->second->idle()) {
    sessions_.erase(found);
    found = sessions_.end();
  }
  std::shared_ptr<Session> session;
  if (found != sessions_.end()) {
    session = found->second;
  } else {
    auto loaded = co_await Session::load(environment_.world, environment_.options, session_id);
    if (!loaded.ok()) co_return loaded.status();
    Status status = co_await load_approvals(session_id);
    if (!status.ok()) co_return status;
    if ((*loaded)->run_may_be_active()) {
      status = co_await adopt(session_id);
    }
    // One that another daemon drives may still be looked at; whoever wants more is told by its
    // document.
    const bool shows = !(*loaded)->doc().active_run().empty() || (*loaded)->doc().queued() > 0;
    if (!status.ok() && (status.code() != Code::kAborted || !shows)) co_return status;
    session = *loaded;
    if (status.ok()) {
      // Another task may have loaded it meanwhile: one object a session.
      session = sessions_.emplace(session_id, *loaded).first->second;
      if (session->idle()) rest(session);
    } else {
      session->give_up();
    }
  }
  if (!owns(caller, session->doc().principal())) {
    co_return Status(Code::kPermissionDenied,
                     "session " + session_id + " belongs to another principal");
  }
  co_return session;
}

api::Session GatewayImpl::new_session(const Caller& caller, const std::string& conversation,
                                      const std::string& agent_id, const std::string& title,
                                      const Repetition* repetition) {
  api::Session doc;
  doc.set_session_id(environment_.world.ids.ulid());
  doc.set_principal(caller.principal);
  doc.set_device_id(caller.device_id);
  doc.set_channel(caller.channel);
  doc.set_conversation(conversation);
  doc.set_agent_id(agent_id);
  doc.set_title(title);
  doc.set_created_at_ms(now_ms());
  doc.set_updated_at_ms(now_ms());
  if (repetition != nullptr) {
    doc.set_channel(kReplayChannel);
    doc.set_title(repetition->title);
    if (repetition->parent) set_head(doc, *repetition->parent);
  }
  return doc;
}

Task<Result<std::shared_ptr<Session>>> GatewayImpl::find_session(Caller caller,
                                                                 std::string conversation) {
  const std::string key =
      session_key(caller.principal, caller.device_id, caller.channel, conversation);
  service::QueryRequest query;
  query.set_collection(kSessions);
  query.set_index("key");
  query.set_from(key);
  query.set_to(key + '\0');
  query.set_limit(1);
  auto answer = co_await environment_.world.journal.query(std::move(query));
  if (!answer.ok()) co_return answer.status();
  if (answer->documents().empty()) co_return std::shared_ptr<Session>();
  co_return co_await open_session(std::move(caller), answer->documents(0).key());
}

std::shared_ptr<RunLoop> GatewayImpl::add_run(std::shared_ptr<Session> session, run::State state,
                                              api::Run doc) {
  const std::string& run_id = doc.run_id();
  auto hub = std::make_shared<RunHub>(environment_.world.executor, run_id, session->id());
  hub->set_head(state.last_seq);
  if (state.exists()) hub->set_state(run::run_state(state), run::wait_reason(state));
  auto loop = std::make_shared<RunLoop>(environment_, std::move(session), std::move(hub),
                                        std::move(state), doc);
  loop->on_end = [this, weak = std::weak_ptr<RunLoop>(loop)](const Status& status) {
    if (const auto ended_loop = weak.lock()) run_ended(ended_loop, status);
  };
  runs_[run_id] = loop;
  taken_up_->notify();
  return loop;
}

void GatewayImpl::run_ended(const std::shared_ptr<RunLoop>& loop, const Status& status) {
  if (environment_.stopping) return;
  const auto session = loop->session();
  runs_.erase(loop->doc().run_id());
  std::erase(session->queue, loop->doc().run_id());
  if (session->active_run == loop->doc().run_id()) session->active_run.clear();
  if (session->lost()) {
    // Another daemon drives it now, or will after the next start: nothing here may go on.
    const auto queued = std::exchange(session->queue, {});
    for (const auto& run_id : queued) {
      const auto found = runs_.find(run_id);
      if (found == runs_.end()) continue;
      const auto waiting = found->second;
      runs_.erase(found);
      waiting->abandon(status);
    }
    const auto known = sessions_.find(session->id());
    if (known != sessions_.end() && known->second == session) sessions_.erase(known);
    return;
  }
  if (session->queue.empty()) return rest(session);
  environment_.tasks.spawn(take_next(session));
}

// The next queued input becomes the active run.
Task<void> GatewayImpl::take_next(std::shared_ptr<Session> session) {
  RunLoop::Opening opening;
  opening.guard = co_await session->lock();
  if (!session->active_run.empty() || session->queue.empty() || session->lost()) co_return;
  const auto found = runs_.find(session->queue.front());
  if (found != runs_.end() &&
      environment_.world.clock.mono_now() < found->second->joinable.until_ns) {
    const int64_t until = found->second->joinable.until_ns;
    if (session->looks_at_ns == 0 || until < session->looks_at_ns) {
      session->looks_at_ns = until;
      environment_.tasks.spawn(take_next_at(session, until));
    }
    co_return;
  }
  session->queue.pop_front();
  if (found == runs_.end()) co_return;
  const std::shared_ptr<RunLoop> loop = found->second;
  session->active_run = loop->doc().run_id();
  api::Session doc = session->doc();
  doc.set_active_run(session->active_run);
  doc.set_queued(static_cast<uint32_t>(session->queue.size()));
  doc.set_updated_at_ms(now_ms());
  for (const auto& input_id : input_ids(loop->state())) {
    tape::SessionEvent taken;
    taken.mutable_input_taken()->set_input_id(input_id);
    taken.mutable_input_taken()->set_run_id(loop->doc().run_id());
    append(opening.commit, session_stream(session->id()), session->seq(), taken,
           environment_.world.clock.wall_now());
  }
  put_session(opening.commit, doc);
  opening.session_doc = std::move(doc);
  environment_.tasks.spawn(loop->run(std::move(opening)));
}

// The window of a run that waits for more messages ends.
Task<void> GatewayImpl::take_next_at(std::shared_ptr<Session> session, int64_t mono_ns) {
  co_await sleep_until(environment_.world.executor, mono_ns);
  if (session->looks_at_ns == mono_ns) session->looks_at_ns = 0;
  co_await take_next(session);
}

// A session without runs stays for a while, because the next message often follows.
void GatewayImpl::rest(const std::shared_ptr<Session>& session) {
  resting_.emplace_back(session->id(), ++session->rests);
  while (resting_.size() > environment_.options.idle_sessions) {
    const auto [oldest, rest] = std::move(resting_.front());
    resting_.pop_front();
    const auto found = sessions_.find(oldest);
    if (found == sessions_.end() || found->second->rests != rest) continue;
    if (!found->second->idle()) continue;
    if (found->second.use_count() > 1) {
      // Somebody looks at it; its turn comes again.
      resting_.emplace_back(oldest, rest);
      break;
    }
    sessions_.erase(found);
  }
}

Task<Result<api::Run>> GatewayImpl::visible_run(Caller caller, std::string run_id) {
  Status status = check_ulid("run_id", run_id);
  if (!status.ok()) co_return status;
  api::Run run;
  const auto live = runs_.find(run_id);
  if (live != runs_.end()) {
    run = live->second->doc();
  } else {
    auto stored = co_await gateway::load<api::Run>(environment_.world.journal, kRuns, run_id,
                                                   "run " + run_id);
    if (!stored.ok()) co_return stored.status();
    run = std::move(*stored);
  }
  if (!owns(caller, run.principal())) {
    co_return Status(Code::kPermissionDenied, "run " + run_id + " belongs to another principal");
  }
  co_return run;
}

Gateway::Load GatewayImpl::load() const {
  Load out;
  for (const auto& [id, loop] : runs_) {
    switch (loop->doc().state()) {
      case api::RUN_STATE_WAITING:
        ++out.waiting_runs;
        break;
      case api::RUN_STATE_RUNNING:
        ++out.active_runs;
        break;
      default:
        ++out.queued_inputs;
    }
  }
  return out;
}

Task<void> GatewayImpl::shutdown() {
  environment_.stopping = true;
  draining_ = true;
  const Status why = cut_off_by_stop();
  taken_up_->notify();
  auto runs = std::exchange(runs_, {});
  for (auto& [id, loop] : runs) loop->abandon(why);
  environment_.tasks.clear();
  runs.clear();
  sessions_.clear();
  co_return;
}

}  // namespace palyra::gateway
