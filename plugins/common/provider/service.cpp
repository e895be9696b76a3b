#include "plugins/common/provider/service.h"

#include "palyra/json_codec.hpp"

#include <memory>
#include <utility>

namespace palyra::provider {
namespace {

class ResponderSink : public TurnSink {
 public:
  ResponderSink(Host host, Responder responder)
      : host_(std::move(host)), responder_(std::move(responder)) {}
  ~ResponderSink() override {
    // Ignored if the turn has ended.
    responder_.done(
        Status(Code::kUnavailable, "the provider is stopping: try again", PALYRA_ERROR_RETRYABLE));
  }

  void event(const service::v1::ChatEvent& event) override { responder_.item(host_, event); }
  void finish(const service::v1::ChatResult& result) override { responder_.done(host_, result); }
  void fail(const Status& status, const service::v1::ChatFailure& failure) override {
    std::string bytes;
    Buffer detail;
    if (encode(responder_.encoding(), failure, bytes).ok()) detail = host_.copy(bytes);
    responder_.done(status, std::move(detail));
  }

 private:
  Host host_;
  Responder responder_;
};

}  // namespace

ProviderService::ProviderService(Host host, Provider& provider)
    : RawService(std::move(host), PALYRA_SERVICE_PROVIDER), provider_(&provider) {
  use_protobuf_json();
}

Status ProviderService::publish_all() {
  return publish((1u << PALYRA_ENCODING_PROTOBUF) | (1u << PALYRA_ENCODING_JSON));
}

void ProviderService::stop() {
  withdraw();
  provider_ = nullptr;
}

void ProviderService::grant(palyra_handle op, uint32_t credits) {
  if (provider_ != nullptr) provider_->grant(op, credits);
}

void ProviderService::cancel(palyra_handle op) {
  if (provider_ != nullptr) provider_->cancel(op);
}

Status ProviderService::start(const RawCall& call, Responder responder) {
  if (provider_ == nullptr) {
    return Status(Code::kUnavailable, "the provider is stopping: try again",
                  PALYRA_ERROR_RETRYABLE);
  }
  switch (call.method) {
    case PALYRA_PROVIDER_CHAT: {
      service::v1::ChatRequest request;
      if (Status bad = decode(call.encoding, call.request, request); !bad.ok()) return bad;
      provider_->chat(call.op, request, call.credits,
                      std::make_unique<ResponderSink>(host(), std::move(responder)));
      return {};
    }
    case PALYRA_PROVIDER_LIST_MODELS: {
      service::v1::ListModelsRequest request;
      if (Status bad = decode(call.encoding, call.request, request); !bad.ok()) return bad;
      provider_->list_models(request.probe(),
                             [this, responder](const service::v1::ListModelsResponse& response) {
                               responder.done(host(), response);
                             });
      return {};
    }
    case PALYRA_PROVIDER_COUNT_TOKENS: {
      service::v1::CountTokensRequest request;
      if (Status bad = decode(call.encoding, call.request, request); !bad.ok()) return bad;
      responder.done(host(), provider_->count_tokens(request));
      return {};
    }
    default:
      return Status(Code::kUnimplemented, "palyra.provider/1 has no method " +
                                              std::to_string(call.method) + " in this version");
  }
}

}  // namespace palyra::provider
