#include "plugins/journal/backup/disk_keeper.h"

#include "plugins/common/digest/digest.h"
#include "plugins/journal/backup/point_in_time.h"
#include "plugins/journal/backup/read.h"
#include "plugins/journal/backup/segments.h"
#include "plugins/journal/sqlite/full_check.h"
#include "plugins/journal/sqlite/schema.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace palyra::journal::backup {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLongestPause{200};

// How the last check of an earlier life ended.
struct LastCheck {
  int64_t finished_ms = 0;  // 0 = none that found everything whole
  bool damaged = false;
};

LastCheck last_check(const std::string& path) {
  LastCheck last;
  const auto text = files::read(path, 4096);
  if (!text.ok()) return last;
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object()) return last;
  last.damaged = json.contains("damaged");
  const auto at = json.find("finished_ms");
  if (at != json.end() && at->is_number_integer()) last.finished_ms = at->get<int64_t>();
  return last;
}

void fill(const Manifest& manifest, v1::BackupInfo& info) {
  info.set_name(manifest.name);
  info.set_created_ms(manifest.created_ms);
  info.set_position(manifest.position);
  info.set_newest_record_ms(manifest.newest_record_ms);
  info.set_size_bytes(manifest.size);
  info.set_sha256(manifest.sha256);
  info.set_schema_version(manifest.schema_version);
  info.set_version(manifest.version);
}

}  // namespace

DiskKeeper::DiskKeeper(KeeperOptions options, const Clock& clock, sqlite::WalArchive* archive)
    : options_(std::move(options)), clock_(clock), archive_(archive) {
  check_.set_state(v1::STORE_CHECK_STATE_WAITING);
  const LastCheck last = last_check(checked_path());
  check_.set_finished_ms(last.finished_ms);
  suspect_ = last.damaged;
  // `palyra doctor` tells before somebody needs a backup.
  progress_.set_error(check_apart(options_.directory, options_.segments).message());
}

DiskKeeper::~DiskKeeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (maker_.joinable()) maker_.join();
  if (checker_.joinable()) checker_.join();
}

bool DiskKeeper::pause(SteadyClock::duration time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [this] { return stopping_; });
  return !stopping_;
}

CreateOptions DiskKeeper::to_create(const std::string& name) const {
  CreateOptions create;
  create.store = options_.store;
  create.directory = options_.directory;
  create.name = name;
  create.wall_ms = clock_.wall_now() / kNanosPerMilli;
  create.segments = options_.segments;
  create.reserve = options_.reserve;
  return create;
}

Result<v1::BackupResponse> DiskKeeper::backup(const v1::BackupRequest& request) {
  const Result<std::string> name = free_name(to_create(request.name()));
  if (!name.ok()) return name.status();
  Status apart = check_apart(options_.directory, options_.segments);
  if (!apart.ok()) return apart;
  const std::lock_guard lock(mutex_);
  if (stopping_) return Status(Code::kUnavailable, "the journal is closing");
  if (progress_.running()) {
    return Status(Code::kFailedPrecondition,
                  "the backup " + progress_.name() + " is being made; wait for it");
  }
  if (maker_.joinable()) maker_.join();
  progress_.Clear();
  progress_.set_name(*name);
  progress_.set_running(true);
  maker_ = std::thread([this, made = *name] { make(made); });
  v1::BackupResponse response;
  response.set_name(*name);
  return response;
}

void DiskKeeper::make(const std::string& name) {
  std::vector<std::string> missing;
  const auto manifest = create(
      to_create(name),
      [this](uint64_t done, uint64_t total) {
        const std::lock_guard lock(mutex_);
        progress_.set_done_bytes(done);
        progress_.set_total_bytes(total);
        return !stopping_;
      },
      &missing);
  // The way on from this backup begins in the archive.
  const Status followed = manifest.ok() && archive_ != nullptr ? archive_->follow() : Status();
  std::string note;
  if (!followed.ok()) {
    note =
        "the log that leads on from it could not be archived, so that only its own state can be "
        "restored: " +
        followed.message();
  } else if (manifest.ok()) {
    note = tidy();
  }
  if (!missing.empty()) {
    note = std::to_string(missing.size()) +
           " files of archived segments are missing from the store or were altered, and are not in "
           "the backup; \"palyra backup verify\" names them" +
           (note.empty() ? "" : "; " + note);
  }
  const std::lock_guard lock(mutex_);
  progress_.set_running(false);
  progress_.set_error(manifest.status().message());
  progress_.set_note(note);
}

