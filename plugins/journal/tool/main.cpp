// palyra-store: backups of a store without a daemon. `palyra backup` runs it with the paths of
// palyra.toml; it can be run by hand where only files are left.
#include "plugins/common/digest/digest.h"
#include "plugins/journal/backup/create.h"
#include "plugins/journal/backup/restore.h"
#include "plugins/journal/backup/segments.h"
#include "plugins/journal/backup/target.h"
#include "plugins/journal/sqlite/wal_archive.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <functional>
#include <string>
#include <unistd.h>

namespace palyra::journal::backup {
namespace {

using Json = nlohmann::ordered_json;

// As clients/cli/exit_codes.h. Done, but something that was asked for is not there:
constexpr int kLacking = 76;

int exit_code(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
      return 0;
    case Code::kDataLoss:
      return 1;
    case Code::kInvalidArgument:
    case Code::kFailedPrecondition:
    case Code::kOutOfRange:
    case Code::kAlreadyExists:
      return 65;
    case Code::kNotFound:
      return 66;
    case Code::kResourceExhausted:
      return 73;
    case Code::kPermissionDenied:
      return 77;
    default:
      return 70;
  }
}

std::string size_words(uint64_t bytes) {
  char text[32];
  if (bytes < uint64_t{10} << 20) {
    std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  } else {
    std::snprintf(text, sizeof text, "%llu MiB", static_cast<unsigned long long>(bytes >> 20));
  }
  return text;
}

class Tool {
 public:
  Tool() {
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.add_option("--output", output_, "text, json or ndjson")
        ->check(CLI::IsMember({"text", "json", "ndjson"}));
    app_.add_flag("--quiet", quiet_, "only the answer");
    app_.add_option("--backups", backups_, "directory of the backups");
    app_.add_option("--archive", archive_, "directory of the archived logs");
    app_.add_option("--segments", segments_,
                    "directory of archived segments; default: beside the store");
    app_.add_option("--store", store_, "the store's database file");
    auto* list = app_.add_subcommand("list", "the backups of a directory, the newest first");
    list->callback([this] { action_ = [this] { return this->list(); }; });
    auto* check = app_.add_subcommand("verify", "is a backup whole? changes nothing");
    check->add_option("backup", name_, "a name in --backups, or a file")->required();
    check->callback([this] { action_ = [this] { return verify_one(); }; });
    auto* back = app_.add_subcommand("restore", "bring a backup back; no daemon may run");
    back->add_option("backup", name_,
                     "a name in --backups, or a file; default: the newest that fits");
    to_position_ = back->add_option("--to-position", position_, "the newest record to have");
    to_time_ = back->add_option("--to-time", time_, "such as 2026-01-31T12:00:05Z");
    auto* latest = back->add_flag("--to-latest", latest_, "everything that is archived");
    to_position_->excludes(to_time_)->excludes(latest);
    to_time_->excludes(latest);
    back->add_flag("--force", force_, "put a store that is there aside; it is kept");
    back->callback([this] { action_ = [this] { return bring_back(); }; });
    auto* old = app_.add_subcommand("prune", "remove the oldest backups, and logs older than all");
    old->add_option("--keep", keep_, "backups to keep")->required()->check(CLI::Range(1, 100000));
    old->callback([this] { action_ = [this] { return prune_old(); }; });
  }

  int main(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
      return app_.exit(problem) == 0 ? 0 : 64;
    }
    const Status status = action_();
    clear_progress();
    if (!status.ok()) std::fprintf(stderr, "palyra-store: %s\n", status.message().c_str());
    return status.ok() || code_ == 0 ? exit_code(status) : code_;
  }

 private:
  void print(const Json& json) const {
    std::printf("%s\n", json.dump(output_ == "ndjson" ? -1 : 2).c_str());
  }
  bool text() const { return output_ == "text"; }

  // A line on a terminal, at most ten times a second.
  Steps progress() {
    if (quiet_ || ::isatty(STDERR_FILENO) == 0) return {};
    return [this](const char* what, uint64_t done, uint64_t total) {
      const auto now = std::chrono::steady_clock::now();
      if (now - shown_ < std::chrono::milliseconds(100)) return true;
      shown_ = now;
      if (total == 0) {
        std::fprintf(stderr, "\r\033[K%s", what);
      } else {
        std::fprintf(stderr, "\r\033[K%s %llu %%", what,
                     static_cast<unsigned long long>(std::min(done * 100 / total, uint64_t{100})));
      }
      std::fflush(stderr);
      return true;
    };
  }
  void clear_progress() {
    if (shown_ != std::chrono::steady_clock::time_point()) std::fprintf(stderr, "\r\033[K");
  }

