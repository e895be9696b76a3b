// An HttpClient in memory: the test sees the requests and plays the server.
#pragma once

#include "plugins/common/http/http.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace palyra::http::testing {

// Everything on one thread. Ids count from 1, in the order of the requests.
class FakeHttp : public HttpClient {
 public:
  RequestId start(Request request, std::shared_ptr<ResponseHandler> handler) override {
    requests.push_back(std::move(request));
    handlers_[requests.size()] = std::move(handler);
    return requests.size();
  }
  void cancel(RequestId id) override { handlers_.erase(id); }
  void pause(RequestId id) override { paused_[id] = true; }
  void resume(RequestId id) override { paused_[id] = false; }

  // ---- the server's side; no-ops once the request was cancelled
  void head(RequestId id, int status, std::vector<Header> headers = {}) {
    if (auto handler = find(id)) handler->on_head(ResponseHead{status, std::move(headers)});
  }
  void body(RequestId id, const std::string& bytes) {
    if (auto handler = find(id)) handler->on_body(bytes);
  }
  void done(RequestId id, const Status& status = {}) {
    auto handler = find(id);
    handlers_.erase(id);
    if (handler) handler->on_done(status);
  }
  bool open(RequestId id) const { return handlers_.count(id) != 0; }
  bool paused(RequestId id) const {
    const auto found = paused_.find(id);
    return found != paused_.end() && found->second;
  }

  std::vector<Request> requests;

 private:
  std::shared_ptr<ResponseHandler> find(RequestId id) const {
    const auto found = handlers_.find(id);
    return found == handlers_.end() ? nullptr : found->second;
  }
  std::map<RequestId, std::shared_ptr<ResponseHandler>> handlers_;
  std::map<RequestId, bool> paused_;
};

}  // namespace palyra::http::testing
