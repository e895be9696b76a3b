#include "plugins/journal/backup/restore.h"

#include "plugins/common/digest/digest.h"
#include "plugins/journal/backup/segments.h"
#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/sqlite/file_lock.h"
#include "plugins/journal/sqlite/schema.h"
#include "plugins/journal/sqlite/tables.h"
#include "plugins/journal/sqlite/wal_archive.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace palyra::journal::backup {
namespace {

using sqlite::Database;

constexpr char kDraft[] = ".restoring";

files::Progress step(const Steps& steps, const char* what) {
  if (!steps) return {};
  return [&steps, what](uint64_t done, uint64_t total) { return steps(what, done, total); };
}

Status compare(const Backup& backup, const files::Digest& digest) {
  if (digest.size != backup.manifest.size) {
    return {Code::kDataLoss, backup.path + ": " + std::to_string(digest.size) +
                                 " bytes where its manifest says " +
                                 std::to_string(backup.manifest.size) +
                                 "; it was truncated or is another backup's, use another one"};
  }
  if (digest::to_hex(digest.sha256) != backup.manifest.sha256) {
    return {Code::kDataLoss, backup.path +
                                 ": not the file that its manifest describes (SHA-256 differs); "
                                 "it was altered or damaged, use another one"};
  }
  return {};
}

std::string directory_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder;
}

// A database of this program, of a schema that it knows.
Status check_schema(Database& db, const std::string& path) {
  const Result<int64_t> application = db.number("PRAGMA application_id");
  if (!application.ok()) return application.status();
  if (*application != sqlite::kApplicationId) {
    return {Code::kDataLoss, path + ": not a database of Palyra"};
  }
  const Result<int64_t> version = db.number("PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (*version < 1 || *version > sqlite::kSchemaVersion) {
    return {Code::kFailedPrecondition,
            path + ": schema " + std::to_string(*version) + ", this program knows 1 to " +
                std::to_string(sqlite::kSchemaVersion) + "; use the Palyra that wrote it"};
  }
  return {};
}

Result<sqlite::CheckResult> check_database(const std::string& path, const Steps& steps) {
  auto db = Database::open(path, false);
  if (!db.ok()) return db.status();
  Status status = sqlite::configure(**db, false);
  if (status.ok()) status = check_schema(**db, path);
  if (!status.ok()) return status;
  sqlite::CheckOptions options;
  options.thorough = true;
  if (steps) {
    options.pace = [&steps](uint64_t done, uint64_t total, bool) {
      return steps("verifying", done, total);
    };
  }
  auto result = sqlite::check_store(std::move(*db), options);
  if (result.ok() && !result->damage.empty()) {
    return Status(Code::kDataLoss, path + ": " + result->damage);
  }
  return result;
}

// Whoever holds a token from before the restore must not write under it: the tokens that are stored
// may be older than those given out since.
Status forget_leases(Database& db, int64_t wall_ns) {
  const Result<int64_t> most = db.number("SELECT max(token) FROM lease");
  if (!most.ok()) return most.status();
  // Tokens grow by one with each new owner; microseconds grow faster.
  const int64_t floor = std::max(*most + 1, wall_ns / 1000);
  const std::string number = std::to_string(floor);
  return db.execute(("UPDATE lease SET token=" + number +
                     ", owner='', expires_wall_ns=0; INSERT OR REPLACE INTO lease VALUES('" +
                     sqlite::kLeaseFloorName + "', " + number + ", '', 0)")
                        .c_str());
}

// The restored store under its temporary name; removed unless it gets its own.
class Draft {
 public:
  explicit Draft(const std::string& store) : store_(store) { remove_draft(store_); }
  ~Draft() { remove_draft(store_); }
  Draft(const Draft&) = delete;
  const std::string& path() const { return path_; }

 private:
  const std::string store_;
  const std::string path_ = store_ + kDraft;
};

// Root may restore the store of a daemon that is not root: what root made there is the daemon's.
void give_to_owner_of(const std::string& directory, const std::vector<std::string>& paths) {
  struct stat owner {};
  if (::geteuid() != 0 || ::stat(directory.c_str(), &owner) != 0) return;
  for (const std::string& path : paths) {
    // A second name of a file, or a link, may be somebody's who has the directory.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat is {};
    if (fd >= 0 && ::fstat(fd, &is) == 0 && is.st_uid == 0 &&
        (S_ISDIR(is.st_mode) || (S_ISREG(is.st_mode) && is.st_nlink == 1))) {
      (void)!::fchown(fd, owner.st_uid, owner.st_gid);
    }
    if (fd >= 0) ::close(fd);
  }
}

std::vector<std::string> entries(const std::string& directory) {
  std::vector<std::string> found;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(directory, none)) {
    found.push_back(entry.path());
  }
  return found;
}