  Status need(const std::string& value, const char* option) const {
    if (!value.empty()) return {};
    return {Code::kInvalidArgument, std::string("say where: ") + option};
  }

  Result<std::string> file_of(const std::string& name) const {
    if (!is_name(name) || name.ends_with(".sqlite") || name.ends_with(".json")) return name;
    if (Status status = need(backups_, "--backups DIRECTORY, or name a file"); !status.ok()) {
      return status;
    }
    return database_of(backups_, name);
  }

  static void tell_unreadable(const std::vector<std::string>& unreadable) {
    for (const std::string& each : unreadable) {
      std::fprintf(stderr, "palyra-store: not listed: %s\n", each.c_str());
    }
  }

  Status list() {
    if (Status status = need(backups_, "--backups DIRECTORY"); !status.ok()) return status;
    std::vector<std::string> unreadable;
    const auto all = list_backups(backups_, &unreadable);
    if (!all.ok()) return all.status();
    tell_unreadable(unreadable);
    if (!text()) {
      Json array = Json::array();
      for (const Manifest& manifest : *all) {
        const Json entry = Json::parse(to_json(manifest));
        if (output_ == "ndjson") print(entry);
        array.push_back(entry);
      }
      if (output_ == "json") print(array);
      return {};
    }
    if (all->empty()) {
      std::printf("No backups in %s; make one with: palyra backup create\n", backups_.c_str());
      return {};
    }
    std::printf("%-24s  %-24s  %12s  %s\n", "NAME", "MADE (UTC)", "POSITION", "SIZE");
    for (const Manifest& manifest : *all) {
      std::printf("%-24s  %-24s  %12llu  %s\n", manifest.name.c_str(),
                  utc(manifest.created_ms * 1'000'000).c_str(),
                  static_cast<unsigned long long>(manifest.position),
                  size_words(manifest.size).c_str());
    }
    return {};
  }

  Status verify_one() {
    const auto file = file_of(name_);
    if (!file.ok()) return file.status();
    const auto verified = verify(*file, progress());
    if (!verified.ok()) return verified.status();
    clear_progress();
    const auto& check = verified->check;
    if (!text()) {
      Json json = Json::parse(to_json(verified->manifest));
      json["ok"] = true;
      json["records"] = check.records;
      json["erased"] = check.erased;
      json["blobs"] = check.blobs;
      print(json);
      return {};
    }
    std::printf("%s is whole: %llu records in %llu streams, up to position %llu (%s)\n",
                verified->manifest.name.c_str(), static_cast<unsigned long long>(check.records),
                static_cast<unsigned long long>(check.streams),
                static_cast<unsigned long long>(verified->manifest.position),
                utc(verified->manifest.newest_record_ms * 1'000'000).c_str());
    if (!verified->manifest.audit_head.empty()) {
      std::printf("head of the audit stream: %s\n", verified->manifest.audit_head.c_str());
    }
    return {};
  }

  Result<Target> target() const {
    if (latest_) return Target{.kind = Target::Kind::kLatest};
    if (to_position_->count() > 0) return position_target(position_);
    if (to_time_->count() > 0) return time_target(time_);
    return Target{};
  }

  // The newest backup that is not beyond the target.
  Result<std::string> newest_for(const Target& target) const {
    const auto all = list_backups(backups_);
    if (!all.ok()) return all.status();
    for (const Manifest& manifest : *all) {
      const bool fits = target.kind == Target::Kind::kPosition
                            ? manifest.position <= target.position
                        : target.kind == Target::Kind::kTime
                            ? manifest.newest_record_ms <= target.wall_ns / 1'000'000
                            : true;
      if (fits) return database_of(backups_, manifest.name);
    }
    return Status(all->empty() ? Code::kNotFound : Code::kOutOfRange,
                  all->empty() ? "there is no backup in " + backups_
                               : "every backup in " + backups_ + " is younger than that" +
                                     (target.kind == Target::Kind::kTime ? kClock : ""));
  }

