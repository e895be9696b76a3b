// SPDX-License-Identifier: Apache-2.0
// ServiceBase: the publisher's side of a service, for instances with a lane.
//
//   class Echo : public ServiceBase {
//    public:
//     explicit Echo(Host host) : ServiceBase(std::move(host), PALYRA_SERVICE_TOOL) {
//       unary(tool::kList, this, &Echo::list);
//       stream(tool::kInvoke, this, &Echo::invoke);
//     }
//     Task<Result<ListToolsResponse>> list(ListToolsRequest request, CallContext& call);
//     Task<Result<InvokeResult>> invoke(InvokeRequest request, CallContext& call,
//                                       ItemWriter<InvokeProgress>& progress);
//   };
//
// Invariants: every start that returned OK is completed exactly once, never inside start; a handler
// that throws completes with INTERNAL; handlers still suspended when the instance stops are
// destroyed and their calls end UNAVAILABLE. All functions run on the instance's lane (a manifest
// with concurrency "any" uses raw_service.hpp instead). The object lives until the instance's stop.
#pragma once

#include "palyra/host.hpp"
#include "palyra/method.hpp"
#include "palyra/registry.h"

#include <algorithm>
#include <coroutine>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace palyra {

class ServiceBase;

// One call, as its handler sees it. Valid until the handler has returned.
class CallContext {
 public:
  CallContext(const CallContext&) = delete;
  CallContext& operator=(const CallContext&) = delete;

  const std::string& caller() const { return caller_; }  // instance name, filled by the registry
  bool from_hub() const { return (flags_ & PALYRA_CALLER_HUB) != 0; }
  uint32_t caller_flags() const { return flags_; }
  int64_t deadline_ns() const { return deadline_; }  // monotonic; PALYRA_NO_DEADLINE = none
  const std::string& idempotency_key() const { return idempotency_key_; }
  const std::string& traceparent() const { return traceparent_; }
  uint32_t encoding() const { return encoding_; }
  const CancelToken& cancel() const { return cancel_; }
  bool cancelled() const { return cancel_.cancelled(); }
  Executor& executor() const { return host_.executor(); }
  const Host& host() const { return host_; }

  // Fails with the contract's failure message beside the status:
  //   co_return call.fail(Status(Code::kUnavailable, "..."), chat_failure);
  template <typename M>
  Status fail(Status status, const M& detail) {
    if (!encode(encoding_, detail, detail_).ok()) detail_.clear();
    has_detail_ = true;
    return status;
  }

 private:
  friend class ServiceBase;
  template <typename>
  friend class ItemWriter;

  CallContext(const Host& host, palyra_handle op, const palyra_call_options* options,
              const palyra_sink& sink)
      : host_(host), op_(op), sink_(sink) {
    if (options == nullptr) return;
    // Older callers know fewer members.
    palyra_call_options known{};
    known.deadline = PALYRA_NO_DEADLINE;
    std::memcpy(&known, options, std::min<size_t>(options->struct_size, sizeof(known)));
    deadline_ = known.deadline;
    encoding_ = known.encoding;
    credits_ = known.credits;
    flags_ = known.caller_flags;
    traceparent_ = view(known.traceparent);
    idempotency_key_ = view(known.idempotency_key);
    caller_ = view(known.caller);
  }

  void wake() {
    if (auto writer = std::exchange(writer_, nullptr)) writer.resume();
  }

  const Host& host_;
  const palyra_handle op_;
  const palyra_sink sink_;
  bool in_start_ = true;
  bool done_ = false;
  bool has_detail_ = false;
  uint32_t encoding_ = PALYRA_ENCODING_PROTOBUF;
  uint32_t flags_ = 0;
  uint64_t credits_ = 0;
  int64_t deadline_ = PALYRA_NO_DEADLINE;
  std::string caller_, idempotency_key_, traceparent_, detail_;
  CancelToken cancel_;
  std::coroutine_handle<> writer_;
};

