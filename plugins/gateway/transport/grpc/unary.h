// One unary call: admitted, handled on the lane, finished once, at the latest when its time is up.
#pragma once

#include "plugins/gateway/transport/grpc/context.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace palyra::gateway::transport {

class UnaryCall : public LiveCall {
 public:
  UnaryCall(TransportContext& context, grpc::ServerUnaryReactor* reactor)
      : context_(context), reactor_(reactor) {}

  bool ended() const { return ended_.load(std::memory_order_acquire); }
  void end(const grpc::Status& status) override {
    if (!ended_.exchange(true)) reactor_->Finish(status);
  }

 private:
  TransportContext& context_;
  grpc::ServerUnaryReactor* reactor_;
  std::atomic<bool> ended_{false};
};

// `handle` runs on the lane with the caller that was admitted. Administration is answered at all
// times, the rest while the transport serves. `request` and `response` belong to gRPC and live
// until the call is finished. timeout_ns = 0: the transport's.
template <typename Request, typename Response>
grpc::ServerUnaryReactor* serve_unary(TransportContext& context, grpc::CallbackServerContext* call,
                                      const Request* request, Response* response, std::string scope,
                                      std::function<Task<Result<Response>>(Caller, Request)> handle,
                                      int64_t timeout_ns = 0) {
  auto* reactor = call->DefaultReactor();
  auto live = std::make_shared<UnaryCall>(context, reactor);
  if (!context.live.add(live.get())) {
    live->end(shutting_down());
    return reactor;
  }
  auto run = [](TransportContext& shared, std::shared_ptr<UnaryCall> self, RequestContext words,
                Request input, Response* output, std::string needed,
                std::function<Task<Result<Response>>(Caller, Request)> handler,
                int64_t limit_ns) -> Task<void> {
    const TimerId timer = shared.lane.post_at(shared.clock.mono_now() + limit_ns, [&shared, self] {
      if (self->ended()) return;
      shared.deadline_breaches.fetch_add(1, std::memory_order_relaxed);
      shared.live.remove(self.get());
      self->end(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED,
                             "the daemon did not answer in time; see: palyra doctor"));
    });
    Status status;
    auto caller = shared.admission.admit(words);
    if (!caller.ok()) {
      status = caller.status();
    } else if (needed != kScopeAdmin && !shared.serving) {
      status = not_serving();
    } else if (status = Admission::require(*caller, needed); status.ok()) {
      auto result = co_await handler(std::move(*caller), std::move(input));
      status = result.status();
      if (result.ok() && !self->ended()) *output = std::move(*result);
    }
    shared.lane.cancel(timer);
    shared.live.remove(self.get());
    self->end(to_grpc(status));
  };
  context.lane.post([&context, live, words = request_context(*call), request, response,
                     scope = std::move(scope), handle = std::move(handle), run,
                     limit = timeout_ns > 0 ? timeout_ns : context.unary_timeout_ns]() mutable {
    if (live->ended()) {
      // The transport was closed meanwhile, and may be again: nothing of this call may stay there.
      context.live.remove(live.get());
      return;
    }
    context.tasks.spawn(run(context, live, std::move(words), *request, response, std::move(scope),
                            std::move(handle), limit));
  });
  return reactor;
}

// The same of a face's function, which has the caller and the request.
template <typename Facade, typename Request, typename Response>
grpc::ServerUnaryReactor* serve_by(TransportContext& context, Facade& facade,
                                   grpc::CallbackServerContext* call, const Request* request,
                                   Response* response, const char* scope,
                                   Task<Result<Response>> (Facade::*function)(Caller, Request),
                                   int64_t timeout_ns = 0) {
  return serve_unary<Request, Response>(
      context, call, request, response, scope,
      [&facade, function](Caller caller, Request input) {
        return (facade.*function)(std::move(caller), std::move(input));
      },
      timeout_ns);
}

}  // namespace palyra::gateway::transport
