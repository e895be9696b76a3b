// EmbeddedProvider: palyra.provider/1 without a network. See README.md for what it says.
#pragma once

#include "palyra/service/v1/provider.pb.h"
#include "palyra/status.hpp"
#include "palyra/world.hpp"
#include "plugins/common/provider/turn_sink.h"
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
// end without a word: the registry completes them.
class EmbeddedProvider {
 public:
  using TurnId = uint64_t;

  EmbeddedProvider(const Clock& clock, Executor& executor, Config config,
                   std::optional<Script> script);

  // Starts a turn; the sink is first called from a later task of the lane. Never fails: what is
  // wrong with the request arrives as a failure.
  TurnId chat(const service::v1::ChatRequest& request, uint32_t credits,
              std::unique_ptr<provider::TurnSink> sink);
  // Unknown or ended turns: no-op.
  void grant(TurnId turn, uint32_t credits);
  void cancel(TurnId turn);

  service::v1::ListModelsResponse list_models() const;
  service::v1::CountTokensResponse count_tokens(
      const service::v1::CountTokensRequest& request) const;

  size_t turns() const { return turns_.size(); }

 private:
  Answer answer(const service::v1::ChatRequest& request, int64_t input_tokens);

  const Clock& clock_;
  Executor& executor_;
  const Config config_;
  std::optional<Script> script_;
  TurnId last_id_ = 0;
  std::unordered_map<TurnId, std::shared_ptr<Turn>> turns_;
};

}  // namespace palyra::embedded
