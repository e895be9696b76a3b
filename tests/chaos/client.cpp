#include "tests/chaos/client.h"

#include <algorithm>
#include <utility>

namespace palyra::chaos {
namespace {

std::string words_of(const grpc::Status& status) {
  return std::to_string(status.error_code()) + " " + status.error_message();
}

size_t first_open(const Job& job) {
  size_t first = 0;
  while (first < job.inputs.size() && job.inputs[first].view.terminal()) ++first;
  return first;
}

}  // namespace

Client::Client(Arena& arena, Ledger& ledger, std::string name, uint64_t seed)
    : arena_(arena), ledger_(ledger), name_(std::move(name)), random_(seed) {}

void Client::run() {
  while (!arena_.stopping()) {
    Job job = make_job(name_ + "-" + std::to_string(++jobs_), arena_.aim(), random_);
    perform(job);
  }
}

void Client::perform(Job& job) {
  uint64_t lost = 0;
  if (chance(random_, 20)) session_id_.clear();
  if (job.way == Job::Way::kRoute && !route(job, lost)) return;
  follow(job, lost);
  if (job.way == Job::Way::kStream && !job.inputs.empty()) {
    session_id_ = job.inputs.back().view.session_id;
  }
  const bool answered = first_open(job) == job.inputs.size();
  for (Input& input : job.inputs) finish(input);
  if (answered && job.then != Job::Then::kNothing) {
    tidy(job.then, job.inputs.back().label + ".then", lost);
  }
}

void Client::finish(Input& input) {
  for (const std::string& sentence : input.view.problems) ledger_.problem(sentence);
  if (!input.view.terminal()) return;
  const auto state = input.view.status.state();
  if ((state == api::RUN_STATE_FAILED && !input.may_fail) ||
      (state == api::RUN_STATE_CANCELLED && !input.cancel)) {
    ledger_.problem("run " + input.view.run_id + " of " + input.label + " ended as " +
                    api::RunState_Name(state) + ": " + input.view.status.failure().message());
  }
  ledger_.ended(input.view.run_id, std::move(input.view.durable));
}

bool Client::gone(const grpc::Status& status, const std::string& what) {
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
      status.error_code() == grpc::StatusCode::CANCELLED) {
    return true;
  }
  ledger_.problem(what + ": " + words_of(status));
  return false;
}

void Client::acknowledged(const Access& access, Input& input, const std::string& run_id,
                          const std::string& session_id) {
  ledger_.acknowledged(input.label, run_id, session_id, access.generation, input.compaction);
  input.view.run_id = run_id;
  input.view.session_id = session_id;
}

bool Client::route(Job& job, uint64_t& lost) {
  Input& input = job.inputs.front();
  api::RouteMessageRequest request;
  request.set_conversation(job.conversation);
  request.set_text(input.text);
  request.set_model(input.model);
  request.set_idempotency_key("key-" + input.label);
  // Sent again after a crash, and at times although it was acknowledged.
  for (bool again = chance(random_, 20);;) {
    const auto access = arena_.access(lost);
    if (!access) return false;
    arena_.moment(Moment::kSending, input);
    grpc::ClientContext context;
    access->authenticate(context, arena_.patience());
    api::RouteMessageResponse response;
    const auto status =
        api::GatewayService::NewStub(access->channel)->RouteMessage(&context, request, &response);
    if (status.ok()) {
      const bool known = input.view.known();
      acknowledged(*access, input, response.run_id(), response.session_id());
      if (known && !response.duplicate()) {
        ledger_.problem("input " + input.label + " was taken twice as new");
      }
      if (!again) return true;
      again = false;
    } else if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
      // The queue of a shared conversation is full: nothing was accepted.
      request.set_conversation("room-" + input.label);
    } else {
      if (!gone(status, "routing " + input.label)) return false;
      lost = access->generation;
    }
  }
}

void Client::follow(Job& job, uint64_t& lost) {
  Arena::Endangered endangered(arena_);
  while (first_open(job) < job.inputs.size()) {
    const auto access = arena_.access(lost);
    if (!access) return;
    const grpc::Status status = follow_once(*access, job);
    if (std::exchange(left_, 0) == access->generation &&
        status.error_code() == grpc::StatusCode::CANCELLED) {
      continue;
    }
    if (!status.ok()) {
      if (!gone(status, "the stream of " + job.inputs.front().label)) return;
      lost = access->generation;
      // A failing model waits long between its attempts, and may be given up.
      const size_t open = first_open(job);
      if (open < job.inputs.size() && !job.inputs[open].may_fail) endangered.cut();
      continue;
    }
    // A stream ends with the runs it follows; a follow-up that came too late was not accepted.
    for (const Input& input : job.inputs) {
      if (!input.view.known() || input.view.terminal()) continue;
      ledger_.problem("the stream of run " + input.view.run_id + " (" + input.label +
                      ") ended at sequence " + std::to_string(input.view.seq) + " before the run");
      return;
    }
  }
}

void Client::begin(Stream& stream, Job& job, size_t first) {
  api::RunStreamRequest request;
  Input& input = job.inputs[first];
  if (input.view.known()) {
    *request.mutable_attach() = input.view.place();
  } else {
    auto& start = *request.mutable_start();
    start.set_session_id(first == 0 ? session_id_ : job.inputs[first - 1].view.session_id);
    start.set_text(input.text);
    start.set_model(input.model);
    start.set_idempotency_key("key-" + input.label);
  }
  if (!input.view.known()) arena_.moment(Moment::kSending, input);
  stream.Write(request);
  for (size_t i = first + 1; i < job.inputs.size(); ++i) {
    api::RunStreamRequest more;
    more.mutable_follow_up()->set_text(job.inputs[i].text);
    more.mutable_follow_up()->set_idempotency_key("key-" + job.inputs[i].label);
    if (!job.inputs[i].view.known()) arena_.moment(Moment::kSending, job.inputs[i]);
    stream.Write(more);
  }
}

