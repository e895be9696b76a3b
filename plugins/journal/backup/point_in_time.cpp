#include "plugins/journal/backup/point_in_time.h"

#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/sqlite/files.h"
#include "plugins/journal/sqlite/snapshot.h"
#include "plugins/journal/sqlite/wal_archive.h"

#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <fstream>
#include <unistd.h>
#include <vector>

namespace palyra::journal::backup {
namespace {

using sqlite::Database;
using sqlite::Segment;

// What is in a segment: the sizes in bytes at which a transaction ends, ascending.
struct Cuts {
  std::vector<uint64_t> ends;
  size_t frame_size = 0;
  bool whole = false;  // nothing follows the last one
};

Result<Cuts> cuts_of(const Segment& segment) {
  std::ifstream file(segment.path, std::ios::binary);
  std::string bytes(sqlite::kWalHeader, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<size_t>(file.gcount()));
  const auto header = sqlite::parse_wal_header(bytes);
  Cuts cuts;
  if (!header) return cuts;
  cuts.frame_size = header->frame_size();
  sqlite::WalWalk walk(*header);
  std::string frame(header->frame_size(), '\0');
  while (file.read(frame.data(), static_cast<std::streamsize>(frame.size())) && walk.add(frame)) {
    if (walk.at_commit()) {
      cuts.ends.push_back(sqlite::kWalHeader + walk.frames() * header->frame_size());
    }
  }
  cuts.whole = !cuts.ends.empty() && cuts.ends.back() == files::size(segment.path);
  return cuts;
}

// "Has a log" or not, in the database's header.
Status set_versions(const std::string& database, char version) {
  const int fd = ::open(database.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return files::error(database, errno);
  const char bytes[2] = {version, version};
  const bool written = ::pwrite(fd, bytes, sizeof bytes, 18) == sizeof bytes && ::fsync(fd) == 0;
  const Status status = written ? Status() : files::error(database, errno);
  ::close(fd);
  return status;
}

class RollForward {
 public:
  RollForward(std::string database, const Target& target)
      : database_(std::move(database)), target_(target) {}

  Status begin() {
    Result<Place> base = place_of(database_);
    if (!base.ok()) return base.status();
    base_ = reached_ = *base;
    if (beyond(base_)) return out_of_range("lies before this backup; choose an older one, or");
    return set_versions(database_, 2);
  }

  // Whether the backup as it is is the target, or as near to it as one can tell.
  bool at_target() const {
    return (target_.kind == Target::Kind::kPosition && base_.position == target_.position) ||
           (target_.kind == Target::Kind::kTime && ms(base_.newest_wall_ns) == ms(target_.wall_ns));
  }

  // True once the target is reached inside this segment. The first `frames` of it are in the
  // backup.
  Result<bool> apply(const Segment& segment, bool is_last, int64_t frames) {
    Result<Cuts> cuts = cuts_of(segment);
    if (!cuts.ok()) return cuts.status();
    if (!cuts->whole && !is_last) {
      return Status(Code::kDataLoss,
                    segment.path + ": damaged; what comes after it cannot be used");
    }
    if (cuts->ends.empty()) return false;
    // Before it the log leads from an older state, over pages that are younger.
    const uint64_t begin =
        sqlite::kWalHeader + static_cast<uint64_t>(std::max<int64_t>(frames, 0)) * cuts->frame_size;
    if (cuts->ends.back() < begin) {
      is_behind_ = true;
      return false;
    }
    cuts->ends.erase(cuts->ends.begin(),
                     std::lower_bound(cuts->ends.begin(), cuts->ends.end(), begin));
    drop_log();
    const auto copied = files::copy(segment.path, log_);
    if (!copied.ok()) return copied.status();
    const Result<Place> all = probe(cuts->ends.back());
    if (!all.ok()) return all.status();
    if (!beyond(*all)) {
      // Only for a backup that does not say how far it is.
      const bool is_older = all->position < base_.position;
      if (is_older && is_last) is_behind_ = true;
      if (is_behind_) return false;
      is_mixed_ = is_older;
      if (!is_older) reached_ = *all;
      if (Status status = keep(); !status.ok()) return status;
      return false;
    }
    // The first transaction that leads beyond the target.
    size_t low = 0;
    size_t high = cuts->ends.size() - 1;
    while (low < high) {
      const size_t middle = low + (high - low) / 2;
      const Result<Place> place = probe(cuts->ends[middle]);
      if (!place.ok()) return place.status();
      if (beyond(*place)) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    if (low > 0) {
      const Result<Place> place = probe(cuts->ends[low - 1]);
      if (!place.ok()) return place.status();
      if (place->position < base_.position) return true;
      reached_ = *place;
      if (Status status = keep(); !status.ok()) return status;
    }
    return true;
  }

  // The archive has a part of the log that the backup was made in, and not as far as the backup is.
  bool is_behind() const { return is_behind_; }

  // `complete`: a transaction beyond the target was seen. `lacks`: why one goes no further.
  Result<Rolled> end(bool complete, const std::string& lacks) {
    drop_log();
    if (is_mixed_) {
      return Status(Code::kDataLoss,
                    "the archive ends before this backup; restore the backup as it is");
    }
    const bool there = complete || target_.kind == Target::Kind::kLatest ||
                       (target_.kind == Target::Kind::kPosition
                            ? reached_.position >= target_.position
                            : ms(reached_.newest_wall_ns) >= ms(target_.wall_ns));
    if (!there) {
      const Status status = out_of_range("lies behind what is archived;");
      return lacks.empty() ? status : Status(status.code(), status.message() + "; " + lacks);
    }
    if (Status status = set_versions(database_, 1); !status.ok()) return status;
    return Rolled{reached_, target_.kind == Target::Kind::kLatest ? lacks : ""};
  }

 private:
  bool beyond(const Place& place) const {
    if (target_.kind == Target::Kind::kPosition) return place.position > target_.position;
    if (target_.kind == Target::Kind::kTime) return ms(place.newest_wall_ns) > ms(target_.wall_ns);
    return false;
  }
  // What is shown, and named again as a target.
  static int64_t ms(int64_t wall_ns) { return wall_ns / 1'000'000; }

  Status out_of_range(const char* words) const {
    const std::string wanted = target_.kind == Target::Kind::kPosition
                                   ? "position " + std::to_string(target_.position)
                                   : utc(target_.wall_ns);
    return {Code::kOutOfRange,
            wanted + " " + words + " from this backup one can go from position " +
                std::to_string(base_.position) + " (" + utc(base_.newest_wall_ns) +
                ") to position " + std::to_string(std::max(base_.position, reached_.position)) +
                " (" + utc(std::max(base_.newest_wall_ns, reached_.newest_wall_ns)) +
                (target_.kind == Target::Kind::kPosition || !beyond(base_)
                     ? ")"
                     : ") and on" + std::string(kClock))};
  }

  // With the log up to `end` and without changing the database.
  Result<Place> probe(uint64_t end) {
    if (Status status = cut_log(end); !status.ok()) return status;
    auto db = Database::open(database_, false);
    if (!db.ok()) return db.status();
    sqlite3_db_config((*db)->raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    Place place;
    const Result<int64_t> position = (*db)->number("SELECT max(position) FROM record");
    if (!position.ok()) return position.status();
    place.position = static_cast<uint64_t>(*position);
    const Result<int64_t> newest = sqlite::newest_stamp(**db);
    if (!newest.ok()) return newest.status();
    place.newest_wall_ns = *newest;
    return place;
  }

  // A frame whose header is zeros ends the log. What was there is put back the next time.
  Status cut_log(uint64_t end) {
    (void)files::remove(database_ + "-shm");
    const int fd = ::open(log_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return files::error(log_, errno);
    const auto put = [fd](uint64_t at, const std::string& bytes) {
      return ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at)) ==
             static_cast<ssize_t>(bytes.size());
    };
    bool good = under_cut_.empty() || put(cut_, under_cut_);
    std::string bytes(sqlite::kWalFrameHeader, '\0');
    const ssize_t size = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(end));
    good = good && size >= 0;
    cut_ = end;
    under_cut_ = bytes.substr(0, good ? static_cast<size_t>(size) : 0);
    good = good && put(end, std::string(under_cut_.size(), '\0'));
    const Status status = good ? Status() : files::error(log_, errno);
    ::close(fd);
    return status;
  }

  // Makes what was probed last part of the database.
  Status keep() {
    Status status;
    {
      auto db = Database::open(database_, false);
      if (!db.ok()) return db.status();
      status = (*db)->execute("PRAGMA synchronous=FULL");
      const Result<int64_t> busy = (*db)->number("PRAGMA wal_checkpoint(TRUNCATE)");
      if (status.ok()) status = busy.status();
      if (status.ok() && *busy != 0) {
        status = {Code::kUnavailable, database_ + " is in use by another program"};
      }
    }
    drop_log();
    return status;
  }

  void drop_log() {
    (void)files::remove(log_);
    (void)files::remove(database_ + "-shm");
    under_cut_.clear();
  }

  const std::string database_;
  const std::string log_ = database_ + "-wal";
  const Target target_;
  // Where the log is cut now, and the bytes that were there.
  uint64_t cut_ = 0;
  std::string under_cut_;
  Place base_, reached_;
  bool is_behind_ = false;
  // What was replayed ends before the backup; what follows must be, too.
  bool is_mixed_ = false;
};

std::string gap_after(const Segment& segment) {
  return "the archive has a gap after " + segment.path;
}

}  // namespace

Result<Place> place_of(const std::string& database) {
  auto db = Database::open(database, false);
  if (!db.ok()) return db.status();
  const Result<int64_t> position = (*db)->number("SELECT max(position) FROM record");
  if (!position.ok()) return position.status();
  const Result<int64_t> newest = sqlite::newest_stamp(**db);
  if (!newest.ok()) return newest.status();
  return Place{static_cast<uint64_t>(*position), *newest};
}

Result<Rolled> roll_forward(const std::string& database, const std::string& archive,
                            const LogPlace& from, const Target& target) {
  const Result<std::vector<Segment>> segments = sqlite::list_segments(archive);
  if (!segments.ok()) return segments.status();
  RollForward forward(database, target);
  if (Status status = forward.begin(); !status.ok()) return status;
  auto at = std::find_if(segments->begin(), segments->end(),
                         [&](const Segment& segment) { return segment.salt == from.salt; });
  const std::string behind =
      "the archive ends before this backup, which is used as it is: what was written after it is "
      "not there";
  if (from.salt.empty() || at == segments->end()) {
    // Nothing of the log was archived, or nothing was in it.
    if (!from.salt.empty() && !segments->empty() && segments->back().leads_to(from.salt)) {
      return forward.end(false, from.frames == 0 ? "" : behind);
    }
    if (forward.at_target()) return forward.end(true, "");
    return Status(Code::kNotFound,
                  "the archive " + archive +
                      " does not hold the log that follows this backup; restore the backup as it "
                      "is, or one that was made while [storage] archive was on");
  }
  bool complete = false;
  std::string lacks;
  for (int64_t frames = from.frames;; ++at, frames = 0) {
    const auto next = at + 1;
    const bool is_last = next == segments->end() || !at->leads_to(*next);
    const Result<bool> reached = forward.apply(*at, is_last, frames);
    if (!reached.ok()) return reached.status();
    complete = *reached;
    if (is_last && next != segments->end()) {
      lacks = gap_after(*at) + "; " + std::to_string(segments->end() - next) +
              " later logs were not used";
    }
    if (forward.is_behind()) lacks = behind;
    if (complete || is_last) break;
  }
  return forward.end(complete, lacks);
}

std::string broken_way(const std::string& archive, const std::string& store, const LogPlace& from) {
  // Before the archive: the log of then is in it, or follows it.
  std::string bytes(sqlite::kWalHeader, '\0');
  std::ifstream log(store + "-wal", std::ios::binary);
  log.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  const auto header = sqlite::parse_wal_header(log ? bytes : "");
  const Result<std::vector<Segment>> segments = sqlite::list_segments(archive);
  if (!segments.ok()) return segments.status().message();
  const auto has = [&](const std::string& salt) {
    return std::find_if(segments->begin(), segments->end(),
                        [&](const Segment& segment) { return segment.salt == salt; });
  };
  auto at = has(from.salt);
  if (at == segments->end()) {
    return header && header->salt == from.salt ? "" : "it does not have what follows the backup";
  }
  for (; at + 1 != segments->end(); ++at) {
    if (!at->leads_to(*(at + 1))) return gap_after(*at);
  }
  const bool leads = !header || at->leads_to(header->salt) || has(header->salt) != segments->end();
  return leads ? "" : gap_after(*at);
}

std::string utc(int64_t wall_ns) {
  const std::time_t seconds = wall_ns / 1'000'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[40];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  char millis[8];
  std::snprintf(millis, sizeof millis, ".%03dZ",
                static_cast<int>(wall_ns / 1'000'000 % 1000) % 1000);
  return std::string(text, size) + millis;
}

}  // namespace palyra::journal::backup
