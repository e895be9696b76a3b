// The calls that gRPC has open. A server may be destroyed only after each has been finished, also
// those whose work on the lane will never run again.
//
// Thread-safe: gRPC's threads add and remove, the lane ends. A call is finished exactly once, by
// whoever comes first.
#pragma once

#include <grpcpp/support/status.h>

#include <mutex>
#include <unordered_set>

namespace palyra::gateway::transport {

class LiveCall {
 public:
  virtual ~LiveCall() = default;
  // Finishes the call unless that has been done. Any thread.
  virtual void end(const grpc::Status& status) = 0;
};

class LiveCalls {
 public:
  // False once closed: the caller then refuses the call itself.
  bool add(LiveCall* call) {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    calls_.insert(call);
    return true;
  }
  void remove(LiveCall* call) {
    std::lock_guard lock(mutex_);
    calls_.erase(call);
  }
  // No more calls from here on; ends the open ones. A call stays valid while it is in the set, so
  // remove() waits for this.
  void close(const grpc::Status& status) {
    std::lock_guard lock(mutex_);
    closed_ = true;
    for (LiveCall* call : calls_) call->end(status);
  }

 private:
  std::mutex mutex_;
  std::unordered_set<LiveCall*> calls_;
  bool closed_ = false;
};

}  // namespace palyra::gateway::transport