// Keeps the store that is there under another name, complete: first all of its log goes into it.
// One that is damaged keeps its log beside it.
Result<std::string> put_aside(const RestoreOptions& options) {
  const std::string& store = options.store;
  std::string aside = store + ".before-restore-" + time_name(options.wall_ns / 1'000'000);
  for (int i = 2; files::exists(aside); ++i) {
    aside = store + ".before-restore-" + time_name(options.wall_ns / 1'000'000) + "-" +
            std::to_string(i);
  }
  bool folded = false;
  if (auto db = Database::open(store, false); db.ok()) {
    const Result<int64_t> busy = (*db)->number("PRAGMA wal_checkpoint(TRUNCATE)");
    folded = busy.ok() && *busy == 0 && files::size(store + "-wal") == 0;
  }
  Status status;
  if (!folded && files::exists(store + "-wal")) {
    status = files::rename(store + "-wal", aside + "-wal");
  } else {
    status = files::remove(store + "-wal");
  }
  if (status.ok()) status = files::remove(store + "-shm");
  if (!status.ok()) return status;
  // A link rather than a new name: at no moment is there no store, which a daemon would make anew.
  if (::link(store.c_str(), aside.c_str()) != 0) {
    status = files::rename(store, aside);
  } else {
    status = files::sync_directory_of(aside);
  }
  if (!status.ok()) return status;
  return aside;
}

}  // namespace

void remove_draft(const std::string& store) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    (void)files::remove(store + kDraft + suffix);
  }
}

Result<Verified> verify(const std::string& file, const Steps& steps) {
  const Result<Backup> backup = open_backup(file);
  if (!backup.ok()) return backup.status();
  const Result<files::Digest> digest = files::digest(backup->path, step(steps, "reading"));
  if (!digest.ok()) return digest.status();
  if (Status status = compare(*backup, *digest); !status.ok()) return status;
  auto check = check_database(backup->path, steps);
  if (!check.ok()) return check.status();
  if (Status status = check_facts(*backup); !status.ok()) return status;
  Status segments = check_segments(backup->path, shared_segments(directory_of(backup->path)));
  if (!segments.ok()) return segments;
  return Verified{backup->manifest, std::move(*check)};
}

Result<Restored> restore(const RestoreOptions& options, const Steps& steps) {
  const Result<Backup> backup = open_backup(options.file);
  if (!backup.ok()) return backup.status();
  const std::string store_directory = directory_of(options.store);
  if (Status status = files::make_directory(store_directory); !status.ok()) return status;
  const Result<sqlite::FileLock> lock = sqlite::FileLock::take(options.store + ".lock");
  if (!lock.ok()) return lock.status();
  const bool occupied = files::exists(options.store);
  if (occupied && !options.force) {
    return Status(Code::kFailedPrecondition,
                  options.store +
                      ": there is a store already; with --force it is kept under another name "
                      "and the restored one takes its place");
  }
  Status status = files::check_room(
      options.store, backup->manifest.size + (backup->manifest.size / 4), "the restored store");
  if (!status.ok()) return status;

  const Draft draft(options.store);
  const Result<files::Digest> digest =
      files::copy(backup->path, draft.path(), step(steps, "copying"));
  if (!digest.ok()) return digest.status();
  status = compare(*backup, *digest);
  if (!status.ok()) return status;

  Restored restored;
  if (options.target.kind != Target::Kind::kBackup) {
    // What the store that is there wrote last may not be archived yet.
    if (files::exists(options.store + "-wal") && files::exists(options.archive)) {
      status = sqlite::WalArchive::add_rest(options.archive, options.store);
      if (!status.ok()) return status;
    }
    if (steps && !steps("replaying", 0, 0)) return Status(Code::kCancelled, "stopped");
    const std::optional<std::string> salt = digest::from_hex(backup->manifest.log_salt);
    const auto rolled =
        roll_forward(draft.path(), options.archive,
                     {salt.value_or(""), backup->manifest.log_frames}, options.target);
    if (!rolled.ok()) return rolled.status();
    restored.lacks = rolled->lacks;
  }
  {
    auto db = Database::open(draft.path(), false);
    if (!db.ok()) return db.status();
    status = (*db)->execute("PRAGMA synchronous=FULL; PRAGMA journal_mode=DELETE");
    if (status.ok()) status = check_schema(**db, backup->path);
    if (status.ok()) status = forget_leases(**db, options.wall_ns);
    if (!status.ok()) return status;
    const Result<int64_t> runs =
        (*db)->number("SELECT count(*) FROM stream WHERE name>='run/' AND name<'run0'");
    if (!runs.ok()) return runs.status();
    restored.runs = static_cast<uint64_t>(*runs);
  }
  auto check = check_database(draft.path(), steps);
  if (!check.ok()) return check.status();
  restored.check = std::move(*check);
  const auto place = place_of(draft.path());
  if (!place.ok()) return place.status();
  restored.place = *place;
  restored.segments = options.segments.empty() ? store_directory + "/segments" : options.segments;
  auto missing =
      copy_segments(draft.path(), shared_segments(directory_of(backup->path)), restored.segments);
  if (!missing.ok()) return missing.status();
  restored.missing_segments = std::move(*missing);
  status = files::sync(draft.path());
  if (!status.ok()) return status;

  if (occupied) {
    auto aside = put_aside(options);
    if (!aside.ok()) return aside.status();
    restored.aside = std::move(*aside);
  } else {
    // What a store that was removed left behind must not be replayed over this one.
    status = files::remove(options.store + "-wal");
    if (status.ok()) status = files::remove(options.store + "-shm");
    if (!status.ok()) return status;
  }
  give_to_owner_of(store_directory, {draft.path(), options.store + ".lock", restored.segments});
  give_to_owner_of(restored.segments, entries(restored.segments));
  give_to_owner_of(options.archive, entries(options.archive));
  status = sqlite::WalArchive::forget(options.store);
  if (status.ok()) status = files::rename(draft.path(), options.store);
  if (!status.ok()) return status;
  return restored;
}

}  // namespace palyra::journal::backup
