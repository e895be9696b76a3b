// Wiring of the journal.
#include "palyra/plugin.hpp"

#include "plugins/journal/config.h"
#include "plugins/journal/service.h"
#include "plugins/journal/sqlite/store.h"

#include <memory>
#include <utility>

namespace palyra::journal {
namespace {

constexpr int64_t kHour = 3600 * kNanosPerSecond;

class JournalPlugin : public Plugin {
 public:
  using Plugin::Plugin;

  Status init(std::string_view config_json) override {
    Result<Config> config = parse_config(config_json);
    if (!config) return config.status();
    config_ = std::move(*config);
    if (config_.path.empty()) {
      if (host().state_directory().empty()) {
        return {Code::kFailedPrecondition,
                "this host gives no state directory; set [storage] path"};
      }
      config_.path = host().state_directory() + "/journal.sqlite";
    }
    service_ = std::make_unique<JournalService>(host());
    return service_->publish();
  }

  Status start() override {
    auto opened = SqliteStore::open({.path = config_.path,
                                     .group_commit_max = config_.group_commit_max,
                                     .readers = config_.readers,
                                     .max_bytes = config_.max_bytes,
                                     .min_free_bytes = config_.min_free_bytes,
                                     .segments_dir = config_.segments_dir},
                                    host().clock(), host().random());
    if (!opened) return opened.status();
    store_ = std::move(*opened);
    service_->open(store_);
    host().info("the journal is open", {{"path", config_.path}});
    sweep_in(kHour);
    return {};
  }

  void stop() override {
    if (service_) service_->close();
    store_.reset();
    service_.reset();
  }

 private:
  // Once a day, blobs that nothing has named for a day go.
  void sweep_in(int64_t ns) {
    host().executor().post_at(host().clock().mono_now() + ns, [this] {
      if (!store_) return;
      store_->sweep_blobs(24 * kHour, [host = host()](Result<uint64_t> swept) {
        if (!swept.ok()) {
          host.warn("unused blobs could not be swept", {{"error", swept.status().to_string()}});
        } else if (*swept > 0) {
          host.info("unused blobs were swept", {{"count", *swept}});
        }
      });
      sweep_in(24 * kHour);
    });
  }

  Config config_;
  std::shared_ptr<Store> store_;
  std::unique_ptr<JournalService> service_;
};

}  // namespace
}  // namespace palyra::journal

PALYRA_PLUGIN(palyra::journal::JournalPlugin)
