// Wiring of the journal.
#include "palyra/plugin.hpp"

#include "plugins/journal/backup/disk_keeper.h"
#include "plugins/journal/backup/restore.h"
#include "plugins/journal/backup/segments.h"
#include "plugins/journal/config.h"
#include "plugins/journal/service.h"
#include "plugins/journal/sqlite/store.h"

#include <filesystem>
#include <memory>
#include <utility>

namespace palyra::journal {
namespace {

constexpr int64_t kHour = 3600 * kNanosPerSecond;
// The start itself has the disk to itself.
constexpr int64_t kCheckAfter = 10 * kNanosPerSecond;

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
    const std::string folder = std::filesystem::path(config_.path).parent_path();
    if (config_.backup_dir.empty()) config_.backup_dir = folder + "/backups";
    if (config_.segments_dir.empty()) config_.segments_dir = folder + "/segments";
    if (config_.archive_dir.empty()) config_.archive_dir = folder + "/archive";
    service_ = std::make_unique<JournalService>(host());
    return service_->publish();
  }

  Status start() override {
    const std::string archive = config_.archive ? config_.archive_dir : "";
    auto opened = SqliteStore::open({.path = config_.path,
                                     .group_commit_max = config_.group_commit_max,
                                     .readers = config_.readers,
                                     .max_bytes = config_.max_bytes,
                                     .archive_dir = archive,
                                     .min_free_bytes = config_.min_free_bytes,
                                     .segments_dir = config_.segments_dir},
                                    host().clock(), host().random());
    if (!opened) return opened.status();
    backup::remove_draft(config_.path);
    keeper_ = std::make_shared<backup::DiskKeeper>(
        backup::KeeperOptions{.store = config_.path,
                              .directory = config_.backup_dir,
                              .archive = archive,
                              .segments = config_.segments_dir,
                              .reserve = config_.min_free_bytes,
                              .keep = config_.backups_keep},
        host().clock(), (*opened)->archive());
    store_ = std::move(*opened);
    service_->open(store_, keeper_);
    host().info("the journal is open", {{"path", config_.path}});
    if (Status apart = backup::check_apart(config_.backup_dir, config_.segments_dir); !apart.ok()) {
      host().warn("no backups can be made", {{"why", apart.message()}});
    }
    sweep_in(kHour);
    check_in(kCheckAfter);
    return {};
  }

  void stop() override {
    if (service_) service_->close();
    keeper_.reset();
    store_.reset();
    service_.reset();
  }

 private:
  // The whole store, beside everything else; `palyra doctor` tells.
  void check_in(int64_t ns) {
    host().executor().post_at(host().clock().mono_now() + ns, [this] {
      if (!keeper_) return;
      keeper_->begin_check([host = host()](bool damaged, const std::string& sentence) {
        if (damaged) {
          host.error("the check of the journal found something", {{"what", sentence}});
        } else {
          host.info("the journal was checked", {{"result", sentence}});
        }
      });
    });
  }

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
  std::shared_ptr<backup::DiskKeeper> keeper_;
  std::unique_ptr<JournalService> service_;
};

}  // namespace
}  // namespace palyra::journal

PALYRA_PLUGIN(palyra::journal::JournalPlugin)
