#include "plugins/journal/store_check.h"

#include "plugins/journal/request_check.h"
#include "plugins/journal/segment.h"

#include <algorithm>
#include <utility>

namespace palyra::journal {
namespace {

// Streams that a page remembers.
constexpr size_t kMaxStreams = 16'384;
// Records of one page of heads.
constexpr uint64_t kMaxWindow = 65'536;
constexpr size_t kHeadOverhead = 48;

}  // namespace

bool StoreCheck::full() const {
  return page_.bytes() >= kVerifyPageBytes || page_.records() >= kVerifyPageRecords;
}

void StoreCheck::end(uint64_t up_to) {
  if (up_to >= next_position_) page_.set_absent(page_.absent() + up_to + 1 - next_position_);
}

void StoreCheck::bad(const Stream& stream, const ScannedRow& row, uint64_t seq,
                     std::string reason) {
  page_.set_bad(page_.bad() + 1);
  if (page_.first_bad_size() >= kMaxBadRecords) return;
  v1::BadRecord& entry = *page_.add_first_bad();
  entry.set_stream(stream.name.value_or("(unnamed stream " + std::to_string(row.stream) + ")"));
  entry.set_seq(seq);
  entry.set_position(row.position);
  entry.set_reason(std::move(reason));
}

Result<StoreCheck::Stream*> StoreCheck::stream(int64_t id) {
  if (id == last_id_ && last_ != nullptr) return last_;
  auto found = streams_.find(id);
  if (found == streams_.end()) {
    if (streams_.size() >= kMaxStreams) streams_.clear();
    Result<std::optional<std::string>> name = places_.name(id);
    if (!name.ok()) return name.status();
    found = streams_.emplace(id, Stream()).first;
    found->second.name = std::move(*name);
  }
  last_id_ = id;
  last_ = &found->second;
  return last_;
}

Status StoreCheck::read_marks(int64_t id, Stream& stream) {
  if (std::exchange(stream.marked, true)) return {};
  Status status = places_.marks(id, [&](std::string_view type, std::string_view payload) {
    const int size = static_cast<int>(payload.size());
    if (v1::Erased erased; type == kErasedType && erased.ParseFromArray(payload.data(), size)) {
      stream.erased.push_back({erased.first_seq(), erased.last_seq()});
    }
    if (v1::SegmentClosed closed;
        type == kSegmentClosedType && closed.ParseFromArray(payload.data(), size)) {
      stream.closed.push_back(
          {{closed.first_seq(), closed.last_seq()}, closed.prev_hash(), closed.last_hash()});
    }
  });
  std::sort(stream.erased.begin(), stream.erased.end(),
            [](const Range& a, const Range& b) { return a.first < b.first; });
  return status;
}

Status StoreCheck::check_before(Stream& stream, const ScannedRow& row) {
  const bool next = stream.seq != 0 && stream.seq + 1 == row.seq;
  bool in_order = true;
  if (!next) {
    if (stream.seq >= row.seq && stream.seq != 0) {
      bad(stream, row, row.seq,
          stream.seq == row.seq
              ? "is in the store twice"
              : "stands behind record " + std::to_string(stream.seq) + " in the store's order");
      return {};
    }
    const auto before = places_.before(row.stream, row.seq, row.position);
    if (!before.ok()) return before.status();
    if (*before && (*before)->seq == row.seq) {
      bad(stream, row, row.seq, "is in the store twice");
      return {};
    }
    stream.seq = *before ? (*before)->seq : 0;
    if (*before) stream.hash = (*before)->hash;
    in_order = !*before || (*before)->position < row.position;
  }
  if (row.seq == 1) {
    if (row.prev_hash != digest::view(kNoHash)) {
      bad(stream, row, row.seq, "is the first and names a record before");
    }
    return {};
  }
  if (stream.seq + 1 == row.seq && stream.seq != 0) {
    if (row.prev_hash != digest::view(stream.hash)) {
      bad(stream, row, row.seq, "does not follow the record before");
    } else if (!in_order) {
      bad(stream, row, row.seq, "stands before the record before it in the store's order");
    }
    return {};
  }
  if (Status status = read_marks(row.stream, stream); !status.ok()) return status;
  for (const Closed& closed : stream.closed) {
    // What closed the segments before this one may be archived itself.
    if (closed.range.last + 1 != row.seq) continue;
    if (row.prev_hash != closed.last_hash) {
      bad(stream, row, row.seq, "does not follow the archived segment before");
    }
    return {};
  }
  const uint64_t first = stream.seq + 1;
  bad(stream, row, first,
      first + 1 == row.seq ? "is missing; the next one is " + std::to_string(row.seq)
                           : "to " + std::to_string(row.seq - 1) + " are missing");
  return {};
}

Status StoreCheck::check(Stream& stream, const ScannedRow& row) {
  if (!stream.name) {
    bad(stream, row, row.seq, "its stream has no name any more");
    return {};
  }
  if (row.hash.size() != digest::kSha256Size || row.payload_digest.size() != digest::kSha256Size ||
      row.prev_hash.size() != digest::kSha256Size) {
    bad(stream, row, row.seq, "is no record: a hash has the wrong size");
    return {};
  }
  if (!row.numbers) {
    bad(stream, row, row.seq, "is no record: what should be a number is none");
    return {};
  }
  const uint64_t bad_before = page_.bad();
  if (Status status = check_before(stream, row); !status.ok()) return status;
  if (page_.bad() != bad_before) return {};
  const Hash hash = hasher_.record_hash({.stream = *stream.name,
                                         .seq = row.seq,
                                         .prev_hash = row.prev_hash,
                                         .type = row.type,
                                         .wall_time_ns = row.wall_time_ns,
                                         .payload_digest = row.payload_digest});
  if (digest::view(hash) != row.hash) {
    bad(stream, row, row.seq, "hash mismatch");
    return {};
  }
  if (row.has_payload) {
    if (digest::view(hasher_.payload_digest(row.salt, row.payload)) != row.payload_digest) {
      bad(stream, row, row.seq, "payload does not match its digest");
    } else if (row.type == kSegmentClosedType) {
      return count_archived(stream, row);
    }
    return {};
  }
  page_.set_erased(page_.erased() + 1);
  if (Status status = read_marks(row.stream, stream); !status.ok()) return status;
  const bool explained =
      !is_journals_own(row.type) &&
      std::any_of(stream.erased.begin(), stream.erased.end(), [&](const Range& range) {
        return range.first <= row.seq && row.seq <= range.last;
      });
  if (!explained) bad(stream, row, row.seq, "payload is missing and no erased record says why");
  return {};
}

// A record that closed a segment may be archived itself by a later one: then that one speaks for
// all before it.
Status StoreCheck::count_archived(Stream& stream, const ScannedRow& row) {
  v1::SegmentClosed closed;
  if (!closed.ParseFromArray(row.payload.data(), static_cast<int>(row.payload.size())) ||
      !stream.counted.insert(closed.first_seq()).second) {
    return {};
  }
  if (Status status = read_marks(row.stream, stream); !status.ok()) return status;
  uint64_t before = 0;
  for (const Closed& other : stream.closed) {
    if (other.range.first == closed.first_seq()) break;
    before = std::max(before, other.range.last);
  }
  if (closed.last_seq() > before) {
    page_.set_archived(page_.archived() + closed.last_seq() - before);
  }
  return {};
}

Status StoreCheck::add(const ScannedRow& row) {
  if (row.position > next_position_) {
    page_.set_absent(page_.absent() + row.position - next_position_);
  }
  next_position_ = row.position + 1;
  Result<Stream*> found = stream(row.stream);
  if (!found.ok()) return found.status();
  Stream& of = **found;
  if (Status status = check(of, row); !status.ok()) return status;
  of.seq = row.seq;
  if (row.hash.size() == of.hash.size())
    std::copy(row.hash.begin(), row.hash.end(), of.hash.begin());
  page_.set_records(page_.records() + 1);
  // What record_hash() takes beside the names: four fields of numbers and hashes, and the lengths.
  page_.set_bytes(page_.bytes() + row.salt.size() + row.payload.size() + row.type.size() +
                  kRecordDomain.size() + (of.name ? of.name->size() : 0) + 7 * 4 + 2 * 8 + 2 * 32);
  return {};
}

void StoreCheck::bad_store(std::string reason) {
  page_.set_bad(page_.bad() + 1);
  if (page_.first_bad_size() < kMaxBadRecords) page_.add_first_bad()->set_reason(std::move(reason));
}

Status StoreCheck::add_hidden(const ScannedRow& row, int64_t position) {
  Result<Stream*> found = stream(row.stream);
  if (!found.ok()) return found.status();
  bad(**found, row, row.seq,
      "is hidden at position " + std::to_string(position) + ", where the journal puts none");
  return {};
}

Result<bool> HeadsWindow::add(const ScannedRow& row) {
  if (rows_ == kMaxWindow) return false;
  auto found = entries_.find(row.stream);
  if (found == entries_.end()) {
    Result<std::optional<std::string>> name = places_.name(row.stream);
    if (!name.ok()) return name.status();
    const size_t bytes = *name ? (*name)->size() + kHeadOverhead : 0;
    if (!entries_.empty() && (entries_.size() >= limit_ || bytes_ + bytes > kMaxHeadsBytes)) {
      return false;
    }
    bytes_ += bytes;
    found = entries_.emplace(row.stream, Entry()).first;
    found->second.head.set_stream(name->value_or(""));
    found->second.head.set_only_type(row.type.data(), row.type.size());
  }
  ++rows_;
  Entry& entry = found->second;
  if (entry.head.only_type() != row.type) entry.mixed = true;
  entry.head.set_seq(row.seq);
  entry.head.set_position(row.position);
  entry.head.set_hash(row.hash.data(), row.hash.size());
  return true;
}

void HeadsWindow::finish(v1::HeadsResponse& response) {
  std::vector<v1::Head> heads;
  for (auto& [id, entry] : entries_) {
    if (entry.head.stream().empty()) continue;
    if (entry.mixed) entry.head.clear_only_type();
    heads.push_back(std::move(entry.head));
  }
  std::sort(heads.begin(), heads.end(),
            [](const v1::Head& a, const v1::Head& b) { return a.stream() < b.stream(); });
  for (v1::Head& head : heads) *response.add_heads() = std::move(head);
}

}  // namespace palyra::journal
