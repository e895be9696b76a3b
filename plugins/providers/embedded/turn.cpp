#include "plugins/providers/embedded/turn.h"

#include <utility>

namespace palyra::embedded {
namespace {
// Events in one go before the lane may run others, cancel among them.
constexpr int kBatch = 256;
}  // namespace

Turn::Turn(const Clock& clock, Executor& executor, Playback playback, TurnSettings settings,
           std::unique_ptr<provider::TurnSink> sink, std::function<void()> ended)
    : clock_(clock),
      executor_(executor),
      playback_(std::move(playback)),
      settings_(std::move(settings)),
      sink_(std::move(sink)),
      ended_(std::move(ended)) {}

void Turn::start(uint32_t credits) {
  credits_ = credits;
  started_ns_ = clock_.mono_now();
  post_pump();
}

void Turn::grant(uint32_t credits) {
  credits_ += credits;
  post_pump();
}

void Turn::cancel() {
  cancelled_ = true;
  post_pump();
}

void Turn::post_pump() {
  if (posted_ || done_) return;
  posted_ = true;
  executor_.post([self = weak_from_this()] {
    if (const auto turn = self.lock()) {
      turn->posted_ = false;
      turn->pump();
    }
  });
}

void Turn::pump() {
  if (done_) return;
  if (cancelled_) {
    end([this] {
      sink_->fail(Status(Code::kCancelled, "the turn was cancelled"), service::v1::ChatFailure());
    });
    return;
  }
  for (int n = 0; n < kBatch; ++n) {
    const Playback::Next next = playback_.peek();
    if (next == Playback::Next::kEvent && credits_ == 0) return;
    if (next == Playback::Next::kHang) {
      if (!any_event_) {
        wait_until(started_ns_ + settings_.first_token_timeout_ms * kNanosPerMilli,
                   [this] { time_out(); });
      }
      return;
    }
    if (settings_.delay_ms > 0 && !delay_over()) return;
    due_ns_ = 0;
    if (next == Playback::Next::kEvent) {
      --credits_;
      any_event_ = true;
      sink_->event(playback_.event());
      playback_.pop();
      continue;
    }
    end([this, next] {
      if (next == Playback::Next::kFailed) {
        const provider::Failure failure = playback_.failure();
        sink_->fail(failure.status, failure.detail);
        return;
      }
      service::v1::ChatResult result = playback_.result();
      result.set_model(settings_.model);
      result.set_provider_request_id(settings_.request_id);
      sink_->finish(result);
    });
    return;
  }
  post_pump();
}

bool Turn::delay_over() {
  const int64_t now = clock_.mono_now();
  if (due_ns_ == 0) due_ns_ = now + settings_.delay_ms * kNanosPerMilli;
  if (now >= due_ns_) return true;
  const int64_t limit = started_ns_ + settings_.first_token_timeout_ms * kNanosPerMilli;
  if (!any_event_ && limit < due_ns_) {
    wait_until(limit, [this] { time_out(); });
  } else {
    wait_until(due_ns_, [this] { pump(); });
  }
  return false;
}

void Turn::wait_until(int64_t when, std::function<void()> then) {
  if (timer_ != 0) return;
  timer_ = executor_.post_at(when, [self = weak_from_this(), then = std::move(then)] {
    if (const auto turn = self.lock()) {
      turn->timer_ = 0;
      if (!turn->done_) then();
    }
  });
}

void Turn::time_out() {
  end([this] {
    const provider::Failure failure = provider::make_failure(
        service::v1::FAILURE_KIND_TIMEOUT, "the embedded provider sent nothing within " +
                                               std::to_string(settings_.first_token_timeout_ms) +
                                               " ms (scripted delay or hang)");
    sink_->fail(failure.status, failure.detail);
  });
}

void Turn::end(const std::function<void()>& say) {
  const auto keep = shared_from_this();
  done_ = true;
  if (timer_ != 0) executor_.cancel(std::exchange(timer_, 0));
  say();
  ended_();
}

}  // namespace palyra::embedded
