#include "plugins/journal/backup/create.h"

#include "plugins/common/digest/digest.h"
#include "plugins/journal/backup/segments.h"
#include "plugins/journal/sqlite/file_lock.h"
#include "plugins/journal/sqlite/snapshot.h"
#include "plugins/journal/sqlite/wal_archive.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <sys/stat.h>
#include <utility>

namespace palyra::journal::backup {
namespace {

constexpr char kUnfinished[] = ".unfinished-";

void remove_unfinished(const std::string& directory) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    if (entry.path().filename().string().rfind(kUnfinished, 0) == 0) {
      (void)files::remove(entry.path());
    }
  }
}

// Held by whoever makes or removes backups: what one of them has just copied, another one must not
// take for unused.
Result<sqlite::FileLock> lock_backups(const std::string& directory) {
  auto lock = sqlite::FileLock::take(directory + "/.lock");
  if (lock.status().code() == Code::kFailedPrecondition) {
    return Status(Code::kFailedPrecondition, "another process makes or removes backups in " +
                                                 directory + " now; try again when it is done");
  }
  return lock;
}

bool on_one_disk(const std::string& a, const std::string& b) {
  struct stat first {};
  struct stat second {};
  return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev;
}

// What the backup costs, and whether there is room for it.
struct Cost {
  uint64_t database = 0;
  uint64_t segments = 0;      // all that it needs
  uint64_t new_segments = 0;  // those that no other backup has
};

Result<Cost> measure(const CreateOptions& options) {
  Cost cost;
  cost.database = files::size(options.store) + files::size(options.store + "-wal");
  if (options.segments.empty()) return cost;
  const auto segments = segments_of(options.store);
  if (!segments.ok()) return segments.status();
  const std::string shared = shared_segments(options.directory);
  for (const SegmentFile& file : *segments) {
    cost.segments += file.bytes;
    if (files::size(shared + "/" + file.name) != file.bytes) cost.new_segments += file.bytes;
  }
  return cost;
}

Status check_room(const CreateOptions& options, const Cost& cost) {
  uint64_t needed = cost.database + (cost.database / 16) + cost.new_segments;
  const bool shared = options.reserve > 0 && on_one_disk(options.store, options.directory);
  if (shared) needed += options.reserve;
  return files::check_room(options.directory + "/" + kUnfinished, needed,
                           shared ? "the backup, with the journal's reserve "
                                    "([storage] min_free_bytes),"
                                  : "the backup");
}

}  // namespace

Result<std::string> free_name(const CreateOptions& options) {
  std::string name = options.name.empty() ? time_name(options.wall_ms) : options.name;
  if (!is_name(name)) {
    return Status(Code::kInvalidArgument,
                  "a backup's name is 1 to 64 letters, digits, '.', '_' or '-' and begins with a "
                  "letter or digit; it is not a path");
  }
  // Whoever names a backup by its file means the file.
  if (name.ends_with(".sqlite") || name.ends_with(".json")) {
    return Status(Code::kInvalidArgument,
                  "a backup's name does not end in .sqlite or .json, as its files do");
  }
  const auto taken = [&](const std::string& candidate) {
    return files::exists(manifest_of(options.directory, candidate)) ||
           files::exists(database_of(options.directory, candidate));
  };
  if (!options.name.empty() && taken(name)) {
    return Status(Code::kAlreadyExists,
                  "there is a backup " + name + " already; give another name");
  }
  const std::string base = name;
  for (int i = 2; taken(name); ++i) name = base + "-" + std::to_string(i);
  return name;
}

