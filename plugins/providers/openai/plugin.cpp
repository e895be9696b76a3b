// Wiring of the OpenAI provider.
#include "palyra/plugin.hpp"

#include "plugins/common/http/curl_client.h"
#include "plugins/common/provider/service.h"
#include "plugins/providers/openai/config.h"
#include "plugins/providers/openai/provider.h"

#include <memory>
#include <utility>

namespace palyra::openai {
namespace {

class OpenAiPlugin : public Plugin {
 public:
  using Plugin::Plugin;

  Status init(std::string_view config_json) override {
    auto config = parse_config(config_json);
    if (!config) return config.status();
    config_ = std::move(*config);
    forward_ = std::make_unique<Forward>();
    provider_ = std::make_unique<OpenAiProvider>(host().clock(), host().executor(), host().random(),
                                                 *forward_, resolver(), config_);
    service_ = std::make_unique<provider::ProviderService>(host(), *provider_);
    return service_->publish_all();
  }
  Status start() override {
    http::CurlOptions options;
    options.ca_file = config_.ca_file;
    // Room for probes, and for answers that end a moment after their turn.
    options.max_connections = config_.max_concurrency + 8;
    forward_->client =
        std::make_unique<http::CurlClient>(host().clock(), host().executor(), std::move(options));
    return {};
  }
  void stop() override {
    if (service_) service_->stop();
    // Turns that still run complete UNAVAILABLE.
    provider_ = nullptr;
    if (forward_) forward_->client = nullptr;
  }

 private:
  // The client has a thread, so it begins with start(); nothing is asked of it before.
  struct Forward : http::HttpClient {
    http::RequestId start(http::Request request,
                          std::shared_ptr<http::ResponseHandler> handler) override {
      return client->start(std::move(request), std::move(handler));
    }
    void cancel(http::RequestId id) override { client->cancel(id); }
    void pause(http::RequestId id) override { client->pause(id); }
    void resume(http::RequestId id) override { client->resume(id); }
    std::unique_ptr<http::CurlClient> client;
  };

  // A variable is read at once; whatever may block is read on a thread that may.
  ResolveKey resolver() const {
    return [host = host(),
            reference = config_.api_key](std::function<void(Result<std::string>)> done) {
      if (reference.substr(0, 4) == "env:") return done(host.resolve_secret(reference));
      host.executor().post_blocking([host, reference, done = std::move(done)] {
        host.executor().post([done, key = host.resolve_secret(reference)] { done(key); });
      });
    };
  }

  Config config_;
  std::unique_ptr<Forward> forward_;
  std::unique_ptr<OpenAiProvider> provider_;
  std::unique_ptr<provider::ProviderService> service_;
};

}  // namespace
}  // namespace palyra::openai

PALYRA_PLUGIN(palyra::openai::OpenAiPlugin)
