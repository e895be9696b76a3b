// SPDX-License-Identifier: Apache-2.0
// Task<T>: a coroutine that runs on the lane of whoever started it. Lazy: it begins when awaited or
// spawned, and resumes its awaiter directly. Nothing here is thread-safe on purpose: a task and all
// it awaits live on one lane.
//
// A suspended task can be destroyed: everything awaitable here forgets a waiter whose frame is
// gone. TaskScope owns the tasks it has spawned and destroys those that are still suspended when it
// ends, so that nothing waits for ever after a plugin's stop.
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
  // Errors are values; an exception is a bug, which travels to the awaiter and ends at a border
  // guard.
  void unhandled_exception() noexcept { exception = std::current_exception(); }

  std::exception_ptr exception;
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
    if (handle_.promise().exception) std::rethrow_exception(handle_.promise().exception);
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

// Owns the tasks it spawns. clear() and the destructor destroy those still suspended, innermost
// locals first, without resuming them. Must not be destroyed by a task of its own. Lane only.
class TaskScope {
 public:
  TaskScope() = default;
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;
  ~TaskScope() { clear(); }

  // Starts a task now. An exception that leaves it ends the process, as with spawn().
  void spawn(Task<void> task) { run(*this, std::move(task)); }
  bool empty() const { return head_ == nullptr; }
  void clear() {
    while (head_ != nullptr) Owned::Handle::from_promise(*head_).destroy();
  }

 private:
  struct Owned {
    struct promise_type;
    using Handle = std::coroutine_handle<promise_type>;
    struct promise_type {
      promise_type(TaskScope& owner, Task<void>&) : scope(owner), next(owner.head_) {
        if (next != nullptr) next->previous = this;
        owner.head_ = this;
      }
      promise_type(const promise_type&) = delete;
      ~promise_type() {
        (previous != nullptr ? previous->next : scope.head_) = next;
        if (next != nullptr) next->previous = previous;
      }
      Owned get_return_object() noexcept { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() noexcept {}
      void unhandled_exception() noexcept { std::terminate(); }

      TaskScope& scope;
      promise_type* next;
      promise_type* previous = nullptr;
    };
  };
  static Owned run(TaskScope&, Task<void> task) { co_await std::move(task); }

  Owned::promise_type* head_ = nullptr;
};

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

  auto operator co_await() const noexcept { return Awaiter(shared_); }

 private:
  struct Shared {
    std::optional<T> value;
    std::coroutine_handle<> waiter;
  };
  struct Awaiter {
    explicit Awaiter(std::shared_ptr<Shared> slot) : shared(std::move(slot)) {}
    Awaiter(Awaiter&&) = default;
    // A frame destroyed while it waits is not resumed.
    ~Awaiter() {
      if (waiting) shared->waiter = nullptr;
    }
    bool await_ready() const noexcept { return shared->value.has_value(); }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
      assert(!shared->waiter);
      shared->waiter = handle;
      waiting = true;
    }
    T await_resume() {
      waiting = false;
      return std::move(*shared->value);
    }
    std::shared_ptr<Shared> shared;
    bool waiting = false;
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
  // Runs `fn` at cancel(), or now if that has been. The number is for forget(); 0 if it has run.
  uint64_t on_cancel(std::function<void()> fn) const {
    if (shared_->cancelled) {
      fn();
      return 0;
    }
    shared_->callbacks.emplace_back(++shared_->last_id, std::move(fn));
    return shared_->last_id;
  }
  // The function will not run. Unknown numbers are ignored.
  void forget(uint64_t id) const {
    std::erase_if(shared_->callbacks, [id](const auto& callback) { return callback.first == id; });
  }
  void cancel() const {
    if (std::exchange(shared_->cancelled, true)) return;
    for (auto& callback : std::exchange(shared_->callbacks, {})) callback.second();
  }

 private:
  struct Shared {
    bool cancelled = false;
    uint64_t last_id = 0;
    std::vector<std::pair<uint64_t, std::function<void()>>> callbacks;
  };
  std::shared_ptr<Shared> shared_;
};

}  // namespace palyra
