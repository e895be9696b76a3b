// SPDX-License-Identifier: Apache-2.0
// Task<T>: a coroutine that runs on the lane of whoever started it. Lazy: it begins when awaited or
// spawned, and resumes its awaiter directly. Nothing here is thread-safe on purpose: a task and all
// it awaits live on one lane.
#pragma once

#include "palyra/world.hpp"

#include <cassert>
#include <coroutine>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace palyra {

template <typename T>
class Task;

namespace detail {

struct PromiseBase {
  std::coroutine_handle<> continuation = std::noop_coroutine();

  struct Final {
    bool await_ready() noexcept { return false; }
    template <typename P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) noexcept {
      return self.promise().continuation;
    }
    void await_resume() noexcept {}
  };

  std::suspend_always initial_suspend() noexcept { return {}; }
  Final final_suspend() noexcept { return {}; }
  // Errors are values; an exception that gets here is a bug in this library, not an outcome.
  void unhandled_exception() noexcept { std::terminate(); }
};

template <typename T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <typename U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() noexcept {}
};

}  // namespace detail

template <typename T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
    handle_.promise().continuation = awaiter;
    return handle_;
  }
  T await_resume() {
    if constexpr (!std::is_void_v<T>) return std::move(*handle_.promise().value);
  }

 private:
  Handle handle_;
};

namespace detail {
template <typename T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};
inline Detached run_detached(Task<void> task) { co_await std::move(task); }
}  // namespace detail

// Starts a task now, on the calling lane, and lets it run to its end. It owns itself: whatever it
// refers to must outlive it.
inline void spawn(Task<void> task) { detail::run_detached(std::move(task)); }

// One value, set once, awaited by at most one task. Copies share the slot, so the setter may
// outlive the awaiter. Resumes the awaiter inside set(); post first where that is not wanted.
template <typename T>
class Slot {
 public:
  Slot() : shared_(std::make_shared<Shared>()) {}

  void set(T value) const {
    if (shared_->value) return;
    shared_->value.emplace(std::move(value));
    if (auto waiter = std::exchange(shared_->waiter, nullptr)) waiter.resume();
  }
  bool ready() const { return shared_->value.has_value(); }

  bool await_ready() const noexcept { return ready(); }
  void await_suspend(std::coroutine_handle<> waiter) const noexcept {
    assert(!shared_->waiter);
    shared_->waiter = waiter;
  }
  T await_resume() const { return std::move(*shared_->value); }

 private:
  struct Shared {
    std::optional<T> value;
    std::coroutine_handle<> waiter;
  };
  std::shared_ptr<Shared> shared_;
};

// Many waiters, woken together; may be signalled again and again. A waiter sees only later signals.
// Waiters are resumed from the executor, not inside notify().
class Signal {
 public:
  explicit Signal(Executor& executor) : executor_(executor) {}
  Signal(const Signal&) = delete;

  void notify() {
    for (auto& slot : std::exchange(waiters_, {})) {
      executor_.post([slot] { slot.set(true); });
    }
  }
  // True after notify; false when `deadline_ns` (monotonic; INT64_MAX = none) came first.
  Task<bool> wait(int64_t deadline_ns = INT64_MAX) {
    Slot<bool> slot;
    waiters_.push_back(slot);
    if (deadline_ns == INT64_MAX) co_return co_await slot;
    const TimerId timer = executor_.post_at(deadline_ns, [slot] { slot.set(false); });
    const bool notified = co_await slot;
    if (notified) {
      executor_.cancel(timer);
    } else {
      std::erase_if(waiters_, [](const Slot<bool>& waiter) { return waiter.ready(); });
    }
    co_return notified;
  }

 private:
  Executor& executor_;
  std::vector<Slot<bool>> waiters_;
};

// Lets the lane run others; resumes at or after `mono_ns`.
inline Task<void> sleep_until(Executor& executor, int64_t mono_ns) {
  Slot<bool> slot;
  executor.post_at(mono_ns, [slot] { slot.set(true); });
  co_await slot;
}

// A request to stop, handed down a chain of calls. One source, many tokens; on one lane.
class CancelToken {
 public:
  CancelToken() : shared_(std::make_shared<Shared>()) {}
  bool cancelled() const { return shared_->cancelled; }
  // Runs `fn` at cancel(), or now if that has been.
  void on_cancel(std::function<void()> fn) const {
    if (shared_->cancelled) return fn();
    shared_->callbacks.push_back(std::move(fn));
  }
  void cancel() const {
    if (std::exchange(shared_->cancelled, true)) return;
    for (auto& fn : std::exchange(shared_->callbacks, {})) fn();
  }

 private:
  struct Shared {
    bool cancelled = false;
    std::vector<std::function<void()>> callbacks;
  };
  std::shared_ptr<Shared> shared_;
};

}  // namespace palyra