std::string DiskKeeper::tidy() {
  if (options_.keep == 0) return "";
  {
    const std::lock_guard lock(mutex_);
    if (suspect_) {
      return "older backups stay, whatever backups_keep says, because the last check of the "
             "journal found damage or failed: the newer ones may hold it, too";
    }
  }
  const auto pruned = prune(options_.directory, options_.keep, options_.archive, options_.segments);
  if (!pruned.ok()) return "older backups could not be removed: " + pruned.status().message();
  if (pruned->unreadable.empty()) return "";
  return "archived segments and logs of older backups stay, because it is not known what this one "
         "needs: " +
         pruned->unreadable.front();
}

Result<v1::CheckResponse> DiskKeeper::check(const v1::CheckRequest& request) {
  v1::CheckResponse response;
  if (request.has_part()) {
    Result<v1::BackupData> data = read_part(options_.directory, request.part());
    if (!data.ok()) return data.status();
    *response.mutable_data() = std::move(*data);
    return response;
  }
  if (!request.progress_only()) {
    const auto all = list_backups(options_.directory);
    if (!all.ok()) return all.status();
    for (const Manifest& manifest : *all) fill(manifest, *response.add_backups());
    if (archive_ != nullptr && !all->empty()) {
      const Manifest& newest = all->front();
      const std::string broken =
          broken_way(options_.archive, options_.store,
                     {digest::from_hex(newest.log_salt).value_or(""), newest.log_frames});
      if (!broken.empty()) {
        response.set_archive_problem(broken + ", so that the newest backup, " + newest.name +
                                     ", does not lead to now");
      }
    }
  }
  response.set_directory(options_.directory);
  response.set_archive(archive_ != nullptr);
  if (archive_ != nullptr && !archive_->problem().empty()) {
    response.set_archive_problem(archive_->problem());
  }
  const std::lock_guard lock(mutex_);
  *response.mutable_check() = check_;
  *response.mutable_backup() = progress_;
  return response;
}

void DiskKeeper::begin_check(Heard heard) {
  const std::lock_guard lock(mutex_);
  if (stopping_ || checker_.joinable()) return;
  const int64_t since = clock_.wall_now() - check_.finished_ms() * kNanosPerMilli;
  if (files::size(options_.store) > kLargeStore && since >= 0 && since < kCheckEvery) {
    check_.set_state(v1::STORE_CHECK_STATE_NOT_DUE);
    return;
  }
  check_.set_state(v1::STORE_CHECK_STATE_RUNNING);
  checker_ = std::thread([this, heard = std::move(heard)] { look(heard); });
}

void DiskKeeper::look(const Heard& heard) {
  // Of this thread only, as Linux has it.
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), 19);
  SteadyClock::time_point slice = SteadyClock::now();
  sqlite::CheckOptions options;
  options.pace = [&](uint64_t done, uint64_t total, bool may_sleep) {
    {
      const std::lock_guard lock(mutex_);
      check_.set_records_done(done);
      check_.set_records_total(total);
    }
    const auto worked = SteadyClock::now() - slice;
    const SteadyClock::duration rest =
        may_sleep ? std::min<SteadyClock::duration>(worked * 4, kLongestPause)
                  : SteadyClock::duration::zero();
    const bool go_on = pause(rest);
    slice = SteadyClock::now();
    return go_on;
  };
  auto db = sqlite::Database::open(options_.store, false);
  Status status = db.ok() ? sqlite::configure(**db, false) : db.status();
  const Result<sqlite::CheckResult> result = status.ok()
                                                 ? sqlite::check_store(std::move(*db), options)
                                                 : Result<sqlite::CheckResult>(status);
  if (result.status().code() == Code::kCancelled) return;

  const int64_t now = clock_.wall_now() / kNanosPerMilli;
  const bool damaged = result.ok() && !result->damage.empty();
  const std::string detail = result.ok() ? result->damage : result.status().message();
  {
    const std::lock_guard lock(mutex_);
    check_.set_state(!result.ok() ? v1::STORE_CHECK_STATE_FAILED
                     : damaged    ? v1::STORE_CHECK_STATE_DAMAGED
                                  : v1::STORE_CHECK_STATE_OK);
    check_.set_detail(detail);
    suspect_ = !result.ok() || damaged;
    if (result.ok()) check_.set_finished_ms(now);
  }
  if (result.ok() && !damaged) {
    (void)files::write(checked_path(), nlohmann::json({{"finished_ms", now},
                                                       {"position", result->position},
                                                       {"records", result->records}})
                                               .dump() +
                                           "\n");
  } else if (damaged) {
    // So that the next life knows before its own check has ended.
    (void)files::write(checked_path(), nlohmann::json({{"damaged", true}}).dump() + "\n");
  }
  if (heard) {
    heard(damaged || !result.ok(),
          detail.empty() ? std::to_string(result->records) + " records verified" : detail);
  }
}

}  // namespace palyra::journal::backup
