#include "plugins/journal/backup/segments.h"

#include "plugins/journal/segment_files.h"
#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/sqlite/files.h"

#include <sqlite3.h>

#include <filesystem>
#include <set>

namespace palyra::journal::backup {
namespace {

constexpr char kPartSuffix[] = ".part";

}  // namespace

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
                                               const std::string& to) {
  const auto wanted = segments_of(database);
  if (!wanted.ok()) return wanted.status();
  std::vector<std::string> missing;
  if (!wanted->empty()) {
    if (Status status = files::make_directory(to); !status.ok()) return status;
  }
  for (const SegmentFile& file : *wanted) {
    const std::string path = to + "/" + file.name;
    if (files::exists(path)) continue;
    if (Status status = files::remove(path + kPartSuffix); !status.ok()) return status;
    const auto copied = files::copy(from + "/" + file.name, path + kPartSuffix);
    const bool altered = copied.ok() && segment_name(copied->sha256) != file.name;
    if (altered || copied.status().code() == Code::kNotFound) {
      (void)files::remove(path + kPartSuffix);
      missing.push_back(file.name);
      continue;
    }
    Status status = copied.status();
    if (status.ok()) status = files::rename(path + kPartSuffix, path);
    if (!status.ok()) return status;
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

Status prune_segments(const std::vector<std::string>& databases, const std::string& directory) {
  std::set<std::string> named;
  for (const std::string& database : databases) {
    const auto wanted = segments_of(database);
    if (!wanted.ok()) return wanted.status();
    for (const SegmentFile& file : *wanted) named.insert(file.name);
  }
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(directory, none)) {
    if (named.count(entry.path().filename()) != 0) continue;
    if (Status status = files::remove(entry.path()); !status.ok()) return status;
  }
  return {};
}

}  // namespace palyra::journal::backup
