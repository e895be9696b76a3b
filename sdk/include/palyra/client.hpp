// SPDX-License-Identifier: Apache-2.0
// Client: the caller's side of a service.
//
//   auto client = Client::acquire(host, PALYRA_SERVICE_PROVIDER, "openai");
//   Result<CountTokensResponse> counted = co_await client->call(provider::kCountTokens, request);
//
//   auto turn = client->stream(provider::kChat, request, {.deadline_ns = in_a_minute});
//   while (auto event = co_await turn.next()) show(*event);
//   Result<ChatResult> result = co_await turn.result();
//   if (!result.ok()) parse(turn.failure_detail());
//
// Invariants: everything here belongs to the instance's lane, where completions arrive; nothing is
// locked. A call begins at once. An object that is destroyed before its call has completed cancels
// it, and the completion that still comes is swallowed. A client that is released lets its calls
// complete. Clients, calls and streams are gone before the last copy of their Host.
#pragma once

#include "palyra/host.hpp"
#include "palyra/method.hpp"
#include "palyra/registry.h"

#include <coroutine>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace palyra {

struct CallOptions {
  int64_t deadline_ns = PALYRA_NO_DEADLINE;  // monotonic, absolute
  std::string_view idempotency_key = {};     // at most 128 bytes; borrowed until the call has begun
  std::string_view traceparent = {};         // W3C; borrowed until the call has begun
  std::optional<CancelToken> cancel = {};
  uint32_t window = 32;  // items in flight before the reader has taken them, >= 1
  // PALYRA_ENCODING_*; unset = protobuf unless the publication speaks JSON only.
  std::optional<uint32_t> encoding = {};
};

namespace detail {

// The lease. Calls outlive it, but do not use it after `released`.
struct Lease {
  HostState* host;
  palyra_client client;
  bool released = false;

  // False once the call object behind the lease may be gone: released, or the instance has stopped.
  bool usable() const { return !released && host->registry != nullptr; }
  void release() {
    if (std::exchange(released, true)) return;
    if (host->registry != nullptr) host->registry->release(host->registry->ctx, client.lease);
  }
};

// One call. Counted: one reference for its handle (PendingCall, Stream, CallHandle), one for the
// completion that is still to come.
class CallState : public InFlight {
 public:
  CallState(std::shared_ptr<Lease> lease, uint32_t encoding, uint32_t window)
      : lease_(std::move(lease)), encoding_(encoding), window_(window) {}

  void start(uint32_t method, std::string_view request, const CallOptions& options) {
    palyra_call_options abi{};
    abi.struct_size = sizeof(abi);
    abi.encoding = encoding_;
    abi.deadline = options.deadline_ns;
    abi.traceparent = to_str(options.traceparent);
    abi.idempotency_key = to_str(options.idempotency_key);
    abi.credits = window_;
    const palyra_sink sink{sizeof(palyra_sink), 0, this, &on_item, &on_done};
    palyra_error error = make_error();
    const palyra_client& client = lease_->client;
    if (!lease_->usable()) {
      return fail({Code::kFailedPrecondition, "the client was released before the call began"});
    }
    ref();
    lease_->host->remember(this);
    const palyra_status code =
        client.service->start(client.self, method, to_bytes(request), &abi, &sink, &op_, &error);
    if (code != PALYRA_OK) {
      lease_->host->forget(this);
      fail(Status::from_abi(code, &error));
      return unref();
    }
    started_ = true;
    if (options.cancel && !done_) {
      cancel_token_ = options.cancel;
      cancel_id_ = cancel_token_->on_cancel([this] { cancel(); });
    }
  }
  // The call never began.
  void fail(Status status) {
    status_ = std::move(status);
    done_ = true;
  }

  void cancel() {
    if (!started_ || done_ || cancelled_ || !lease_->usable()) return;
    cancelled_ = true;
    const palyra_client& client = lease_->client;
    client.service->cancel(client.self, op_);
  }
  // The reader has taken one item: grant again by halves of the window.
  void taken() {
    if (++taken_ < (window_ + 1) / 2 || done_ || !lease_->usable()) return;
    const palyra_client& client = lease_->client;
    client.service->grant(client.self, op_, std::exchange(taken_, 0));
  }
  // The handle is gone: nobody listens any more.
  virtual void abandon() {
    waiter_ = nullptr;
    items_.clear();
    deaf_ = true;
    cancel();
    unref();
  }
  void abandoned_by_host() override {
    forget_token();
    done_ = true;
    unref();
  }

