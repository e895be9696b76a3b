// EmbeddedProvider: palyra.provider/1 without a network. See README.md for what it says.
#pragma once

#include "palyra/service/v1/provider.pb.h"
#include "palyra/status.hpp"
#include "palyra/world.hpp"
#include "plugins/common/provider/provider.h"
#include "plugins/providers/embedded/config.h"
#include "plugins/providers/embedded/script.h"
#include "plugins/providers/embedded/turn.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

namespace palyra::embedded {

// All functions run on the lane; so do the sinks' functions. Turns that run when it is destroyed
// end without a word.
class EmbeddedProvider : public provider::Provider {
 public:
  EmbeddedProvider(const Clock& clock, Executor& executor, Config config,
                   std::optional<Script> script);

  void chat(provider::TurnId id, const service::v1::ChatRequest& request, uint32_t credits,
            std::unique_ptr<provider::TurnSink> sink) override;
  void grant(provider::TurnId id, uint32_t credits) override;
  void cancel(provider::TurnId id) override;
  void list_models(bool probe, ModelsCallback done) override;
  service::v1::CountTokensResponse count_tokens(
      const service::v1::CountTokensRequest& request) const override;

  size_t turns() const { return turns_.size(); }

 private:
  Answer answer(const service::v1::ChatRequest& request, int64_t input_tokens);

  const Clock& clock_;
  Executor& executor_;
  const Config config_;
  std::optional<Script> script_;
  std::unordered_map<provider::TurnId, std::shared_ptr<Turn>> turns_;
};

}  // namespace palyra::embedded