// Sends a stream's items, within the caller's credits. One write at a time.
template <typename Item>
class ItemWriter {
 public:
  explicit ItemWriter(CallContext& call) : call_(call) {}

  // Sends `item`, after waiting for a credit. CANCELLED once the caller has given up.
  auto write(const Item& item) {
    Write write{call_, {}, {}};
    write.status = prepare(item, write.buffer);
    return write;
  }
  // Sends `item` now; RESOURCE_EXHAUSTED if there is no credit.
  Status try_write(const Item& item) {
    if (call_.cancelled()) return gone();
    if (call_.credits_ == 0) return {Code::kResourceExhausted, "the caller has granted no credit"};
    Buffer buffer;
    if (Status bad = prepare(item, buffer); !bad.ok()) return bad;
    send(call_, buffer);
    return {};
  }
  uint64_t credits() const { return call_.credits_; }

 private:
  struct Write {
    ~Write() {
      if (suspended) call.writer_ = nullptr;
    }
    bool await_ready() const { return !status.ok() || call.cancelled() || call.credits_ > 0; }
    void await_suspend(std::coroutine_handle<> handle) {
      call.writer_ = handle;
      suspended = true;
    }
    Status await_resume() {
      suspended = false;
      if (!status.ok()) return status;
      if (call.cancelled() || call.done_) return gone();
      send(call, buffer);
      return {};
    }
    CallContext& call;
    Status status;
    Buffer buffer;
    bool suspended = false;
  };

  static Status gone() { return {Code::kCancelled, "the caller cancelled the call"}; }
  static void send(CallContext& call, Buffer& buffer) {
    --call.credits_;
    call.sink_.on_item(call.sink_.ctx, buffer.release());
  }
  Status prepare(const Item& item, Buffer& buffer) const {
    return ItemWriter::encode_to_buffer(call_.host_, call_.encoding_, item, buffer);
  }

 public:
  // `message` as a sealed buffer.
  static Status encode_to_buffer(const Host& host, uint32_t encoding, const Item& message,
                                 Buffer& buffer) {
    if (encoding == PALYRA_ENCODING_PROTOBUF) {
      const size_t size = message.ByteSizeLong();
      if (size > (size_t{1} << 30)) return {Code::kInternal, "a message of more than 1 GiB"};
      buffer = host.alloc(size);
      if (!buffer) return {Code::kResourceExhausted, "out of memory for a message"};
      if (!message.SerializeToArray(buffer.data(), static_cast<int>(size))) {
        return {Code::kInternal, "a message does not serialise"};
      }
      buffer.seal(size);
      return {};
    }
    std::string text;
    if (Status bad = encode(encoding, message, text); !bad.ok()) return bad;
    buffer = host.copy(text);
    if (!buffer) return {Code::kResourceExhausted, "out of memory for a message"};
    return {};
  }

 private:
  CallContext& call_;
};

class ServiceBase : private detail::Stoppable {
 public:
  ServiceBase(Host host, std::string_view service_id, uint32_t minor = 0)
      : host_(std::move(host)), service_id_(service_id) {
    table_ = {sizeof(palyra_service), minor, &on_start, &on_grant, &on_cancel};
    host_.state()->stoppables.push_back(this);
  }
  ServiceBase(const ServiceBase&) = delete;
  ServiceBase& operator=(const ServiceBase&) = delete;
  ~ServiceBase() override {
    std::erase(host_.state()->stoppables, static_cast<detail::Stoppable*>(this));
    withdraw();
    for (auto& entry : calls_) entry.second->done_ = true;
    handlers_.clear();
  }

