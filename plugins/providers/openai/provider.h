// OpenAiProvider: palyra.provider/1 over an OpenAI-compatible endpoint.
#pragma once

#include "palyra/world.hpp"
#include "plugins/common/http/http.h"
#include "plugins/common/provider/provider.h"
#include "plugins/providers/openai/config.h"
#include "plugins/providers/openai/turn.h"

#include <deque>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace palyra::openai {

// All functions run on the lane. At most max_concurrency turns talk to the endpoint; the others
// wait, foreground before background, each in order. Turns that are under way when it is destroyed
// end without a word.
class OpenAiProvider : public provider::Provider {
 public:
  OpenAiProvider(const Clock& clock, Executor& executor, Random& random, http::HttpClient& http,
                 ResolveKey resolve_key, Config config);

  void chat(provider::TurnId id, const service::v1::ChatRequest& request, uint32_t credits,
            std::unique_ptr<provider::TurnSink> sink) override;
  void grant(provider::TurnId id, uint32_t credits) override;
  void cancel(provider::TurnId id) override;
  void list_models(bool probe, ModelsCallback done) override;
  service::v1::CountTokensResponse count_tokens(
      const service::v1::CountTokensRequest& request) const override;

  size_t turns() const { return turns_.size(); }

 private:
  class Probe;

  void start_waiting();
  void ended(provider::TurnId id);
  service::v1::ListModelsResponse configured() const;
  void probe(const std::string& key, ModelsCallback done);

  Shared shared_;
  // Configured, or learned by the last probe that succeeded.
  std::vector<ModelConfig> models_;
  std::unordered_map<provider::TurnId, std::shared_ptr<Turn>> turns_;
  std::deque<provider::TurnId> foreground_, background_;
  int64_t running_ = 0;
  std::unordered_set<provider::TurnId> started_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace palyra::openai
