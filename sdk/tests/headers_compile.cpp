// Every C++ header, in one unit, with a plugin that uses each side once: it must compile and link.
#include "palyra/client.hpp"
#include "palyra/json_codec.hpp"
#include "palyra/plugin.hpp"
#include "palyra/raw_service.hpp"
#include "palyra/service.hpp"
#include "palyra/services.hpp"

namespace {

using namespace palyra;
namespace pb = palyra::service::v1;

class Tools : public ServiceBase {
 public:
  explicit Tools(Host host) : ServiceBase(std::move(host), PALYRA_SERVICE_TOOL) {
    unary(tool::kList, this, &Tools::list);
    stream(tool::kInvoke, this, &Tools::invoke);
    unary(tool::kVerify,
          [](pb::VerifyCallRequest, CallContext& call) -> Task<Result<pb::VerifyCallResponse>> {
            co_return call.fail(Status(Code::kNotFound, "no such call"), pb::InvokeResult());
          });
  }
  Task<Result<pb::ListToolsResponse>> list(pb::ListToolsRequest, CallContext&) {
    co_return pb::ListToolsResponse();
  }
  Task<Result<pb::InvokeResult>> invoke(pb::InvokeRequest, CallContext&,
                                        ItemWriter<pb::InvokeProgress>& progress) {
    if (Status gone = co_await progress.write(pb::InvokeProgress()); !gone.ok()) co_return gone;
    co_return pb::InvokeResult();
  }
};

class Raw : public RawService {
 public:
  using RawService::RawService;
  Status start(const RawCall&, Responder responder) override {
    responder.item(host(), pb::WatchItem());
    responder.done(host(), pb::WatchResponse());
    return {};
  }
};

class Sample : public Plugin {
 public:
  explicit Sample(Host h)
      : Plugin(std::move(h)), tools_(host()), raw_(host(), PALYRA_SERVICE_JOURNAL) {}
  Status init(std::string_view) override {
    use_protobuf_json();
    host().info("starting", {{"answer", 42}, {"name", "x"}});
    if (Status bad = tools_.publish({{"kind", "sample"}}); !bad.ok()) return bad;
    host().spawn(use());
    return raw_.publish();
  }
  Task<void> use() {
    auto client = Client::acquire(host(), PALYRA_SERVICE_JOURNAL);
    if (!client.ok()) co_return;
    auto info = co_await client->call(journal::kInfo, pb::InfoRequest());
    if (!info.ok()) host().warn(info.status().message());
    auto watch = client->stream(journal::kWatch, pb::WatchRequest(), {.window = 4});
    while (auto item = co_await watch.next()) host().debug("records");
    auto end = co_await watch.result();
    auto handle = client->call(journal::kInfo, pb::InfoRequest(), {},
                               [](Result<pb::InfoResponse>, std::string_view) {});
    handle.detach();
    auto other = client->stream(
        journal::kWatch, pb::WatchRequest(), {}, [](pb::WatchItem&&) {},
        [](Result<pb::WatchResponse>, std::string_view) {});
    other.cancel();
  }

 private:
  Tools tools_;
  Raw raw_;
};

}  // namespace

PALYRA_PLUGIN(Sample)
