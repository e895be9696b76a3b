#include "plugins/providers/openai/turn.h"

#include "plugins/providers/openai/api_error.h"
#include "plugins/providers/openai/request_body.h"

#include <utility>

namespace palyra::openai {
namespace {

constexpr size_t kMaxErrorBody = 64 << 10;
constexpr size_t kMaxWholeAnswer = 16 << 20;
constexpr int64_t kMaxStream = 64 << 20;
constexpr size_t kMaxQueuedEvents = 256;
// Deltas that wait for credits are joined up to this size.
constexpr size_t kMaxJoinedDelta = 4096;

using service::v1::FailureKind;

}  // namespace

http::Request make_request(const Config& config, const std::string& path, const std::string& key) {
  http::Request request;
  request.url = config.base_url + path;
  request.headers = config.headers;
  if (!key.empty()) request.headers.push_back({"Authorization", "Bearer " + key});
  if (!config.organization.empty()) {
    request.headers.push_back({"OpenAI-Organization", config.organization});
  }
  request.connect_timeout_ms = config.connect_timeout_ms;
  request.idle_timeout_ms = config.idle_timeout_ms;
  return request;
}

// The receiver of one HTTP answer; lets go of the turn when the turn has gone on without it.
class Turn::Attempt : public http::ResponseHandler {
 public:
  explicit Attempt(Turn* turn) : turn_(turn) {}
  void leave() { turn_ = nullptr; }

  void on_head(const http::ResponseHead& head) override {
    if (const auto turn = hold()) turn->on_head(head);
  }
  void on_body(std::string_view bytes) override {
    if (const auto turn = hold()) turn->on_body(bytes);
  }
  void on_done(const Status& status) override {
    if (const auto turn = hold()) turn->on_transport_done(status);
  }

