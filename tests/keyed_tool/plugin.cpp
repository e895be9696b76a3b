// SPDX-License-Identifier: Apache-2.0
// Wiring of the test tools.
#include "palyra/plugin.hpp"

#include "plugins/common/json_schema/json_text.h"
#include "plugins/common/tool/tool_service.h"
#include "tests/keyed_tool/testtools.h"

namespace palyra::testtools {
namespace {

class TestToolsPlugin : public Plugin {
 public:
  using Plugin::Plugin;

  Status init(std::string_view config_json) override {
    auto config = json_schema::parse_json(config_json, "the configuration");
    if (!config.ok()) return config.status();
    if (!config->is_object() || !config->contains("directory") ||
        !(*config)["directory"].is_string()) {
      return {Code::kInvalidArgument, "testtools: set directory, where effects are counted"};
    }
    auto tools = tool::ToolSet::create(
        make_tools(host().clock(), host().executor(), (*config)["directory"].get<std::string>()));
    if (!tools.ok()) return tools.status();
    service_ = std::make_unique<tool::ToolService>(host(), std::move(*tools));
    return service_->publish();
  }
  void stop() override {
    if (service_) service_->shutdown();
  }

 private:
  std::unique_ptr<tool::ToolService> service_;
};

}  // namespace
}  // namespace palyra::testtools

PALYRA_PLUGIN(palyra::testtools::TestToolsPlugin)