  void ref() { ++references_; }
  void unref() {
    if (--references_ == 0) delete this;
  }

  bool done() const { return done_; }
  uint32_t encoding() const { return encoding_; }
  std::deque<Buffer>& items() { return items_; }
  const Status& status() const { return status_; }
  const Buffer& result() const { return result_; }
  // A result of this side's own making, such as an item that does not parse.
  void override_status(Status status) { override_ = std::move(status); }
  const std::optional<Status>& overridden() const { return override_; }
  void wait(std::coroutine_handle<> handle) { waiter_ = handle; }
  // Nobody will read items any more, here or to come.
  void drop_items() {
    dropping_ = true;
    for (; !items_.empty(); items_.pop_front()) taken();
  }
  HostState* host() const { return lease_->host; }

  template <typename Res>
  Result<Res> take_result() const {
    if (override_) return *override_;
    if (!status_.ok()) return status_;
    Res response;
    if (Status bad = decode(encoding_, result_.view(), response); !bad.ok()) {
      return Status(Code::kInternal, "the answer does not parse: " + bad.message());
    }
    return response;
  }

 protected:
  virtual void item(Buffer buffer) {
    if (dropping_) return taken();
    items_.push_back(std::move(buffer));
    wake();
  }
  virtual void completed() { wake(); }
  bool deaf() const { return deaf_; }

 private:
  static void on_item(void* ctx, palyra_buffer* raw) noexcept {
    auto* self = static_cast<CallState*>(ctx);
    Buffer buffer(self->host()->buffers, raw);
    if (self->done_ || self->deaf_) return;
    self->ref();
    self->item(std::move(buffer));
    self->unref();
  }
  static void on_done(void* ctx, palyra_status code, palyra_buffer* result,
                      const palyra_error* error) noexcept {
    auto* self = static_cast<CallState*>(ctx);
    self->result_ = Buffer(self->host()->buffers, result);
    self->status_ = Status::from_abi(code, error);
    self->done_ = true;
    self->host()->forget(self);
    self->forget_token();
    if (!self->deaf_) self->completed();
    self->unref();
  }
  void forget_token() {
    if (cancel_token_) cancel_token_->forget(cancel_id_);
    cancel_token_.reset();
  }
  void wake() {
    if (auto waiter = std::exchange(waiter_, nullptr)) waiter.resume();
  }

  const std::shared_ptr<Lease> lease_;
  const uint32_t encoding_;
  const uint32_t window_;
  uint32_t references_ = 1;
  uint32_t taken_ = 0;
  palyra_handle op_ = 0;
  bool started_ = false;
  bool done_ = false;
  bool cancelled_ = false;
  bool deaf_ = false;
  bool dropping_ = false;
  std::deque<Buffer> items_;
  std::coroutine_handle<> waiter_;
  Status status_;
  std::optional<Status> override_;
  Buffer result_;
  std::optional<CancelToken> cancel_token_;
  uint64_t cancel_id_ = 0;
};

// Owns a handle's reference.
class CallRef {
 public:
  CallRef() = default;
  explicit CallRef(CallState* state) : state_(state) {}
  CallRef(CallRef&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  CallRef& operator=(CallRef&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~CallRef() { reset(); }
  void reset() {
    if (CallState* state = std::exchange(state_, nullptr)) state->abandon();
  }
  CallState* operator->() const { return state_; }
  explicit operator bool() const { return state_ != nullptr; }

 private:
  CallState* state_ = nullptr;
};

// A call with functions instead of a coroutine.
template <typename Item, typename Res, typename OnItem, typename OnDone>
class CallbackCall final : public CallState {
 public:
  CallbackCall(std::shared_ptr<Lease> lease, uint32_t encoding, uint32_t window, OnItem on_item,
               OnDone on_done)
      : CallState(std::move(lease), encoding, window),
        on_item_(std::move(on_item)),
        on_done_(std::move(on_done)) {}

  // For a call that failed to begin: the functions never run inside the call that began it.
  void finish_later() {
    ref();
    host()->executor.post([call = CallGuard(this)] {
      if (!call.state->deaf()) call.state->completed();
    });
  }

 private:
  struct CallGuard {
    explicit CallGuard(CallbackCall* s) : state(s) {}
    CallGuard(const CallGuard& other) : state(other.state) { state->ref(); }
    ~CallGuard() { state->unref(); }
    CallbackCall* state;
  };

  void item(Buffer buffer) override {
    if constexpr (!std::is_void_v<Item>) {
      if (overridden()) return;
      Item message;
      if (Status bad = decode(encoding(), buffer.view(), message); !bad.ok()) {
        override_status({Code::kInternal, "an item does not parse: " + bad.message()});
        return cancel();
      }
      on_item_(std::move(message));
      taken();
    }
  }
  void completed() override {
    auto on_done = std::move(on_done_);
    on_done(take_result<Res>(), result().view());
  }

  OnItem on_item_;
  OnDone on_done_;
};

}  // namespace detail

// A unary call under way: co_await it once.
template <typename Res>
class [[nodiscard]] PendingCall {
 public:
  explicit PendingCall(detail::CallState* state) : call_(state) {}