grpc::Status Client::follow_once(const Access& access, Job& job) {
  const size_t first = first_open(job);
  const bool went_on = job.inputs[first].view.seq > 0;
  const bool measure = std::exchange(life_, access.generation) != access.generation && went_on;
  grpc::ClientContext context;
  access.authenticate(context, arena_.patience());
  const auto stream = api::GatewayService::NewStub(access.channel)->RunStream(&context);
  begin(*stream, job, first);
  if (went_on) repeat(access, job.inputs[first]);
  api::RunStreamEvent event;
  bool any = false;
  while (stream->Read(&event)) {
    if (!std::exchange(any, true) && measure) {
      ledger_.resumed(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() -
                                                                access.launched)
                          .count());
    }
    if (event.run_id().empty()) {
      if (event.has_error()) ledger_.problem("error on a stream: " + event.error().message());
      continue;
    }
    const auto input =
        std::find_if(job.inputs.begin(), job.inputs.end(), [&event](const Input& one) {
          return !one.view.known() || one.view.run_id == event.run_id();
        });
    if (input == job.inputs.end()) {
      ledger_.problem("an event of run " + event.run_id() + " on a stream that does not follow it");
      continue;
    }
    if (input->view.seq == 0) acknowledged(access, *input, event.run_id(), event.session_id());
    input->view.see(event);
    react(access, *stream, *input, event);
    if (left_ == 0 && chance(random_, 2)) {
      // Leaves in the middle, with all that is on its way, and comes back.
      left_ = access.generation;
      context.TryCancel();
      break;
    }
  }
  return stream->Finish();
}

void Client::react(const Access& access, Stream& stream, Input& input,
                   const api::RunStreamEvent& event) {
  if (event.has_model_delta()) {
    const bool last = input.text_bytes != 0 && input.view.text().size() == input.text_bytes;
    arena_.moment(last ? Moment::kAllDeltas : Moment::kDelta, input);
  } else if (event.has_approval_request()) {
    const std::string& id = event.approval_request().approval_id();
    arena_.moment(Moment::kAsked, input);
    arena_.moment(Moment::kDeciding, input);
    if (chance(random_, 50)) return decide(access, input, id);
    api::RunStreamRequest request;
    request.mutable_approval()->set_approval_id(id);
    request.mutable_approval()->set_verdict(input.deny ? tape::v1::APPROVAL_VERDICT_DENY
                                                       : tape::v1::APPROVAL_VERDICT_ALLOW);
    sent_.insert(id);
    stream.Write(request);
  } else if (event.has_tape() && event.tape().type() == "model_turn_started") {
    arena_.moment(Moment::kModelStarted, input);
  } else if (event.has_tape() && event.tape().type() == "timer_started") {
    arena_.moment(Moment::kRetrying, input);
  } else if (event.has_tape() && event.tape().type() == "compaction_started") {
    arena_.moment(Moment::kCompacting, input);
  } else if (input.behind && event.has_status() &&
             event.status().state() == api::RUN_STATE_QUEUED) {
    arena_.moment(Moment::kQueued, input);
  } else if (event.has_tape() && event.tape().type() == "tool_call_started") {
    if (input.cancel && !input.cancel_acknowledged) cancel(access, input);
    arena_.moment(Moment::kToolStarted, input);
  } else if (event.has_status() && input.view.terminal()) {
    arena_.moment(Moment::kEnded, input);
  } else if (event.has_error()) {
    ledger_.problem("run " + event.run_id() + ": error on its stream: " + event.error().message());
  } else {
    arena_.moment(Moment::kOther, input);
  }
}

void Client::repeat(const Access& access, Input& input) {
  for (const std::string& id : input.view.approvals) {
    if (decided_.count(id) == 0) decide(access, input, id);
  }
}

void Client::decide(const Access& access, const Input& input, const std::string& approval_id) {
  const bool first = sent_.insert(approval_id).second;
  grpc::ClientContext context;
  access.authenticate(context, arena_.patience());
  api::ApprovalDecision request;
  request.set_approval_id(approval_id);
  request.set_verdict(input.deny ? tape::v1::APPROVAL_VERDICT_DENY
                                 : tape::v1::APPROVAL_VERDICT_ALLOW);
  api::Approval approval;
  const auto status =
      api::ApprovalsService::NewStub(access.channel)->DecideApproval(&context, request, &approval);
  if (status.ok()) {
    decided_.insert(approval_id);
    ledger_.decided(approval_id, request.verdict());
  } else if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION && !first) {
    decided_.insert(approval_id);  // by the attempt that was not answered
  } else {
    gone(status, "deciding approval " + approval_id + " of run " + input.view.run_id);
  }
}

void Client::cancel(const Access& access, Input& input) {
  grpc::ClientContext context;
  access.authenticate(context, arena_.patience());
  api::CancelRunRequest request;
  request.set_run_id(input.view.run_id);
  request.set_reason("chaos");
  api::CancelRunResponse response;
  const auto status =
      api::GatewayService::NewStub(access.channel)->CancelRun(&context, request, &response);
  if (!status.ok()) {
    gone(status, "cancelling run " + input.view.run_id);
    return;
  }
  input.cancel_acknowledged = true;
  if (response.state() == api::RUN_STATE_RUNNING || response.state() == api::RUN_STATE_CANCELLED) {
    ledger_.cancelled(input.view.run_id);
  }
}

}  // namespace palyra::chaos
