// SPDX-License-Identifier: Apache-2.0
// palyra.provider/1, typed. Needs the generated palyra/service/v1/provider.pb.h. A failed kChat
// carries a ChatFailure as its failure detail.
#pragma once

#include "palyra/method.hpp"
#include "palyra/service/v1/provider.pb.h"
#include "palyra/services.h"

namespace palyra::provider {

namespace pb = ::palyra::service::v1;

inline constexpr Unary<pb::ListModelsRequest, pb::ListModelsResponse> kListModels{
    PALYRA_PROVIDER_LIST_MODELS};
inline constexpr ServerStream<pb::ChatRequest, pb::ChatEvent, pb::ChatResult> kChat{
    PALYRA_PROVIDER_CHAT};
inline constexpr Unary<pb::CountTokensRequest, pb::CountTokensResponse> kCountTokens{
    PALYRA_PROVIDER_COUNT_TOKENS};

}  // namespace palyra::provider