  Status bring_back() {
    Status status = need(store_, "--store FILE");
    if (!status.ok()) return status;
    const auto wanted = target();
    if (!wanted.ok()) return wanted.status();
    const auto file = name_.empty() ? newest_for(*wanted) : file_of(name_);
    if (!file.ok()) return file.status();
    RestoreOptions options;
    options.store = store_;
    options.file = *file;
    options.archive = archive_;
    options.segments = segments_;
    options.target = *wanted;
    options.force = force_;
    options.wall_ns =
        std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
    const auto restored = restore(options, progress());
    if (!restored.ok()) return restored.status();
    clear_progress();
    if (!text()) {
      print({{"store", store_},
             {"backup", *file},
             {"position", restored->place.position},
             {"newest_record_ms", restored->place.newest_wall_ns / 1'000'000},
             {"streams", restored->check.streams},
             {"records", restored->check.records},
             {"runs", restored->runs},
             {"lacks", restored->lacks},
             {"missing_segments", restored->missing_segments},
             {"segments", restored->segments},
             {"kept_old_store", restored->aside}});
      return lacking(*restored);
    }
    std::printf("Restored %s from %s: up to %s, position %llu, %llu runs; every chain verifies.\n",
                store_.c_str(), file->c_str(), utc(restored->place.newest_wall_ns).c_str(),
                static_cast<unsigned long long>(restored->place.position),
                static_cast<unsigned long long>(restored->runs));
    if (!restored->missing_segments.empty()) {
      std::printf("%zu archived segments are not in the backup; bring these files into %s:\n",
                  restored->missing_segments.size(), restored->segments.c_str());
      for (const std::string& name : restored->missing_segments) {
        std::printf("  %s\n", name.c_str());
      }
    }
    if (!restored->aside.empty()) {
      std::printf("The store that was there is kept: %s\n", restored->aside.c_str());
    }
    if (!quiet_) std::printf("Next: palyra daemon start\n");
    return lacking(*restored);
  }

  // The store is restored, and is not all that was asked for.
  Status lacking(const Restored& restored) {
    std::string what = restored.lacks;
    if (const size_t count = restored.missing_segments.size(); count > 0) {
      what += (what.empty() ? "" : "; ") + std::to_string(count) +
              " archived segments are missing, and their streams begin later until the files are "
              "in " +
              restored.segments;
    }
    if (what.empty()) return {};
    code_ = kLacking;
    return {Code::kDataLoss, "the store is restored, but not all of it: " + what};
  }

  // Where the store has its own archived segments; empty if no store is known.
  std::string segments_of_store() const {
    if (!segments_.empty()) return segments_;
    if (!store_.empty()) return std::filesystem::path(store_).parent_path() / "segments";
    // Somebody's directory of everything: the lock tells that a store is in it.
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(backups_, none)) {
      if (entry.path().string().ends_with(".sqlite.lock")) return shared_segments(backups_);
    }
    return "";
  }

  Status prune_old() {
    Status status = need(backups_, "--backups DIRECTORY");
    if (!status.ok()) return status;
    const auto removed = prune(backups_, keep_, archive_, segments_of_store());
    if (!removed.ok()) return removed.status();
    tell_unreadable(removed->unreadable);
    if (!removed->unreadable.empty()) {
      std::fprintf(stderr,
                   "palyra-store: archived segments and logs stay: what these need is not known\n");
    }
    if (!text()) {
      print({{"removed", removed->backups},
             {"removed_logs", removed->logs},
             {"unreadable", removed->unreadable}});
    } else {
      for (const std::string& name : removed->backups) std::printf("removed %s\n", name.c_str());
      if (removed->logs > 0) {
        std::printf("removed %llu archived logs\n", static_cast<unsigned long long>(removed->logs));
      }
      if (removed->backups.empty() && removed->logs == 0) std::printf("Nothing to remove.\n");
    }
    return {};
  }

  CLI::App app_{"Backups of a Palyra store, without a daemon.", "palyra-store"};
  std::string output_ = "text";
  bool quiet_ = false;
  std::string backups_, archive_, segments_, store_, name_, time_, position_;
  CLI::Option* to_position_ = nullptr;
  CLI::Option* to_time_ = nullptr;
  bool latest_ = false;
  bool force_ = false;
  size_t keep_ = 0;
  int code_ = 0;  // instead of the status's
  std::chrono::steady_clock::time_point shown_{};
  std::function<Status()> action_;
};

}  // namespace
}  // namespace palyra::journal::backup

int main(int argc, char** argv) { return palyra::journal::backup::Tool().main(argc, argv); }
