#include "plugins/journal/sqlite/wal_archive.h"

#include "plugins/journal/sqlite/files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

namespace palyra::journal::sqlite {
namespace {

constexpr char kSuffix[] = ".wal";
constexpr char kOwner[] = "/store";
constexpr size_t kMostPath = 8192;
// Frames that are written at once.
constexpr size_t kBufferBytes = 1 << 20;

std::string segment_path(const std::string& directory, uint64_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "/%010llu", static_cast<unsigned long long>(number));
  return directory + name + kSuffix;
}

std::string read_at(int fd, uint64_t offset, size_t size) {
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got =
        ::pread(fd, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

std::optional<WalHeader> header_of(int fd) { return parse_wal_header(read_at(fd, 0, kWalHeader)); }

bool write_all(int fd, uint64_t offset, std::string_view data) {
  while (!data.empty()) {
    const ssize_t put = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    data.remove_prefix(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
  return true;
}

// The same for one place, however it is named.
std::string place(const std::string& path) {
  std::error_code ignored;
  const auto whole = std::filesystem::weakly_canonical(path, ignored);
  return (whole.empty() ? path : whole.string()) + "\n";
}

// Before its header was whole.
bool is_cut_off(const Segment& segment) {
  std::error_code problem;
  const uintmax_t size = std::filesystem::file_size(segment.path, problem);
  return !problem && size < kWalHeader;
}

}  // namespace

bool Segment::leads_to(const Segment& next) const {
  return next.number == number + 1 && leads_to(next.salt);
}

bool Segment::leads_to(const std::string& next) const {
  const auto first = [](const std::string& bytes) {
    uint32_t word = 0;
    for (size_t i = 0; i < 4; ++i) word = word << 8 | static_cast<uint8_t>(bytes[i]);
    return word;
  };
  return first(next) == first(salt) + 1;
}

Result<std::vector<Segment>> list_segments(const std::string& directory) {
  std::vector<Segment> found;
  std::error_code problem;
  std::filesystem::directory_iterator at(directory, problem), end;
  if (problem == std::errc::no_such_file_or_directory) return found;
  if (problem) return files::error(directory, problem.value());
  for (; at != end; at.increment(problem)) {
    const std::filesystem::path& path = at->path();
    const std::string stem = path.stem();
    if (path.extension() != kSuffix || stem.size() != 10 ||
        stem.find_first_not_of("0123456789") != std::string::npos) {
      continue;
    }
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const std::optional<WalHeader> header = fd < 0 ? std::nullopt : header_of(fd);
    if (fd >= 0) ::close(fd);
    // One that was cut off before its header was whole holds nothing.
    found.push_back({std::stoull(stem), path, header ? header->salt : std::string(8, '\0')});
  }
  std::sort(found.begin(), found.end(),
            [](const Segment& a, const Segment& b) { return a.number < b.number; });
  return found;
}

Result<std::unique_ptr<WalArchive>> WalArchive::open(const std::string& directory,
                                                     const std::string& store) {
  if (Status status = files::make_directory(directory); !status.ok()) return status;
  const std::string path = directory + kOwner;
  const Result<std::string> owner = files::read(path, kMostPath);
  if (!owner.ok() && owner.status().code() != Code::kNotFound) return owner.status();
  if (!owner.ok()) {
    Status status = files::write(path, place(store));
    if (status.ok()) status = files::sync_directory_of(path);
    if (!status.ok()) return status;
  } else if (*owner != place(store)) {
    return Status(Code::kFailedPrecondition,
                  "the archive " + directory + " has the logs of the store " +
                      owner->substr(0, owner->find('\n')) +
                      "; give this one another [storage] archive_dir, or remove " + path +
                      " if that store was moved here");
  }
  std::unique_ptr<WalArchive> archive(new WalArchive(directory, store));
  if (Status status = archive->resume(true); !status.ok()) return status;
  return archive;
}

Status WalArchive::add_rest(const std::string& directory, const std::string& store) {
  const Result<std::string> owner = files::read(directory + kOwner, kMostPath);
  if (!owner.ok() || *owner != place(store)) return {};
  WalArchive archive(directory, store);
  const Status status = archive.resume(false);
  return status.ok() && archive.continuous_ ? archive.follow() : status;
}

Status WalArchive::forget(const std::string& store) {
  const std::string mark = store + ".archived";
  if (!files::exists(mark)) return {};
  const Status status = files::remove(mark);
  return status.ok() ? files::sync_directory_of(mark) : status;
}

WalArchive::~WalArchive() { close_segment(); }

void WalArchive::close_segment() {
  if (segment_ >= 0) ::close(segment_);
  segment_ = -1;
  walk_.reset();
}

// Goes on with the last segment if the log is still the one it holds.
Status WalArchive::resume(bool may_cut) {
  Result<std::vector<Segment>> segments = list_segments(directory_);
  if (!segments.ok()) return segments.status();
  // A crash while one was made: nothing was kept in it yet, and with its number taken the next one
  // would not follow the one before.
  while (!segments->empty() && is_cut_off(segments->back())) {
    Status status = files::remove(segments->back().path);
    if (!status.ok()) return status;
    segments->pop_back();
  }
  const Result<std::string> said = files::read(mark(), kMostPath);
  marked_ = said.ok() && *said == place(directory_);
  continuous_ = marked_ || segments->empty();
  if (segments->empty()) return {};
  const Segment& last = segments->back();
  last_number_ = last.number;
  last_salt_ = last.salt;
  const int log = ::open((store_ + "-wal").c_str(), O_RDONLY | O_CLOEXEC);
  const std::optional<WalHeader> header = log < 0 ? std::nullopt : header_of(log);
  Status status;
  if (header && header->salt == last.salt) {
    segment_path_ = last.path;
    segment_ = ::open(last.path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (segment_ < 0) status = files::error(last.path, errno);
    // The log decides: what the segment has beyond it was archived before a power cut and is not
    // in the store. The running checksum in a frame's header speaks for all frames before it.
    WalWalk walk(*header);
    WalWalk at_commit = walk;
    for (uint64_t at = kWalHeader; status.ok(); at += header->frame_size()) {
      const std::string frame = read_at(segment_, at, header->frame_size());
      if (frame.size() != header->frame_size() ||
          frame.substr(0, kWalFrameHeader) != read_at(log, at, kWalFrameHeader) ||
          !walk.add(frame)) {
        break;
      }
      if (walk.at_commit()) at_commit = walk;
    }
    WalWalk own = at_commit;
    if (!may_cut) {
      const auto at = [&] { return kWalHeader + own.frames() * header->frame_size(); };
      while (own.add(read_at(segment_, at(), header->frame_size()))) continue;
    }
    walk_ = at_commit;
    continuous_ = own.committed() == at_commit.committed();
    const uint64_t keep = kWalHeader + at_commit.committed() * header->frame_size();
    if (status.ok() && continuous_ && ::ftruncate(segment_, static_cast<off_t>(keep)) != 0) {
      status = files::error(last.path, errno);
    }
  } else if (header && !last.leads_to(header->salt)) {
    continuous_ = false;
  }
  if (log >= 0) ::close(log);
  return status;
}

Status WalArchive::begin_segment(const WalHeader& header, std::string_view bytes) {
  close_segment();
  const uint64_t number = last_number_ + (continuous_ ? 1 : 2);
  const std::string path = segment_path(directory_, number);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return files::error(path, errno);
  if (!write_all(fd, 0, bytes)) {
    Status status = files::error(path, errno);
    ::close(fd);
    (void)files::remove(path);
    return status;
  }
  last_number_ = number;
  last_salt_ = header.salt;
  segment_ = fd;
  segment_path_ = path;
  walk_.emplace(header);
  return files::sync_directory_of(path);
}

Status WalArchive::append_from(int log, const WalHeader& header) {
  const size_t size = header.frame_size();
  WalWalk ahead = *walk_;
  std::string buffer;
  bool wrote = false;
  while (true) {
    const std::string frame = read_at(log, kWalHeader + ahead.frames() * size, size);
    if (!ahead.add(frame)) break;
    buffer += frame;
    if (!ahead.at_commit() || buffer.size() < kBufferBytes) {
      if (ahead.at_commit()) *walk_ = ahead;
      continue;
    }
    *walk_ = ahead;
    const uint64_t begin = kWalHeader + ahead.frames() * size - buffer.size();
    if (!write_all(segment_, begin, buffer)) return files::error(segment_path_, errno);
    buffer.clear();
    wrote = true;
  }
  // The rest up to the last whole transaction.
  const uint64_t begin = kWalHeader + ahead.frames() * size - buffer.size();
  const uint64_t end = kWalHeader + walk_->frames() * size;
  if (end > begin) {
    if (!write_all(segment_, begin, std::string_view(buffer).substr(0, end - begin))) {
      return files::error(segment_path_, errno);
    }
    wrote = true;
  }
  return wrote && ::fdatasync(segment_) != 0 ? files::error(segment_path_, errno) : Status();
}

Status WalArchive::follow_locked() {
  const int log = ::open((store_ + "-wal").c_str(), O_RDONLY | O_CLOEXEC);
  if (log < 0) return errno == ENOENT ? Status() : files::error(store_ + "-wal", errno);
  const std::string bytes = read_at(log, 0, kWalHeader);
  const std::optional<WalHeader> header = parse_wal_header(bytes);
  Status status;
  if (header) {
    const bool same = walk_ && header->salt == last_salt_;
    // A log without a transaction has nothing to keep.
    WalWalk probe(*header);
    const bool empty = !same && !probe.add(read_at(log, kWalHeader, header->frame_size()));
    if (!same && !empty) status = begin_segment(*header, bytes);
    const std::optional<WalWalk> before = walk_;
    if (status.ok() && !empty) status = append_from(log, *header);
    // What was not written and synced is written again.
    if (!status.ok() && same) walk_ = before;
    if (!status.ok() && !same && segment_ >= 0) walk_.emplace(*header);
    if (status.ok() && !empty) continuous_ = true;
  }
  ::close(log);
  if (status.ok() && continuous_ && !marked_) {
    status = files::write(mark(), place(directory_));
    if (status.ok()) status = files::sync_directory_of(mark());
    marked_ = status.ok();
  }
  return status;
}

Status WalArchive::follow() {
  const std::lock_guard lock(mutex_);
  Status status = follow_locked();
  problem_ = status.message();
  if (!status.ok() && !continuous_) {
    problem_ += "; the archive has a gap from here on, make a new backup";
  }
  return status;
}

Status WalArchive::skip() {
  const std::lock_guard lock(mutex_);
  Status status = forget(store_);
  if (status.ok()) continuous_ = marked_ = false;
  return status;
}

std::string WalArchive::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

}  // namespace palyra::journal::sqlite
