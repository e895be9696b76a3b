#include "plugins/journal/archive.h"

#include "plugins/common/digest/digest.h"
#include "plugins/journal/blob_scan.h"
#include "plugins/journal/request_check.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

namespace palyra::journal {

namespace {

Status not_there(const std::string& stream, const SegmentRow& row, const SegmentFiles& files) {
  return {Code::kNotFound, "records " + std::to_string(row.first_seq) + " to " +
                               std::to_string(row.last_seq) + " of " + stream +
                               " are archived, and their file " + segment_name(row.digest) +
                               " is missing; put it back into " + files.location()};
}

}  // namespace

Result<std::shared_ptr<const Segment>> Archive::open(const std::string& stream,
                                                     const SegmentRow& row) {
  {
    const std::lock_guard lock(mutex_);
    if (segment_ && digest_ == row.digest) return segment_;
  }
  Result<std::string> file = files_.read(segment_name(row.digest));
  if (!file.ok()) {
    if (file.status().code() != Code::kNotFound) return file.status();
    return not_there(stream, row, files_);
  }
  Result<Segment> records = decode_segment(stream, row, *file);
  if (!records.ok()) return records.status();
  auto segment = std::make_shared<const Segment>(std::move(*records));
  const std::lock_guard lock(mutex_);
  digest_ = row.digest;
  segment_ = segment;
  return segment;
}

Status Archive::look(const std::string& stream, const SegmentRow& row) {
  const Result<std::string> file = files_.read(segment_name(row.digest));
  if (file.status().code() == Code::kNotFound) return not_there(stream, row, files_);
  if (!file.ok()) return file.status();
  if (digest::sha256(*file) == row.digest) return {};
  return {Code::kDataLoss, "the archive file " + segment_name(row.digest) + " was altered"};
}

void Archive::forget(const std::string& digest) {
  const std::lock_guard lock(mutex_);
  if (digest_ == digest) segment_.reset();
}

PageFill::PageFill(const v1::ReadRequest& request, v1::ReadResponse& response)
    : response_(response),
      limit_(request.limit() == 0 ? kMaxPage : request.limit()),
      max_bytes_(request.max_bytes() == 0 ? kDefaultReadBytes : request.max_bytes()) {}

bool PageFill::room(size_t payload_bytes) {
  bytes_ += payload_bytes;
  full_ = full_ || left() <= 0 || (bytes_ > max_bytes_ && response_.records_size() > 0);
  return !full_;
}

bool PageFill::add(const v1::Record& record) {
  if (!room(record.payload().size())) return false;
  *response_.add_records() = record;
  return true;
}

Status read_with_archive(const v1::ReadRequest& request, const std::vector<SegmentRow>& segments,
                         Archive& archive, v1::ReadResponse& response,
                         const std::function<Status(PageFill& fill, uint64_t from)>& rows) {
  PageFill fill(request, response);
  const uint64_t archived_to = segments.empty() ? 0 : segments.back().last_seq;
  if (!request.descending()) {
    uint64_t next = std::max<uint64_t>(request.from_seq(), 1);
    for (const SegmentRow& row : segments) {
      if (row.last_seq < next) continue;
      if (fill.left() <= 0) return {};
      const auto segment = archive.open(request.stream(), row);
      if (!segment.ok()) return segment.status();
      for (; next <= row.last_seq; ++next) {
        if (!fill.add((**segment)[next - row.first_seq])) return {};
      }
    }
    return rows(fill, next);
  }
  uint64_t next = request.from_seq() == 0 ? response.head_seq()
                                          : std::min(request.from_seq(), response.head_seq());
  if (next > archived_to) {
    const int before = response.records_size();
    if (Status status = rows(fill, next); !status.ok()) return status;
    // What is stored was not read to its end: the page is full.
    if (response.records_size() - before < static_cast<int64_t>(next - archived_to)) return {};
    next = archived_to;
  }
  for (auto row = segments.rbegin(); row != segments.rend() && next > 0; ++row) {
    if (row->first_seq > next) continue;
    if (fill.left() <= 0) return {};
    const auto segment = archive.open(request.stream(), *row);
    if (!segment.ok()) return segment.status();
    for (; next >= row->first_seq; --next) {
      if (!fill.add((**segment)[next - row->first_seq])) return {};
    }
  }
  return {};
}

uint64_t check_archived(ChainCheck& check, const std::string& stream, uint64_t first,
                        const std::vector<SegmentRow>& segments, Archive& archive) {
  for (const SegmentRow& row : segments) {
    if (row.last_seq < first) continue;
    const auto segment = archive.open(stream, row);
    if (segment.ok()) {
      check.archived(row);
      for (; first <= row.last_seq; ++first) {
        if (!check.add((**segment)[first - row.first_seq], true)) return first;
      }
    } else if (segment.status().code() == Code::kNotFound) {
      check.missing(row, segment.status().message());
      first = row.last_seq + 1;
    } else {
      check.fail(first, segment.status().message());
      return first;
    }
  }
  return first;
}

std::string archived_hash(const std::string& stream, uint64_t seq,
                          const std::vector<SegmentRow>& segments, Archive& archive) {
  for (const SegmentRow& row : segments) {
    if (row.last_seq == seq) return row.last_hash;
  }
  std::shared_ptr<const Segment> holder;
  const v1::Record* const record = archived_record(stream, seq, segments, archive, holder);
  return record == nullptr ? std::string() : record->hash();
}

const v1::Record* archived_record(const std::string& stream, uint64_t seq,
                                  const std::vector<SegmentRow>& segments, Archive& archive,
                                  std::shared_ptr<const Segment>& holder) {
  for (const SegmentRow& row : segments) {
    if (row.first_seq > seq || row.last_seq < seq) continue;
    const auto segment = archive.open(stream, row);
    if (!segment.ok()) return nullptr;
    holder = *segment;
    return &(*holder)[seq - row.first_seq];
  }
  return nullptr;
}

namespace {

void reach_end_of(const SegmentRow& row, uint64_t position, v1::StreamInfo& info) {
  info.set_last_seq(row.last_seq);
  info.set_last_time_ns(std::numeric_limits<int64_t>::max());
  info.set_last_position(position);
  info.set_last_hash(row.last_hash);
}

}  // namespace

bool last_archived(const std::string& stream, uint64_t up_to,
                   const std::vector<SegmentRow>& segments, Archive& archive,
                   v1::StreamInfo& info) {
  for (auto row = segments.rbegin(); row != segments.rend(); ++row) {
    const auto segment = archive.open(stream, *row);
    if (!segment.ok()) {
      reach_end_of(*row, up_to, info);
      return true;
    }
    const auto record =
        std::find_if((*segment)->rbegin(), (*segment)->rend(),
                     [up_to](const v1::Record& one) { return one.position() <= up_to; });
    if (record == (*segment)->rend()) continue;
    info.set_last_seq(record->seq());
    info.set_last_time_ns(record->wall_time_ns());
    info.set_last_position(record->position());
    info.set_last_hash(record->hash());
    return true;
  }
  return false;
}

void look_for_files(const std::vector<SegmentRow>& segments, Archive& archive, v1::StreamInfo& info,
                    uint64_t& bytes) {
  for (const SegmentRow& row : segments) {
    if (row.first_seq > info.last_seq()) return;
    bytes += row.file_bytes;
    if (archive.look(info.stream(), row).ok()) continue;
    *info.add_missing() = row.closed();
    // It was known from memory where in this file the stream was.
    if (row.last_seq > info.last_seq()) reach_end_of(row, info.last_position(), info);
  }
}

Result<std::vector<Rewritten>> rewrite_without(const std::string& stream, const SegmentRow& row,
                                               uint64_t first_seq, uint64_t last_seq,
                                               const std::vector<std::string>& all_blobs,
                                               Archive& archive) {
  const auto segment = archive.open(stream, row);
  if (!segment.ok()) return segment.status();
  Segment records = **segment;
  bool changed = false;
  for (v1::Record& record : records) {
    if (record.seq() < first_seq || record.seq() > last_seq || record.erased() ||
        is_journals_own(record.type())) {
      continue;
    }
    record.clear_payload();
    record.clear_salt();
    record.set_erased(true);
    changed = true;
  }
  std::vector<Rewritten> out;
  if (!changed) return out;
  Result<std::string> file = encode_segment(records);
  if (!file.ok()) return file.status();
  Rewritten& rewritten = out.emplace_back();
  rewritten.before = row;
  rewritten.after = describe_segment(records, *file);
  rewritten.after.blobs = named_blobs(records, all_blobs);
  rewritten.file = std::move(*file);
  return out;
}

Status check_before_archiving(const std::string& stream, const Segment& records) {
  const v1::Record& first = records.front();
  ChainCheck check(stream, first.seq(), first.prev_hash());
  for (const v1::Record& record : records) {
    if (check.add(record)) continue;
    return {Code::kDataLoss, check.result().reason() +
                                 "; a damaged tape is not archived: palyra audit verify tells all "
                                 "damage, palyra backup restore brings a backup back"};
  }
  return {};
}

std::vector<std::string> named_blobs(const Segment& records,
                                     const std::vector<std::string>& all_blobs) {
  BlobScan scan(all_blobs);
  for (const v1::Record& record : records) scan.look_at(record.payload());
  const std::vector<std::string> unnamed = scan.unnamed();
  const std::set<std::string> left_out(unnamed.begin(), unnamed.end());
  std::vector<std::string> named;
  for (const std::string& digest : all_blobs) {
    if (left_out.count(digest) == 0) named.push_back(digest);
  }
  return named;
}

}  // namespace palyra::journal
