// SPDX-License-Identifier: Apache-2.0
// RawService: the publisher's side of a service for instances with concurrency "any" and threads of
// their own. Calls arrive on any thread and may be completed from any thread through a Responder.
//
// Invariants: every start that returned OK is completed exactly once: a second done() is ignored, a
// Responder dropped without done() completes with INTERNAL. A done() that comes before start has
// returned is delivered from the executor. Responders do not outlive the service. Items must come
// before done, one thread at a time.
#pragma once

#include "palyra/host.hpp"
#include "palyra/method.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace palyra {

// What a caller says about a raw call. Borrowed until start returns.
struct RawCall {
  palyra_handle op;  // names the call in grant and cancel
  uint32_t method;
  std::string_view request;
  uint32_t encoding;
  int64_t deadline_ns;
  uint32_t credits;
  uint32_t caller_flags;
  std::string_view caller;
  std::string_view idempotency_key;
  std::string_view traceparent;
};

// Completes one call. Copies share it. [any]
class Responder {
 public:
  Responder() = default;

  // One item, within the granted credits.
  void item(Buffer buffer) const {
    if (shared_ && buffer) shared_->sink.on_item(shared_->sink.ctx, buffer.release());
  }
  template <typename M>
  void item(const Host& host, const M& message) const {
    item(serialise(host, message));
  }
  // `result` may be empty; with a failure it is the contract's failure message.
  void done(const Status& status, Buffer result = {}) const {
    if (shared_) shared_->done(status, std::move(result));
  }
  template <typename M>
  void done(const Host& host, const M& message) const {
    if (!shared_) return;
    Buffer buffer = serialise(host, message);
    if (!buffer) return done(Status(Code::kResourceExhausted, "out of memory for a result"));
    shared_->done({}, std::move(buffer));
  }
  uint32_t encoding() const { return shared_ ? shared_->encoding : 0; }

 private:
  friend class RawService;

  struct Shared {
    enum State : int { kStarting, kOpen, kEarly, kDone };

    ~Shared() {
      if (state.load(std::memory_order_acquire) != kOpen) return;
      // Posted, as the last reference may be the one that start itself holds.
      executor->post([own = sink] {
        palyra_error error = make_error();
        const palyra_status code =
            Status(Code::kInternal, "the publisher dropped the call without an answer")
                .to_abi(&error);
        own.on_done(own.ctx, code, nullptr, &error);
      });
    }
    void done(const Status& status, Buffer result) {
      int expected = kOpen;
      if (state.compare_exchange_strong(expected, kDone)) return deliver(status, std::move(result));
      if (expected != kStarting || early_taken.exchange(true)) return;
      early_status = status;
      early_result = std::move(result);
      expected = kStarting;
      if (state.compare_exchange_strong(expected, kEarly)) return;
      // start has returned meanwhile.
      expected = kOpen;
      if (state.compare_exchange_strong(expected, kDone)) {
        deliver(early_status, std::move(early_result));
      }
    }
    void deliver(const Status& status, Buffer result) {
      palyra_error error = make_error();
      const palyra_status code = status.to_abi(&error);
      sink.on_done(sink.ctx, code, result.release(), status.ok() ? nullptr : &error);
    }

    Executor* executor;
    palyra_sink sink;
    uint32_t encoding;
    std::atomic<int> state{kStarting};
    std::atomic<bool> early_taken{false};
    Status early_status;
    Buffer early_result;
  };

  template <typename M>
  Buffer serialise(const Host& host, const M& message) const {
    if (encoding() == PALYRA_ENCODING_PROTOBUF) {
      const size_t size = message.ByteSizeLong();
      Buffer buffer = host.alloc(size);
      if (!buffer || !message.SerializeToArray(buffer.data(), static_cast<int>(size))) return {};
      buffer.seal(size);
      return buffer;
    }
    std::string text;
    if (!encode(encoding(), message, text).ok()) return {};
    return host.copy(text);
  }

  std::shared_ptr<Shared> shared_;
};

class RawService {
 public:
  RawService(Host host, std::string_view service_id, uint32_t minor = 0)
      : host_(std::move(host)), service_id_(service_id) {
    table_ = {sizeof(palyra_service), minor, &on_start, &on_grant, &on_cancel};
  }
  RawService(const RawService&) = delete;
  RawService& operator=(const RawService&) = delete;
  virtual ~RawService() { withdraw(); }

  // `encodings`: bit set of 1u << PALYRA_ENCODING_*.
  Status publish(uint32_t encodings = 1u << PALYRA_ENCODING_PROTOBUF) {
    const palyra_registry* registry = host_.registry();
    if (registry == nullptr) return Host::missing(PALYRA_REGISTRY);
    const palyra_publish_options options{sizeof(palyra_publish_options), encodings, nullptr, 0, 0};
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
  const palyra_service* table() const { return &table_; }
  void* self() { return this; }

 protected:
  // Begins a call. A failure means that the responder is not used. [any]
  virtual Status start(const RawCall& call, Responder responder) = 0;
  virtual void grant(palyra_handle, uint32_t) {}
  // A request to stop early; done() is still due.
  virtual void cancel(palyra_handle) {}

 private:
  palyra_status begin(uint32_t method, palyra_bytes request, const palyra_call_options* options,
                      const palyra_sink* sink, palyra_handle* op, palyra_error* error) {
    palyra_call_options known{};
    known.deadline = PALYRA_NO_DEADLINE;
    if (options != nullptr) {
      std::memcpy(&known, options, std::min<size_t>(options->struct_size, sizeof(known)));
    }
    Responder responder;
    responder.shared_ = std::make_shared<Responder::Shared>();
    responder.shared_->executor = &host_.executor();
    responder.shared_->sink = *sink;
    responder.shared_->encoding = known.encoding;
    *op = last_op_.fetch_add(1, std::memory_order_relaxed) + 1;
    const RawCall call{*op,
                       method,
                       view(request),
                       known.encoding,
                       known.deadline,
                       known.credits,
                       known.caller_flags,
                       view(known.caller),
                       view(known.idempotency_key),
                       view(known.traceparent)};
    const Status status = start(call, responder);
    auto& shared = *responder.shared_;
    if (!status.ok()) {
      shared.state.store(Responder::Shared::kDone);
      return status.to_abi(error);
    }
    int expected = Responder::Shared::kStarting;
    if (!shared.state.compare_exchange_strong(expected, Responder::Shared::kOpen)) {
      host_.executor().post([held = responder.shared_] {
        held->state.store(Responder::Shared::kDone);
        held->deliver(held->early_status, std::move(held->early_result));
      });
    }
    return PALYRA_OK;
  }
  static palyra_status on_start(void* self, uint32_t method, palyra_bytes request,
                                const palyra_call_options* options, const palyra_sink* sink,
                                palyra_handle* op, palyra_error* error) noexcept {
    try {
      return static_cast<RawService*>(self)->begin(method, request, options, sink, op, error);
    } catch (const std::exception& e) {
      return Status(Code::kInternal, std::string("a call could not begin: ") + e.what())
          .to_abi(error);
    } catch (...) {
      return Status(Code::kInternal, "a call could not begin").to_abi(error);
    }
  }
  static void on_grant(void* self, palyra_handle op, uint32_t credits) noexcept {
    static_cast<RawService*>(self)->grant(op, credits);
  }
  static void on_cancel(void* self, palyra_handle op) noexcept {
    static_cast<RawService*>(self)->cancel(op);
  }

  const Host host_;
  const std::string service_id_;
  palyra_service table_;
  palyra_handle publication_ = 0;
  std::atomic<palyra_handle> last_op_{0};
};

}  // namespace palyra
