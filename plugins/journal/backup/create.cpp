#include "plugins/journal/backup/create.h"

#include "plugins/common/digest/digest.h"
#include "plugins/journal/backup/segments.h"
#include "plugins/journal/sqlite/snapshot.h"
#include "plugins/journal/sqlite/wal_archive.h"

#include <algorithm>
#include <filesystem>

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

}  // namespace

Result<std::string> free_name(const CreateOptions& options) {
  std::string name = options.name.empty() ? time_name(options.wall_ms) : options.name;
  if (!is_name(name)) {
    return Status(Code::kInvalidArgument,
                  "a backup's name is 1 to 64 letters, digits, '.', '_' or '-' and begins with a "
                  "letter or digit; it is not a path");
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

Result<Manifest> create(const CreateOptions& options, const files::Progress& progress) {
  const Result<std::string> name = free_name(options);
  if (!name.ok()) return name.status();
  if (Status status = files::make_directory(options.directory); !status.ok()) return status;
  remove_unfinished(options.directory);
  const std::string unfinished = options.directory + "/" + kUnfinished + *name;
  const uint64_t needed = files::size(options.store) + files::size(options.store + "-wal");
  Status status = files::check_room(unfinished, needed + (needed / 16), "the backup");
  if (!status.ok()) return status;

  const Result<sqlite::SnapshotFacts> facts =
      sqlite::copy_snapshot(options.store, unfinished, progress);
  if (!facts.ok()) return facts.status();
  if (!options.segments.empty()) {
    // One that was erased meanwhile is gone from here, too: verify says so.
    const auto missing =
        copy_segments(unfinished, options.segments, shared_segments(options.directory));
    if (!missing.ok()) {
      remove_unfinished(options.directory);
      return missing.status();
    }
  }
  const Result<files::Digest> digest = files::digest(unfinished);
  if (!digest.ok()) return digest.status();

  Manifest manifest;
  manifest.name = *name;
  manifest.created_ms = options.wall_ms;
  manifest.schema_version = facts->schema_version;
  manifest.position = facts->position;
  manifest.streams = facts->streams;
  manifest.newest_record_ms = facts->newest_wall_ns / 1'000'000;
  manifest.size = digest->size;
  manifest.sha256 = digest::to_hex(digest->sha256);
  manifest.audit_head = digest::to_hex(facts->audit_head);
  manifest.log_salt = digest::to_hex(facts->log_salt);
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

Result<Pruned> prune(const std::string& directory, size_t keep, const std::string& archive) {
  const Result<std::vector<Manifest>> all = list_backups(directory);
  if (!all.ok()) return all.status();
  keep = std::max<size_t>(keep, 1);
  Pruned removed;
  for (size_t i = keep; i < all->size(); ++i) {
    const std::string& name = (*all)[i].name;
    // The manifest first: what is left without one is no backup.
    Status status = files::remove(manifest_of(directory, name));
    if (status.ok()) status = files::remove(database_of(directory, name));
    if (!status.ok()) return status;
    removed.backups.push_back(name);
  }
  if (!removed.backups.empty()) {
    std::vector<std::string> stay;
    for (size_t i = 0; i < keep && i < all->size(); ++i) {
      stay.push_back(database_of(directory, (*all)[i].name));
    }
    if (Status status = prune_segments(stay, shared_segments(directory)); !status.ok()) {
      return status;
    }
  }
  if (archive.empty() || all->empty()) return removed;
  const auto segments = sqlite::list_segments(archive);
  if (!segments.ok()) return segments.status();
  const std::string salt =
      digest::from_hex((*all)[std::min(keep, all->size()) - 1].log_salt).value_or("");
  const auto first = std::find_if(segments->begin(), segments->end(),
                                  [&](const auto& segment) { return segment.salt == salt; });
  // The oldest backup that stays knows no log of the archive: nothing is known to be useless.
  if (first == segments->end()) return removed;
  for (auto at = segments->begin(); at != first; ++at) {
    if (Status status = files::remove(at->path); !status.ok()) return status;
    ++removed.logs;
  }
  return removed;
}

}  // namespace palyra::journal::backup
