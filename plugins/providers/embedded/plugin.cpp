// Wiring of the embedded provider.
#include "palyra/plugin.hpp"

#include "plugins/common/provider/service.h"
#include "plugins/providers/embedded/config.h"
#include "plugins/providers/embedded/provider.h"

#include <memory>
#include <optional>
#include <utility>

namespace palyra::embedded {
namespace {

class EmbeddedPlugin : public Plugin {
 public:
  using Plugin::Plugin;

  Status init(std::string_view config_json) override {
    auto config = parse_config(config_json);
    if (!config) return config.status();
    std::optional<Script> script;
    if (!config->script.empty()) {
      auto loaded = Script::load(config->script);
      if (!loaded) return loaded.status();
      host().info("a scripted conversation is loaded",
                  {{"script", config->script}, {"steps", loaded->size()}});
      script = std::move(*loaded);
    }
    provider_ = std::make_unique<EmbeddedProvider>(host().clock(), host().executor(),
                                                   std::move(*config), std::move(script));
    service_ = std::make_unique<provider::ProviderService>(host(), *provider_);
    return service_->publish_all();
  }
  void stop() override {
    if (service_) service_->stop();
    // Turns that still run complete UNAVAILABLE.
    provider_ = nullptr;
  }

 private:
  std::unique_ptr<EmbeddedProvider> provider_;
  std::unique_ptr<provider::ProviderService> service_;
};

}  // namespace
}  // namespace palyra::embedded

PALYRA_PLUGIN(palyra::embedded::EmbeddedPlugin)