  bool await_ready() const { return call_->done(); }
  void await_suspend(std::coroutine_handle<> handle) { call_->wait(handle); }
  Result<Res> await_resume() { return call_->template take_result<Res>(); }

  void cancel() { call_->cancel(); }
  // The contract's failure message of a call that failed, as bytes; empty if there is none.
  std::string_view failure_detail() const {
    return call_->status().ok() ? std::string_view() : call_->result().view();
  }
  uint32_t encoding() const { return call_->encoding(); }

 private:
  detail::CallRef call_;
};

// A stream under way. At most one co_await at a time.
template <typename Item, typename Res>
class [[nodiscard]] Stream {
 public:
  explicit Stream(detail::CallState* state) : call_(state) {}

  // The next item, or nothing once the stream has ended: then ask result().
  auto next() { return Next(call_.operator->()); }
  // How it ended. Items not read yet are dropped.
  auto result() { return Ended(call_.operator->()); }
  void cancel() { call_->cancel(); }
  std::string_view failure_detail() const {
    return call_->status().ok() ? std::string_view() : call_->result().view();
  }
  uint32_t encoding() const { return call_->encoding(); }

 private:
  // Waits on the call; a frame that is destroyed meanwhile is not resumed.
  struct Waiting {
    explicit Waiting(detail::CallState* state) : call(state) { call->ref(); }
    Waiting(const Waiting&) = delete;
    ~Waiting() {
      if (suspended) call->wait(nullptr);
      call->unref();
    }
    void suspend(std::coroutine_handle<> handle) {
      suspended = true;
      call->wait(handle);
    }
    detail::CallState* call;
    bool suspended = false;
  };
  struct Next : Waiting {
    using Waiting::call;
    using Waiting::Waiting;
    bool await_ready() const { return !call->items().empty() || call->done(); }
    void await_suspend(std::coroutine_handle<> handle) { this->suspend(handle); }
    std::optional<Item> await_resume() {
      this->suspended = false;
      if (call->items().empty() || call->overridden()) return std::nullopt;
      Buffer buffer = std::move(call->items().front());
      call->items().pop_front();
      Item message;
      if (Status bad = decode(call->encoding(), buffer.view(), message); !bad.ok()) {
        call->override_status({Code::kInternal, "an item does not parse: " + bad.message()});
        call->items().clear();
        call->cancel();
        return std::nullopt;
      }
      call->taken();
      return message;
    }
  };
  struct Ended : Waiting {
    using Waiting::call;
    using Waiting::Waiting;
    bool await_ready() const { return call->done(); }
    void await_suspend(std::coroutine_handle<> handle) {
      call->drop_items();
      this->suspend(handle);
    }
    Result<Res> await_resume() {
      this->suspended = false;
      return call->template take_result<Res>();
    }
  };