  // handler: Task<Result<Res>>(Req, CallContext&). Register everything before publish.
  template <typename Req, typename Res, typename F>
  void unary(Unary<Req, Res> method, F handler) {
    add<Req, Res>(method.number, [handler = std::move(handler)](Req request, CallContext& call) {
      return handler(std::move(request), call);
    });
  }
  template <typename Req, typename Res, typename Self>
  void unary(Unary<Req, Res> method, Self* self,
             Task<Result<Res>> (Self::*handler)(Req, CallContext&)) {
    add<Req, Res>(method.number, [self, handler](Req request, CallContext& call) {
      return (self->*handler)(std::move(request), call);
    });
  }
  // handler: Task<Result<Res>>(Req, CallContext&, ItemWriter<Item>&).
  template <typename Req, typename Item, typename Res, typename F>
  void stream(ServerStream<Req, Item, Res> method, F handler) {
    add<Req, Res>(method.number, [handler = std::move(handler)](Req request, CallContext& call) {
      return with_writer<Item, Res>(handler, std::move(request), call);
    });
  }
  template <typename Req, typename Item, typename Res, typename Self>
  void stream(ServerStream<Req, Item, Res> method, Self* self,
              Task<Result<Res>> (Self::*handler)(Req, CallContext&, ItemWriter<Item>&)) {
    stream(method, [self, handler](Req request, CallContext& call, ItemWriter<Item>& writer) {
      return (self->*handler)(std::move(request), call, writer);
    });
  }

  // Offers the service. Encodings: protobuf, and JSON if a codec is set and fits every message.
  Status publish(std::initializer_list<Field> labels = {}) {
    const palyra_registry* registry = host_.registry();
    if (registry == nullptr) return Host::missing(PALYRA_REGISTRY);
    std::vector<palyra_field> fields;
    for (const Field& label : labels) fields.push_back({to_str(label.name), to_str(label.value)});
    const bool json = all_json_ && json_codec() != nullptr;
    const palyra_publish_options options{
        sizeof(palyra_publish_options),
        (1u << PALYRA_ENCODING_PROTOBUF) | (json ? 1u << PALYRA_ENCODING_JSON : 0u), fields.data(),
        static_cast<uint32_t>(fields.size()), 0};
    palyra_error error = make_error();
    return Status::from_abi(registry->publish(registry->ctx, to_str(service_id_), &table_, self(),
                                              &options, &publication_, &error),
                            &error);
  }
  void withdraw() {
    const palyra_handle publication = std::exchange(publication_, 0);
    const palyra_registry* registry = host_.registry();
    if (publication != 0 && registry != nullptr) registry->withdraw(registry->ctx, publication);
  }

  const Host& host() const { return host_; }
  size_t calls_in_flight() const { return calls_.size(); }
  // For a caller without a registry, such as a test.
  const palyra_service* table() const { return &table_; }
  void* self() { return this; }

  // Ends every call in flight: its handler is destroyed, the caller gets UNAVAILABLE, retryable.
  // The instance's stop does it for every service. Not from a handler.
  void shutdown() {
    stopped_ = true;
    withdraw();
    handlers_.clear();
    for (auto& entry : std::exchange(calls_, {})) {
      complete(
          *entry.second,
          Status(Code::kUnavailable, "the instance is stopping: try again", PALYRA_ERROR_RETRYABLE),
          {});
    }
  }

 private:
  using CallPtr = std::shared_ptr<CallContext>;
  // Parses and returns the handler's task; a bad request gives a Status.
  using Begin = std::function<Status(const CallPtr&, std::string_view request)>;

  void on_stop() override { shutdown(); }

