#include "plugins/journal/backup/segments.h"

#include "plugins/journal/segment_files.h"
#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/sqlite/files.h"

#include <sqlite3.h>

#include <filesystem>
#include <set>

namespace palyra::journal::backup {
namespace {

constexpr char kPart[] = ".part";

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

Result<uint64_t> copy_segments(const std::string& database, const std::string& from,
                               const std::string& to) {
  const auto wanted = segments_of(database);
  if (!wanted.ok()) return wanted.status();
  uint64_t missing = 0;
  if (!wanted->empty()) {
    if (Status status = files::make_directory(to); !status.ok()) return status;
  }
  for (const SegmentFile& file : *wanted) {
    const std::string path = to + "/" + file.name;
    if (files::exists(path)) continue;
    Status status = files::remove(path + kPart);
    if (status.ok()) status = files::copy(from + "/" + file.name, path + kPart).status();
    if (status.code() == Code::kNotFound) {
      ++missing;
      continue;
    }
    if (status.ok()) status = files::rename(path + kPart, path);
    if (!status.ok()) return status;
  }
  return missing;
}

Status check_segments(const std::string& database, const std::string& directory) {
  const auto wanted = segments_of(database);
  if (!wanted.ok()) return wanted.status();
  for (const SegmentFile& file : *wanted) {
    const std::string path = directory + "/" + file.name;
    if (files::size(path) == file.bytes && files::exists(path)) continue;
    return {Code::kDataLoss, path + ": an archived segment is missing or was cut off"};
  }
  return {};
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
