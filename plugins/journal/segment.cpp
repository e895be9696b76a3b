#include "plugins/journal/segment.h"

#include "plugins/common/digest/digest.h"
#include "plugins/common/utf8/utf8.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>
#include <zlib.h>

namespace palyra::journal {
namespace {

using Json = nlohmann::json;

// Everything of a line but payload and names, rounded up.
constexpr size_t kLineOverhead = 640;
// A file that unpacks to more was not written by encode_segment().
constexpr size_t kMostText = kSegmentText + (1u << 20);
constexpr int kGzip = 15 + 16;
constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void add_base64(std::string& out, std::string_view bytes) {
  const size_t at = out.size();
  out.resize(at + (bytes.size() + 2) / 3 * 4, '=');
  char* to = out.data() + at;
  const char* from = bytes.data();
  for (size_t left = bytes.size(); left > 0; from += 3, to += 4) {
    const size_t size = std::min<size_t>(left, 3);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < size ? static_cast<uint8_t>(from[k]) : 0u);
    }
    for (size_t k = 0; k <= size; ++k) to[k] = kAlphabet[group >> (18 - 6 * k) & 63];
    left -= size;
  }
}

std::optional<std::string> from_base64(std::string_view text) {
  static const std::array<int8_t, 256> values = [] {
    std::array<int8_t, 256> table;
    table.fill(-1);
    for (int i = 0; i < 64; ++i) table[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
    return table;
  }();
  if (text.size() % 4 != 0) return std::nullopt;
  size_t pad = 0;
  while (pad < 2 && pad < text.size() && text[text.size() - 1 - pad] == '=') ++pad;
  std::string out(text.size() / 4 * 3, '\0');
  char* to = out.data();
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t group = 0;
    for (size_t k = 0; k < 4; ++k) {
      const bool padding = i + k + pad >= text.size();
      const int value = padding ? 0 : values[static_cast<uint8_t>(text[i + k])];
      if (value < 0) return std::nullopt;
      group = group << 6 | static_cast<uint32_t>(value);
    }
    for (int shift = 16; shift >= 0; shift -= 8) *to++ = static_cast<char>(group >> shift & 255);
  }
  out.resize(out.size() - pad);
  return out;
}

void add_line(std::string& text, const std::string& stream_json, const v1::Record& record) {
  const auto field = [&text](const char* name, const std::string& value) {
    text.append(",\"").append(name).append("\":\"").append(value).append("\"");
  };
  text.append("{\"stream\":").append(stream_json);
  field("seq", std::to_string(record.seq()));
  field("type", record.type());
  field("timeNs", std::to_string(record.wall_time_ns()));
  if (record.erased()) {
    text += ",\"erased\":true";
  } else {
    text += ",\"payload\":\"";
    add_base64(text, record.payload());
    text += '"';
    field("salt", digest::to_hex(record.salt()));
  }
  field("payloadDigest", digest::to_hex(record.payload_digest()));
  field("prevHash", digest::to_hex(record.prev_hash()));
  field("hash", digest::to_hex(record.hash()));
  field("position", std::to_string(record.position()));
  text += "}\n";
}

std::string bytes_of(const std::string& hex) { return digest::from_hex(hex).value_or(""); }

template <typename N>
bool read_number(const std::string& text, N& out) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out);
  return problem == std::errc() && end == text.data() + text.size();
}

// The digest of the file was right, so only a damaged writer or another program gets here.
bool read_line(const std::string& stream, std::string_view line, v1::Record& record) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return false;
  const auto text = [&json](const char* name) -> std::string {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  uint64_t seq = 0;
  uint64_t position = 0;
  int64_t time = 0;
  if (text("stream") != stream || !read_number(text("seq"), seq) ||
      !read_number(text("timeNs"), time) || !read_number(text("position"), position)) {
    return false;
  }
  record.set_stream(stream);
  record.set_seq(seq);
  record.set_position(position);
  record.set_type(text("type"));
  record.set_wall_time_ns(time);
  record.set_payload_digest(bytes_of(text("payloadDigest")));
  record.set_prev_hash(bytes_of(text("prevHash")));
  record.set_hash(bytes_of(text("hash")));
  const auto erased = json.find("erased");
  record.set_erased(erased != json.end() && erased->is_boolean() && erased->get<bool>());
  if (record.erased()) return true;
  std::optional<std::string> payload = from_base64(text("payload"));
  if (!payload) return false;
  record.set_payload(std::move(*payload));
  record.set_salt(bytes_of(text("salt")));
  return true;
}

