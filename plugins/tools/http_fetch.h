// SPDX-License-Identifier: Apache-2.0
// http.fetch: GET of a text from an allow-listed host.
//
// Always holds: every URL, the first and each redirect, is judged before a request is made, and
// every address when a connection is made. Connections to public hosts and to each private endpoint
// belong to different clients, so that none is reused for the other. On the lane.
#pragma once

#include "palyra/world.hpp"
#include "plugins/common/http/curl_client.h"
#include "plugins/common/net_guard/guard.h"
#include "plugins/common/tool/tool.h"
#include "plugins/tools/config.h"

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace palyra::tools {

class HttpFetch : public tool::Tool {
 public:
  // Makes a client whose every connection the filter judges.
  using ClientFactory = std::function<std::unique_ptr<http::HttpClient>(http::ConnectFilter)>;

  // INVALID_ARGUMENT names the entry of the allow-lists that is not understood.
  static Result<std::shared_ptr<HttpFetch>> create(const Clock& clock, Config config,
                                                   ClientFactory factory);

  service::v1::ToolInfo info() const override;
  Task<Result<service::v1::InvokeResult>> invoke(tool::Call call) override;
  // Closes all connections; no call may follow.
  void stop() { clients_.clear(); }

 private:
  HttpFetch(const Clock& clock, Config config, net_guard::Guard guard, ClientFactory factory)
      : clock_(clock),
        config_(std::move(config)),
        guard_(std::move(guard)),
        factory_(std::move(factory)) {}
  http::HttpClient& client_for(const net_guard::Url& url);

  const Clock& clock_;
  const Config config_;
  const net_guard::Guard guard_;
  const ClientFactory factory_;
  std::map<std::string, std::unique_ptr<http::HttpClient>> clients_;  // by private endpoint
};

}  // namespace palyra::tools