  detail::CallRef call_;
};

// A call with callbacks under way. Destroying it cancels the call and no function runs any more;
// detach() lets it run to its end on its own.
class [[nodiscard]] CallHandle {
 public:
  CallHandle() = default;
  explicit CallHandle(detail::CallState* state) : call_(state) {}
  CallHandle(CallHandle&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  CallHandle& operator=(CallHandle&& other) noexcept {
    std::swap(call_, other.call_);
    return *this;
  }
  ~CallHandle() {
    if (call_ != nullptr) call_->abandon();
  }
  void cancel() {
    if (call_ != nullptr) call_->cancel();
  }
  void detach() {
    if (call_ != nullptr) std::exchange(call_, nullptr)->unref();
  }

 private:
  detail::CallState* call_ = nullptr;
};

// A lease on a service. Movable. Releasing it (or destroying it) cancels the calls in flight, which
// still complete.
class Client {
 public:
  // An empty instance: the one that [services] binds, or the only one. Errors as palyra_registry's.
  static Result<Client> acquire(const Host& host, std::string_view service_id,
                                std::string_view instance = {}) {
    const palyra_registry* registry = host.registry();
    if (registry == nullptr) return Host::missing(PALYRA_REGISTRY);
    auto lease = std::make_shared<detail::Lease>();
    lease->host = host.state();
    lease->client = palyra_client{};
    lease->client.struct_size = sizeof(palyra_client);
    palyra_error error = make_error();
    const palyra_status code = registry->acquire(registry->ctx, to_str(service_id),
                                                 to_str(instance), &lease->client, &error);
    if (code != PALYRA_OK) return Status::from_abi(code, &error);
    return Client(std::move(lease));
  }

  Client(Client&&) noexcept = default;
  Client& operator=(Client&& other) noexcept {
    std::swap(lease_, other.lease_);
    return *this;
  }
  ~Client() { release(); }

  void release() {
    if (lease_) lease_->release();
  }
  uint32_t encodings() const { return lease_->client.encodings; }
  uint32_t minor() const { return lease_->client.service->minor; }

  template <typename Req, typename Res>
  PendingCall<Res> call(Unary<Req, Res> method, const Req& request,
                        const CallOptions& options = {}) const {
    auto* state = new detail::CallState(lease_, encoding(options), 0);
    begin(*state, method.number, request, options);
    return PendingCall<Res>(state);
  }
  template <typename Req, typename Item, typename Res>
  Stream<Item, Res> stream(ServerStream<Req, Item, Res> method, const Req& request,
                           const CallOptions& options = {}) const {
    auto* state = new detail::CallState(lease_, encoding(options), window(options));
    begin(*state, method.number, request, options);
    return Stream<Item, Res>(state);
  }

  template <typename Req, typename Item, typename Res>
  Stream<Item, Res> stream(ServerStream<Req, Item, Res> method, const Serialised<Req>& request,
                           const CallOptions& options = {}) const {
    auto* state = new detail::CallState(lease_, encoding(options), window(options));
    begin(*state, method.number, request, options);
    return Stream<Item, Res>(state);
  }

  // Without a coroutine: on_done(Result<Res>, std::string_view failure_detail) once, on the lane,
  // never inside this call.
  template <typename Req, typename Res, typename OnDone>
  CallHandle call(Unary<Req, Res> method, const Req& request, const CallOptions& options,
                  OnDone on_done) const {
    auto* state = new detail::CallbackCall<void, Res, NoItems, OnDone>(
        lease_, encoding(options), 0, NoItems{}, std::move(on_done));
    begin(*state, method.number, request, options);
    if (state->done()) state->finish_later();
    return CallHandle(state);
  }
  // As above, with on_item(Item&&) for each item.
  template <typename Req, typename Item, typename Res, typename OnItem, typename OnDone>
  CallHandle stream(ServerStream<Req, Item, Res> method, const Req& request,
                    const CallOptions& options, OnItem on_item, OnDone on_done) const {
    auto* state = new detail::CallbackCall<Item, Res, OnItem, OnDone>(
        lease_, encoding(options), window(options), std::move(on_item), std::move(on_done));
    begin(*state, method.number, request, options);
    if (state->done()) state->finish_later();
    return CallHandle(state);
  }

 private:
  struct NoItems {};
  explicit Client(std::shared_ptr<detail::Lease> lease) : lease_(std::move(lease)) {}

