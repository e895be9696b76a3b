#include "plugins/journal/backup/read.h"

#include "plugins/journal/backup/manifest.h"
#include "plugins/journal/backup/segments.h"
#include "plugins/journal/sqlite/files.h"

#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace palyra::journal::backup {
namespace {

namespace v1 = service::v1;

constexpr size_t kPart = 512 << 10;
constexpr std::string_view kSegments = "segments/";

Status no_such_file() {
  return {Code::kInvalidArgument, "a backup has no such file", PALYRA_ERROR_USER_FAULT};
}

Result<v1::BackupData> list(const std::string& directory, const std::string& name) {
  v1::BackupData data;
  const auto add = [&](const std::string& file) {
    v1::BackupFile& entry = *data.add_files();
    entry.set_name(file);
    entry.set_size(files::size(directory + "/" + file));
  };
  add(name + ".json");
  add(name + ".sqlite");
  const auto segments = segments_of(database_of(directory, name));
  if (!segments.ok()) return segments.status();
  for (const SegmentFile& segment : *segments) {
    const std::string file = std::string(kSegments) + segment.name;
    if (files::exists(directory + "/" + file)) {
      add(file);
    } else {
      data.add_missing(segment.name);
    }
  }
  return data;
}

}  // namespace

Result<v1::BackupData> read_part(const std::string& directory, const v1::BackupPart& part) {
  const std::string& name = part.name();
  if (!is_name(name)) {
    return Status(Code::kInvalidArgument, "a backup's name is not a path; see: palyra backup list",
                  PALYRA_ERROR_USER_FAULT);
  }
  if (!files::exists(manifest_of(directory, name)) ||
      !files::exists(database_of(directory, name))) {
    return Status(Code::kNotFound, "there is no backup " + name + "; see: palyra backup list",
                  PALYRA_ERROR_USER_FAULT);
  }
  if (part.file().empty()) return list(directory, name);
  const std::string_view file = part.file();
  const bool segment = file.substr(0, kSegments.size()) == kSegments &&
                       is_segment_name(file.substr(kSegments.size()));
  if (!segment && file != name + ".json" && file != name + ".sqlite") return no_such_file();
  // No file reaches so far.
  if (part.offset() > uint64_t{1} << 62) return v1::BackupData();
  const std::string path = directory + "/" + part.file();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return files::error(path, errno);
  std::string bytes(kPart, '\0');
  ssize_t size = -1;
  do {
    size = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(part.offset()));
  } while (size < 0 && errno == EINTR);
  const int problem = errno;
  ::close(fd);
  if (size < 0) return files::error(path, problem);
  bytes.resize(static_cast<size_t>(size));
  v1::BackupData data;
  data.set_data(std::move(bytes));
  return data;
}

}  // namespace palyra::journal::backup
