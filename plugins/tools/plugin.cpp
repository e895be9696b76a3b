// SPDX-License-Identifier: Apache-2.0
// Wiring of the built-in tools.
#include "palyra/plugin.hpp"

#include "plugins/common/http/curl_client.h"
#include "plugins/common/tool/tool_service.h"
#include "plugins/tools/config.h"
#include "plugins/tools/http_fetch.h"
#include "plugins/tools/tools.h"

#include <memory>
#include <utility>

namespace palyra::tools {
namespace {

class ToolsPlugin : public Plugin {
 public:
  using Plugin::Plugin;

  Status init(std::string_view config_json) override {
    auto config = parse_config(config_json);
    if (!config.ok()) return config.status();
    Executor& executor = host().executor();
    const Clock& clock = host().clock();
    auto fetch = HttpFetch::create(clock, *config, [&](http::ConnectFilter filter) {
      http::CurlOptions options;
      options.filter = std::move(filter);
      options.max_connections = 16;
      return std::make_unique<http::CurlClient>(host().clock(), host().executor(),
                                                std::move(options));
    });
    if (!fetch.ok()) return fetch.status();
    fetch_ = *fetch;
    auto tools = tool::ToolSet::create(
        {make_time_now(clock), make_fs_read(executor, *config), make_fs_list(executor),
         make_fs_search(executor, clock, *config), make_fs_write(executor, *config), fetch_});
    if (!tools.ok()) return tools.status();
    service_ = std::make_unique<tool::ToolService>(host(), std::move(*tools));
    return service_->publish();
  }
  void stop() override {
    if (service_) service_->shutdown();
    if (fetch_) fetch_->stop();
  }

 private:
  std::shared_ptr<HttpFetch> fetch_;
  std::unique_ptr<tool::ToolService> service_;
};

}  // namespace
}  // namespace palyra::tools

PALYRA_PLUGIN(palyra::tools::ToolsPlugin)