  static uint32_t window(const CallOptions& options) {
    return options.window == 0 ? 1 : options.window;
  }
  uint32_t encoding(const CallOptions& options) const {
    if (options.encoding) return *options.encoding;
    const bool json_only = encodings() == (1u << PALYRA_ENCODING_JSON);
    return json_only ? PALYRA_ENCODING_JSON : PALYRA_ENCODING_PROTOBUF;
  }
  template <typename Req>
  static void begin(detail::CallState& state, uint32_t method, const Req& request,
                    const CallOptions& options) {
    if (options.cancel && options.cancel->cancelled()) {
      return state.fail({Code::kCancelled, "cancelled before the call began"});
    }
    // Small requests do not touch the heap.
    if (state.encoding() == PALYRA_ENCODING_PROTOBUF) {
      char small[1024];
      const size_t size = request.ByteSizeLong();
      if (size <= sizeof(small)) {
        if (request.SerializeToArray(small, static_cast<int>(size))) {
          return state.start(method, {small, size}, options);
        }
      }
    }
    std::string bytes;
    if (Status bad = encode(state.encoding(), request, bytes); !bad.ok()) return state.fail(bad);
    state.start(method, bytes, options);
  }
  template <typename Req>
  static void begin(detail::CallState& state, uint32_t method, const Serialised<Req>& request,
                    const CallOptions& options) {
    if (options.cancel && options.cancel->cancelled()) {
      return state.fail({Code::kCancelled, "cancelled before the call began"});
    }
    if (state.encoding() == PALYRA_ENCODING_PROTOBUF) {
      return state.start(method, request.bytes, options);
    }
    std::string bytes;
    if (Status bad = encode(state.encoding(), request, bytes); !bad.ok()) return state.fail(bad);
    state.start(method, bytes, options);
  }

  std::shared_ptr<detail::Lease> lease_;
};

// What is published of one service, now and later. on_change(added, publication) runs on the lane;
// the publication is borrowed. Destroying the watch, or the
// instance's stop, ends it.
class ServiceWatch : private detail::Stoppable {
 public:
  struct Publication {
    std::string_view service_id;
    std::string_view instance;
    uint32_t encodings;
    const palyra_field* labels;
    uint32_t label_count;
  };
  using OnChange = std::function<void(bool added, const Publication& publication)>;

  static Result<std::unique_ptr<ServiceWatch>> start(const Host& host, std::string_view service_id,
                                                     OnChange on_change) {
    const palyra_registry* registry = host.registry();
    if (registry == nullptr) return Host::missing(PALYRA_REGISTRY);
    std::unique_ptr<ServiceWatch> watch(new ServiceWatch(host, std::move(on_change)));
    const palyra_watch_sink sink{sizeof(palyra_watch_sink), 0, watch.get(), &changed};
    palyra_error error = make_error();
    const palyra_status code =
        registry->watch(registry->ctx, to_str(service_id), &sink, &watch->watch_, &error);
    if (code != PALYRA_OK) return Status::from_abi(code, &error);
    return watch;
  }
  ServiceWatch(const ServiceWatch&) = delete;
  ServiceWatch& operator=(const ServiceWatch&) = delete;
  ~ServiceWatch() override {
    std::erase(host_.state()->stoppables, static_cast<detail::Stoppable*>(this));
    on_stop();
  }

 private:
  ServiceWatch(Host host, OnChange on_change)
      : host_(std::move(host)), on_change_(std::move(on_change)) {
    host_.state()->stoppables.push_back(this);
  }
  void on_stop() override {
    const palyra_registry* registry = host_.registry();
    const palyra_handle watch = std::exchange(watch_, 0);
    if (watch != 0 && registry != nullptr) registry->unwatch(registry->ctx, watch);
  }
  static void changed(void* ctx, uint32_t event, const palyra_publication* publication) noexcept {
    static_cast<ServiceWatch*>(ctx)->on_change_(
        event == PALYRA_WATCH_ADDED,
        {view(publication->service_id), view(publication->instance), publication->encodings,
         publication->labels, publication->label_count});
  }

  const Host host_;
  OnChange on_change_;
  palyra_handle watch_ = 0;
};

}  // namespace palyra