Result<Manifest> create(const CreateOptions& options, const files::Progress& progress,
                        std::vector<std::string>* missing) {
  if (const auto name = free_name(options); !name.ok()) return name.status();
  Status status = check_apart(options.directory, options.segments);
  if (status.ok()) status = files::make_directory(options.directory);
  if (!status.ok()) return status;
  const auto lock = lock_backups(options.directory);
  if (!lock.ok()) return lock.status();
  const Result<std::string> name = free_name(options);
  if (!name.ok()) return name.status();
  const auto others = list_backups(options.directory);
  if (!others.ok()) return others.status();
  remove_unfinished(options.directory);
  const auto cost = measure(options);
  if (!cost.ok()) return cost.status();
  status = check_room(options, *cost);
  if (!status.ok()) return status;

  const uint64_t total = cost->database + cost->segments + cost->database;
  uint64_t before = 0;
  const auto next = [&](uint64_t share) -> files::Progress {
    const uint64_t from = std::exchange(before, before + share);
    return [&progress, from, share, total](uint64_t done, uint64_t) {
      return !progress || progress(from + std::min(done, share), total);
    };
  };
  const std::string unfinished = options.directory + "/" + kUnfinished + *name;
  const Result<sqlite::SnapshotFacts> facts =
      sqlite::copy_snapshot(options.store, unfinished, next(cost->database));
  if (!facts.ok()) return facts.status();
  if (!options.segments.empty()) {
    // One that was erased meanwhile is gone from here, too: verify says so.
    const auto gone = copy_segments(unfinished, options.segments,
                                    shared_segments(options.directory), next(cost->segments));
    if (!gone.ok()) {
      remove_unfinished(options.directory);
      return gone.status();
    }
    if (missing != nullptr) *missing = *gone;
  }
  const Result<files::Digest> digest = files::digest(unfinished, next(cost->database));
  if (!digest.ok()) {
    remove_unfinished(options.directory);
    return digest.status();
  }

  Manifest manifest;
  manifest.name = *name;
  manifest.created_ms = options.wall_ms;
  if (!others->empty() && others->front().created_ms < INT64_MAX) {
    // The clock may have been set back; what is newest must not depend on it.
    manifest.created_ms = std::max(options.wall_ms, others->front().created_ms + 1);
  }
  manifest.schema_version = facts->schema_version;
  manifest.position = facts->position;
  manifest.streams = facts->streams;
  manifest.newest_record_ms = facts->newest_wall_ns / 1'000'000;
  manifest.size = digest->size;
  manifest.sha256 = digest::to_hex(digest->sha256);
  manifest.audit_head = digest::to_hex(facts->audit_head);
  manifest.log_salt = digest::to_hex(facts->log_salt);
  manifest.log_frames = facts->log_frames;
  manifest.version = PALYRA_VERSION;
  const std::string unfinished_manifest = unfinished + ".json";
  status = files::write(unfinished_manifest, to_json(manifest));
  if (status.ok()) status = files::rename(unfinished, database_of(options.directory, *name));
  if (status.ok()) {
    status = files::rename(unfinished_manifest, manifest_of(options.directory, *name));
  }
  if (!status.ok()) {
    remove_unfinished(options.directory);
    return status;
  }
  return manifest;
}

namespace {

// The names of the segments that these need.
Result<std::set<std::string>> needed_by(const std::string& directory, const Manifest* backups,
                                        size_t count) {
  std::set<std::string> needed;
  for (size_t i = 0; i < count; ++i) {
    const std::string path = database_of(directory, backups[i].name);
    Status status;
    if (files::size(path) != backups[i].size) {
      status = {Code::kDataLoss, path + ": not of the size that its manifest says"};
    } else if (const auto segments = segments_of(path); segments.ok()) {
      for (const SegmentFile& file : *segments) needed.insert(file.name);
    } else {
      status = segments.status();
    }
    if (!status.ok()) {
      return Status(status.code(), "nothing is removed, because the backup " + backups[i].name +
                                       ", which would stay, is damaged (" + status.message() +
                                       "); remove it or bring it back");
    }
  }
  return needed;
}

}  // namespace

Result<Pruned> prune(const std::string& directory, size_t keep, const std::string& archive,
                     const std::string& segments) {
  Pruned removed;
  if (!files::exists(directory)) return removed;
  if (Status status = check_apart(directory, segments); !status.ok()) return status;
  const auto lock = lock_backups(directory);
  if (!lock.ok()) return lock.status();
  const auto all = list_backups(directory, &removed.unreadable);
  if (!all.ok()) return all.status();
  keep = std::min(std::max<size_t>(keep, 1), all->size());
  if (keep < all->size()) {
    const auto needed = needed_by(directory, all->data(), keep);
    if (!needed.ok()) return needed.status();
    for (size_t i = keep; i < all->size(); ++i) {
      const std::string& name = (*all)[i].name;
      // The manifest first: what is left without one is no backup.
      Status status = files::remove(manifest_of(directory, name));
      if (status.ok()) status = files::remove(database_of(directory, name));
      if (!status.ok()) return status;
      removed.backups.push_back(name);
    }
    if (removed.unreadable.empty()) {
      Status status = prune_segments(*needed, shared_segments(directory));
      if (!status.ok()) return status;
    }
  }
  if (archive.empty() || keep == 0 || !removed.unreadable.empty()) return removed;
  const auto logs = sqlite::list_segments(archive);
  if (!logs.ok()) return logs.status();
  const std::string salt = digest::from_hex((*all)[keep - 1].log_salt).value_or("");
  const auto first =
      std::find_if(logs->begin(), logs->end(), [&](const auto& log) { return log.salt == salt; });
  // The oldest backup that stays knows no log of the archive: nothing is known to be useless.
  if (first == logs->end()) return removed;
  for (auto at = logs->begin(); at != first; ++at) {
    if (Status status = files::remove(at->path); !status.ok()) return status;
    ++removed.logs;
  }
  return removed;
}

}  // namespace palyra::journal::backup