  template <typename Req, typename Res, typename F>
  void add(uint32_t number, F invoke) {
    all_json_ = all_json_ && detail::kHasJson<Req> && detail::kHasJson<Res>;
    methods_[number] = [this, invoke = std::move(invoke)](const CallPtr& call,
                                                          std::string_view bytes) -> Status {
      Req request;
      if (Status bad = decode(call->encoding_, bytes, request); !bad.ok()) return bad;
      handlers_.spawn(run<Req, Res>(invoke, std::move(request), call));
      return {};
    };
  }
  template <typename Req, typename Res, typename F>
  Task<void> run(const F& invoke, Req request, CallPtr call) {
    // The caller does not expect items before start has returned.
    Slot<bool> started;
    host_.executor().post([started] { started.set(true); });
    co_await started;
    Status status;
    Buffer buffer;
    try {
      Result<Res> result = co_await invoke(std::move(request), *call);
      status = result.status();
      if (status.ok()) {
        status = ItemWriter<Res>::encode_to_buffer(host_, call->encoding_, *result, buffer);
      }
    } catch (const std::exception& e) {
      status = Status(Code::kInternal, service_id_ + ": the handler failed: " + e.what());
    } catch (...) {
      status = Status(Code::kInternal, service_id_ + ": the handler failed");
    }
    if (!status.ok()) {
      buffer = Buffer();
      if (call->has_detail_) buffer = host_.copy(call->detail_);
    }
    calls_.erase(call->op_);
    complete(*call, status, std::move(buffer));
  }
  template <typename Item, typename Res, typename F, typename Req>
  static Task<Result<Res>> with_writer(const F& handler, Req request, CallContext& call) {
    ItemWriter<Item> writer(call);
    co_return co_await handler(std::move(request), call, writer);
  }

  static void complete(CallContext& call, const Status& status, Buffer result) {
    if (std::exchange(call.done_, true)) return;
    if (status.ok()) {
      call.sink_.on_done(call.sink_.ctx, PALYRA_OK, result.release(), nullptr);
    } else {
      palyra_error error = make_error();
      const palyra_status code = status.to_abi(&error);
      call.sink_.on_done(call.sink_.ctx, code, result.release(), &error);
    }
  }

  palyra_status start(uint32_t method, palyra_bytes request, const palyra_call_options* options,
                      const palyra_sink* sink, palyra_handle* op, palyra_error* error) {
    if (stopped_) {
      return Status(Code::kUnavailable, "the instance is stopping: try again",
                    PALYRA_ERROR_RETRYABLE)
          .to_abi(error);
    }
    const auto found = methods_.find(method);
    if (found == methods_.end()) {
      return Status(Code::kUnimplemented,
                    service_id_ + " has no method " + std::to_string(method) + " in this version")
          .to_abi(error);
    }
    CallPtr call(new CallContext(host_, ++last_op_, options, *sink));
    calls_.emplace(last_op_, call);
    *op = last_op_;
    if (Status bad = found->second(call, view(request)); !bad.ok()) {
      calls_.erase(call->op_);
      return bad.to_abi(error);
    }
    return PALYRA_OK;
  }

  static palyra_status on_start(void* self, uint32_t method, palyra_bytes request,
                                const palyra_call_options* options, const palyra_sink* sink,
                                palyra_handle* op, palyra_error* error) noexcept {
    try {
      return static_cast<ServiceBase*>(self)->start(method, request, options, sink, op, error);
    } catch (const std::exception& e) {
      return Status(Code::kInternal, std::string("a call could not begin: ") + e.what())
          .to_abi(error);
    } catch (...) {
      return Status(Code::kInternal, "a call could not begin").to_abi(error);
    }
  }
  static void on_grant(void* self, palyra_handle op, uint32_t credits) noexcept {
    auto& calls = static_cast<ServiceBase*>(self)->calls_;
    const auto found = calls.find(op);
    if (found == calls.end()) return;
    const CallPtr call = found->second;
    call->credits_ += credits;
    if (call->credits_ > 0) call->wake();
  }
  static void on_cancel(void* self, palyra_handle op) noexcept {
    auto& calls = static_cast<ServiceBase*>(self)->calls_;
    const auto found = calls.find(op);
    if (found == calls.end()) return;
    const CallPtr call = found->second;
    call->cancel_.cancel();
    call->wake();
  }

  const Host host_;
  const std::string service_id_;
  palyra_service table_;
  palyra_handle publication_ = 0;
  palyra_handle last_op_ = 0;  // never reused, so a stale handle finds nothing
  bool stopped_ = false;
  bool all_json_ = true;
  std::unordered_map<uint32_t, Begin> methods_;
  std::unordered_map<palyra_handle, CallPtr> calls_;
  TaskScope handlers_;
};

}  // namespace palyra