Result<std::string> pack(std::string_view text) {
  z_stream zip{};
  if (deflateInit2(&zip, 6, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return Status(Code::kResourceExhausted, "archive: out of memory");
  }
  std::string out(deflateBound(&zip, text.size()), '\0');
  zip.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  zip.avail_in = static_cast<uInt>(text.size());
  zip.next_out = reinterpret_cast<Bytef*>(out.data());
  zip.avail_out = static_cast<uInt>(out.size());
  const int code = deflate(&zip, Z_FINISH);
  out.resize(zip.total_out);
  deflateEnd(&zip);
  if (code != Z_STREAM_END) return Status(Code::kInternal, "archive: a segment was not packed");
  return out;
}

std::optional<std::string> unpack(std::string_view file) {
  z_stream zip{};
  if (inflateInit2(&zip, kGzip) != Z_OK) return std::nullopt;
  std::string out;
  zip.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(file.data()));
  zip.avail_in = static_cast<uInt>(file.size());
  int code = Z_OK;
  std::string chunk(256u << 10, '\0');
  while (code == Z_OK && out.size() <= kMostText) {
    zip.next_out = reinterpret_cast<Bytef*>(chunk.data());
    zip.avail_out = static_cast<uInt>(chunk.size());
    code = inflate(&zip, Z_NO_FLUSH);
    out.append(chunk.data(), chunk.size() - zip.avail_out);
  }
  inflateEnd(&zip);
  if (code != Z_STREAM_END || out.size() > kMostText) return std::nullopt;
  return out;
}

}  // namespace

v1::SegmentClosed SegmentRow::closed() const {
  v1::SegmentClosed closed;
  closed.set_first_seq(first_seq);
  closed.set_last_seq(last_seq);
  closed.set_prev_hash(prev_hash);
  closed.set_last_hash(last_hash);
  closed.set_archive_digest(digest);
  closed.set_file_bytes(file_bytes);
  return closed;
}

SegmentSource::SegmentSource(const v1::ArchiveRequest& request, uint64_t head_seq,
                             uint64_t archived_to)
    : stream_(request.stream()),
      next_(archived_to + 1),
      up_to_(request.up_to_seq() == 0 ? head_seq : std::min(request.up_to_seq(), head_seq)),
      archived_to_(archived_to) {}

bool SegmentSource::add(const v1::Record& record) {
  const size_t text =
      kLineOverhead + 6 * stream_.size() + record.payload().size() / 3 * 4 + sizeof("====");
  if (!records_.empty() && (text_ + text > kSegmentText || records_.size() == kSegmentRecords)) {
    return false;
  }
  text_ += text;
  payload_ += record.payload().size();
  records_.push_back(record);
  records_.back().set_stream(stream_);
  ++next_;
  ++archived_to_;
  return true;
}

v1::ArchiveResponse SegmentSource::response() const {
  v1::ArchiveResponse response;
  response.set_records(records_.size());
  response.set_payload_bytes(payload_);
  response.set_archived_to(archived_to_);
  response.set_more(next_ <= up_to_);
  return response;
}

Result<std::string> encode_segment(const Segment& records) {
  const std::string& stream = records.front().stream();
  if (!utf8::valid(stream)) {
    return Status(Code::kInvalidArgument, "a stream whose name is not UTF-8 cannot be archived",
                  PALYRA_ERROR_USER_FAULT);
  }
  const std::string stream_json = Json(stream).dump();
  std::string text;
  for (const v1::Record& record : records) add_line(text, stream_json, record);
  return pack(text);
}

Result<Segment> decode_segment(const std::string& stream, const SegmentRow& row,
                               std::string_view file) {
  const auto damaged = [&](const char* how) {
    return Status(Code::kDataLoss, "the archive of records " + std::to_string(row.first_seq) +
                                       " to " + std::to_string(row.last_seq) + " of " + stream +
                                       ", " + digest::to_hex(row.digest) + ".ndjson.gz, " + how +
                                       "; restore the file from a backup");
  };
  if (digest::sha256(file) != row.digest) return damaged("was altered");
  const std::optional<std::string> text = unpack(file);
  if (!text) return damaged("cannot be unpacked");
  Segment records;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    v1::Record& record = records.emplace_back();
    if (!read_line(stream, rest.substr(0, end), record) ||
        record.seq() != row.first_seq + records.size() - 1) {
      return damaged("does not hold these records");
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (records.size() != row.records()) return damaged("does not hold all of them");
  return records;
}

SegmentRow describe_segment(const Segment& records, std::string_view file) {
  SegmentRow row;
  row.first_seq = records.front().seq();
  row.last_seq = records.back().seq();
  row.prev_hash = records.front().prev_hash();
  row.last_hash = records.back().hash();
  row.digest = digest::sha256(file);
  row.file_bytes = file.size();
  return row;
}

}  // namespace palyra::journal
