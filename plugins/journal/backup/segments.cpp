#include "plugins/journal/backup/segments.h"

#include "plugins/journal/segment_files.h"
#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/sqlite/files.h"

#include <sqlite3.h>

#include <filesystem>

namespace palyra::journal::backup {
namespace {

constexpr std::string_view kPartSuffix = ".part";

std::string part_of(const std::string& path) { return path + std::string(kPartSuffix); }

std::filesystem::path true_path(const std::string& path) {
  std::error_code none;
  return std::filesystem::weakly_canonical(std::filesystem::path(path) / ".", none);
}

}  // namespace

bool is_segment_name(std::string_view name) {
  constexpr std::string_view kSuffix = ".ndjson.gz";
  return name.size() == 64 + kSuffix.size() && name.substr(64) == kSuffix &&
         name.substr(0, 64).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Status check_apart(const std::string& directory, const std::string& segments) {
  if (segments.empty()) return {};
  const std::string shared = shared_segments(directory);
  std::error_code none;
  const std::filesystem::path at = true_path(shared);
  if (!std::filesystem::equivalent(shared, segments, none) &&
      (at.empty() || at != true_path(segments))) {
    return {};
  }
  return {Code::kFailedPrecondition,
          "the backups in " + directory + " would share " + shared +
              " with the store itself; set [storage] backup_dir to another directory"};
}

Result<std::vector<SegmentFile>> segments_of(const std::string& database) {
  std::vector<SegmentFile> found;
  auto db = sqlite::Database::open(database, false);
  if (!db.ok()) return db.status();
  const Result<int64_t> known =
      (*db)->number("SELECT count(*) FROM sqlite_schema WHERE type='table' AND name='segment'");
  if (!known.ok()) return known.status();
  if (*known == 0) return found;
  sqlite::Statement rows = (*db)->prepare("SELECT DISTINCT digest, file_bytes FROM segment");
  int code = 0;
  while ((code = rows.step()) == SQLITE_ROW) {
    found.push_back({segment_name(std::string(rows.bytes(0))), rows.unsigned_integer(1)});
  }
  if (code != SQLITE_DONE) return (*db)->status(code);
  return found;
}

Result<std::vector<std::string>> copy_segments(const std::string& database, const std::string& from,
                                               const std::string& to,
                                               const files::Progress& progress) {
  const auto wanted = segments_of(database);
  if (!wanted.ok()) return wanted.status();
  std::vector<std::string> missing;
  if (!wanted->empty()) {
    if (Status status = files::make_directory(to); !status.ok()) return status;
  }
  uint64_t total = 0;
  for (const SegmentFile& file : *wanted) total += file.bytes;
  uint64_t before = 0;
  const files::Progress within = [&](uint64_t done, uint64_t) {
    return !progress || progress(before + done, total);
  };
  for (const SegmentFile& file : *wanted) {
    const std::string path = to + "/" + file.name;
    if (files::size(path) == file.bytes) {
      const auto there = files::digest(path, within);
      if (there.status().code() == Code::kCancelled) return there.status();
      if (there.ok() && segment_name(there->sha256) == file.name) {
        before += file.bytes;
        continue;
      }
    }
    if (Status status = files::remove(part_of(path)); !status.ok()) return status;
    const auto copied = files::copy(from + "/" + file.name, part_of(path), within);
    const bool altered = copied.ok() && segment_name(copied->sha256) != file.name;
    before += file.bytes;
    if (altered || copied.status().code() == Code::kNotFound) {
      (void)files::remove(part_of(path));
      missing.push_back(file.name);
      continue;
    }
    Status status = copied.status();
    if (status.ok()) status = files::rename(part_of(path), path);
    if (!status.ok()) {
      (void)files::remove(part_of(path));
      return status;
    }
  }
  return missing;
}

Status check_segments(const std::string& database, const std::string& directory) {
  constexpr int kNamed = 20;
  const auto wanted = segments_of(database);
  if (!wanted.ok()) return wanted.status();
  std::string names;
  int count = 0;
  for (const SegmentFile& file : *wanted) {
    const auto digest = files::digest(directory + "/" + file.name);
    if (digest.ok() && segment_name(digest->sha256) == file.name) continue;
    if (++count <= kNamed) names += " " + file.name;
  }
  if (count == 0) return {};
  if (count > kNamed) names += " and " + std::to_string(count - kNamed) + " more";
  return {Code::kDataLoss, std::to_string(count) + " archived segments are missing from " +
                               directory +
                               " or were altered; bring them from the segments of the "
                               "store or of another backup:" +
                               names};
}

Status prune_segments(const std::set<std::string>& needed, const std::string& directory) {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(directory, none)) {
    const std::string name = entry.path().filename();
    std::string_view segment = name;
    if (segment.ends_with(kPartSuffix)) segment.remove_suffix(kPartSuffix.size());
    if (!is_segment_name(segment) || needed.count(name) != 0) continue;
    if (Status status = files::remove(entry.path()); !status.ok()) return status;
  }
  return {};
}

}  // namespace palyra::journal::backup