 private:
  std::shared_ptr<Turn> hold() const {
    return turn_ == nullptr ? nullptr : turn_->shared_from_this();
  }
  Turn* turn_;
};

Turn::Turn(Shared& shared, const service::v1::ChatRequest& request, uint32_t credits,
           std::unique_ptr<provider::TurnSink> sink, std::function<void()> ended)
    : shared_(shared),
      request_(request),
      sink_(std::move(sink)),
      ended_(std::move(ended)),
      credits_(credits) {}

Turn::~Turn() { leave_attempt(false); }

void Turn::wait() {
  first_token_ms_ = request_.first_token_timeout_ms() > 0 ? request_.first_token_timeout_ms()
                                                          : shared_.config.first_token_timeout_ms;
  first_token_at_ = shared_.clock.mono_now() + first_token_ms_ * kNanosPerMilli;
  first_token_timer_ = shared_.executor.post_at(first_token_at_, [self = weak_from_this()] {
    const auto turn = self.lock();
    if (!turn || turn->done_) return;
    turn->first_token_timer_ = 0;
    if (turn->any_event_ || turn->ending_) return;
    turn->fail(service::v1::FAILURE_KIND_TIMEOUT,
               turn->shared_.endpoint + " sent no token within " +
                   std::to_string(turn->first_token_ms_) + " ms");
  });
}

void Turn::run() {
  if (done_ || ending_) return;
  auto body = build_request_body(request_, shared_.config, &names_);
  if (!body) return fail(service::v1::FAILURE_KIND_BAD_REQUEST, body.status().message());
  body_ = std::move(*body);
  attempt();
}

void Turn::attempt() {
  if (shared_.config.api_key.empty()) return send("");
  // The key is read at the time of use and forgotten with the attempt.
  shared_.resolve_key([self = weak_from_this()](Result<std::string> key) {
    const auto turn = self.lock();
    if (!turn || turn->done_ || turn->ending_) return;
    if (!key) {
      return turn->fail(service::v1::FAILURE_KIND_AUTH,
                        "the API key of " + turn->shared_.endpoint +
                            " cannot be read: " + key.status().message());
    }
    turn->send(*key);
  });
}

void Turn::send(const std::string& key) {
  const int64_t now = shared_.clock.mono_now();
  if (!shared_.breaker.allow(now)) {
    return fail(provider::make_failure(
        service::v1::FAILURE_KIND_CIRCUIT_OPEN,
        shared_.endpoint + " failed several times in a row and is left alone for a moment", 0,
        shared_.breaker.wait_ms(now)));
  }
  probing_breaker_ = true;
  key_ = key;
  mode_ = Mode::kNone;
  buffered_.clear();
  parser_.reset();
  completion_.reset();
  http::Request request = make_request(shared_.config, "/chat/completions", key);
  request.method = "POST";
  request.headers.push_back({"Content-Type", "application/json"});
  request.headers.push_back({"Accept", "text/event-stream"});
  request.body = body_;
  request.first_byte_timeout_ms = 0;  // the turn's own deadline
  request.max_body_bytes = kMaxStream;
  attempt_ = std::make_shared<Attempt>(this);
  http_id_ = shared_.http.start(std::move(request), attempt_);
}

void Turn::on_head(const http::ResponseHead& head) {
  head_ = head;
  if (head.status < 200 || head.status >= 300) {
    mode_ = Mode::kError;
    return;
  }
  completion_.emplace(names_,
                      [this](service::v1::ChatEvent event) { queue_event(std::move(event)); });
  const std::string* type = head.find("content-type");
  if (type == nullptr || type->find("event-stream") != std::string::npos) {
    mode_ = Mode::kStream;
    parser_.emplace([this](const sse::Event& event) {
      on_chunk(completion_->feed_chunk(event.data), event.data);
      return attempt_ != nullptr;
    });
  } else if (type->find("json") != std::string::npos) {
    mode_ = Mode::kWhole;
  } else {
    attempt_failed(provider::make_failure(service::v1::FAILURE_KIND_PROTOCOL,
                                          shared_.endpoint + " answered with " +
                                              scrub(type->substr(0, 80), key_) +
                                              " instead of an event stream; check base_url",
                                          head.status));
  }
}

void Turn::on_body(std::string_view bytes) {
  if (mode_ == Mode::kStream) {
    const Status status = parser_->feed(bytes);
    if (!status.ok() && attempt_) {
      attempt_failed(provider::make_failure(service::v1::FAILURE_KIND_PROTOCOL,
                                            shared_.endpoint + ": " + status.message(),
                                            head_.status));
    }
    if (attempt_ && events_.size() >= kMaxQueuedEvents && !http_paused_) {
      http_paused_ = true;
      shared_.http.pause(http_id_);
    }
    return;
  }
  const size_t limit = mode_ == Mode::kError ? kMaxErrorBody : kMaxWholeAnswer;
  buffered_.append(bytes.substr(0, limit - buffered_.size()));
  if (buffered_.size() < limit) return;
  if (mode_ == Mode::kError) return on_transport_done({});
  attempt_failed(provider::make_failure(service::v1::FAILURE_KIND_PROTOCOL,
                                        shared_.endpoint + " sent an answer of more than 16 MiB",
                                        head_.status));
}

void Turn::on_chunk(Completion::Fed fed, std::string_view data) {
  switch (fed) {
    case Completion::Fed::kOk:
      return;
    case Completion::Fed::kDone:
      return complete();
    case Completion::Fed::kError:
      return attempt_failed(failure_of_error_object(shared_.endpoint, data, key_));
    case Completion::Fed::kBad:
      return attempt_failed(provider::make_failure(service::v1::FAILURE_KIND_PROTOCOL,
                                                   shared_.endpoint + ": " + completion_->problem(),
                                                   head_.status));
  }
}

void Turn::on_transport_done(const Status& status) {
  if (mode_ == Mode::kError) {
    // An error body that was cut is still an answer.
    return attempt_failed(
        failure_of_answer(shared_.endpoint, head_, buffered_, key_, shared_.clock.wall_now()));
  }
  if (!status.ok()) return attempt_failed(failure_of_transport(status));
  if (mode_ == Mode::kWhole) {
    return on_chunk(completion_->feed_whole(buffered_), buffered_);
  }
  if (completion_ && completion_->has_finish_reason()) return complete();
  if (parser_ && !parser_->saw_field()) {
    return attempt_failed(provider::make_failure(
        service::v1::FAILURE_KIND_PROTOCOL,
        shared_.endpoint + " sent something that is no event stream; check base_url",
        head_.status));
  }
  attempt_failed(provider::make_failure(
      service::v1::FAILURE_KIND_UNAVAILABLE,
      shared_.endpoint + " closed the stream before the answer was complete", head_.status));
}

void Turn::complete() {
  if (!completion_->finish()) {
    return attempt_failed(provider::make_failure(service::v1::FAILURE_KIND_PROTOCOL,
                                                 shared_.endpoint + ": " + completion_->problem(),
                                                 head_.status));
  }
  judge(service::v1::FAILURE_KIND_UNSPECIFIED);
  leave_attempt(true);
  service::v1::ChatResult result = completion_->result(request_);
  if (const std::string* id = head_.find("x-request-id")) {
    result.set_provider_request_id(scrub(id->substr(0, 128), ""));
  }
  ending_ = [this, result = std::move(result)] { sink_->finish(result); };
  pump();
}

void Turn::queue_event(service::v1::ChatEvent event) {
  any_event_ = true;
  if (first_token_timer_ != 0) {
    shared_.executor.cancel(std::exchange(first_token_timer_, 0));
  }
  if (!events_.empty()) {
    auto& last = events_.back();
    if (event.has_text_delta() && last.has_text_delta() &&
        last.text_delta().size() + event.text_delta().size() <= kMaxJoinedDelta) {
      last.mutable_text_delta()->append(event.text_delta());
      return;
    }
    if (event.has_reasoning_delta() && last.has_reasoning_delta() &&
        last.reasoning_delta().size() + event.reasoning_delta().size() <= kMaxJoinedDelta) {
      last.mutable_reasoning_delta()->append(event.reasoning_delta());
      return;
    }
  }
  if (credits_ > 0 && events_.empty()) {
    --credits_;
    sink_->event(event);
    return;
  }
  events_.push_back(std::move(event));
}

void Turn::attempt_failed(provider::Failure failure) {
  const FailureKind kind = failure.detail.kind();
  judge(kind);
  leave_attempt(false);
  const bool worth_it = kind == service::v1::FAILURE_KIND_UNAVAILABLE ||
                        kind == service::v1::FAILURE_KIND_RATE_LIMIT ||
                        kind == service::v1::FAILURE_KIND_TIMEOUT;
  if (worth_it && !any_event_ && !done_) {
    const int64_t wait_ms = retry::backoff_ms(shared_.backoff, retries_ + 1,
                                              failure.detail.retry_after_ms(), shared_.random);
    const int64_t at = shared_.clock.mono_now() + wait_ms * kNanosPerMilli;
    if (wait_ms >= 0 && at < first_token_at_) {
      ++retries_;
      retry_timer_ = shared_.executor.post_at(at, [self = weak_from_this()] {
        if (const auto turn = self.lock(); turn && !turn->done_) {
          turn->retry_timer_ = 0;
          turn->attempt();
        }
      });
      return;
    }
  }
  fail(std::move(failure));
}

// One verdict for each allow() of the breaker.
void Turn::judge(FailureKind kind) {
  if (!std::exchange(probing_breaker_, false)) return;
  switch (kind) {
    case service::v1::FAILURE_KIND_UNAVAILABLE:
    case service::v1::FAILURE_KIND_TIMEOUT:
    case service::v1::FAILURE_KIND_PROTOCOL:
      return shared_.breaker.failed(shared_.clock.mono_now());
    case service::v1::FAILURE_KIND_RATE_LIMIT:
    case service::v1::FAILURE_KIND_CIRCUIT_OPEN:
      return shared_.breaker.abandoned();
    default:
      return shared_.breaker.succeeded();
  }
}

void Turn::fail(FailureKind kind, const std::string& message) {
  fail(provider::make_failure(kind, message));
}

void Turn::fail(provider::Failure failure) {
  if (done_ || ending_) return;
  judge(failure.detail.kind());
  leave_attempt(false);
  ending_ = [this, failure = std::move(failure)] { sink_->fail(failure.status, failure.detail); };
  pump();
}

void Turn::grant(uint32_t credits) {
  credits_ += credits;
  pump();
}

void Turn::cancel() {
  shared_.executor.post([self = weak_from_this()] {
    const auto turn = self.lock();
    if (!turn || turn->done_) return;
    turn->end([&turn] {
      turn->sink_->fail(Status(Code::kCancelled, "the turn was cancelled"),
                        service::v1::ChatFailure());
    });
  });
}

void Turn::pump() {
  if (done_ || pumping_) return;
  pumping_ = true;
  while (credits_ > 0 && !events_.empty()) {
    --credits_;
    sink_->event(events_.front());
    events_.pop_front();
  }
  pumping_ = false;
  if (events_.empty()) {
    if (http_paused_ && attempt_) {
      http_paused_ = false;
      shared_.http.resume(http_id_);
    }
    if (ending_) end(ending_);
  }
}

void Turn::end(const Ending& say) {
  const auto keep = shared_from_this();
  const Ending said = say;
  done_ = true;
  if (std::exchange(probing_breaker_, false)) shared_.breaker.abandoned();
  leave_attempt(false);
  for (TimerId* timer : {&first_token_timer_, &retry_timer_}) {
    if (*timer != 0) shared_.executor.cancel(std::exchange(*timer, 0));
  }
  said();
  ending_ = nullptr;
  ended_();
}

// Forgets the answer under way. Kept, it runs to its end unheard, so that its connection can be
// used again; otherwise it is cut.
void Turn::leave_attempt(bool keep_connection) {
  if (!attempt_) return;
  attempt_->leave();
  attempt_.reset();
  if (http_paused_) {
    http_paused_ = false;
    if (keep_connection) shared_.http.resume(http_id_);
  }
  if (!keep_connection) shared_.http.cancel(http_id_);
  key_.clear();
}

}  // namespace palyra::openai
