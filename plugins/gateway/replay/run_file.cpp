#include "plugins/gateway/replay/run_file.h"

#include "plugins/gateway/delivery/tape_entry.h"

#include <google/protobuf/util/json_util.h>

#include <utility>

namespace palyra::gateway::replay {
namespace {

namespace pb = google::protobuf;

// The longest line: a record of 4 MiB in base64, and its names.
constexpr size_t kLineBytes = size_t{6} << 20;
constexpr size_t kHeaderWordBytes = 64;

void put_big_endian(std::string& out, uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
}

void put_field(std::string& out, std::string_view field) {
  put_big_endian(out, field.size(), 4);
  out += field;
}

void put_field(std::string& out, uint64_t number) {
  put_big_endian(out, 8, 4);
  put_big_endian(out, number, 8);
}

// As docs/audit-format.md says.
std::string hash_of(const api::TapeEntry& entry, const std::string& prev,
                    const std::string& payload_digest) {
  std::string bytes;
  put_field(bytes, std::string_view("palyra.record.1"));
  put_field(bytes, entry.stream());
  put_field(bytes, entry.seq());
  put_field(bytes, prev);
  put_field(bytes, entry.type());
  put_field(bytes, static_cast<uint64_t>(entry.time_ns()));
  put_field(bytes, payload_digest);
  return digest::sha256(bytes);
}

bool is_hex_of(const std::string& hex, const std::string& bytes) {
  return digest::from_hex(hex).value_or("") == bytes;
}

}  // namespace

api::TapeEntry to_entry(const palyra::service::v1::Record& record) {
  api::TapeEntry entry = tape_entry(record.stream(), record);
  if (!record.erased()) entry.set_payload(record.payload());
  return entry;
}

std::string RunFileWriter::line(const api::RunFileLine& line) {
  std::string text;
  static_cast<void>(pb::util::MessageToJsonString(line, &text));
  text += '\n';
  sha256_.update(text);
  bytes_ += text.size();
  return text;
}

std::string RunFileWriter::header(const api::RunFileHeader& header) {
  api::RunFileLine out;
  *out.mutable_header() = header;
  out.mutable_header()->set_format(kRunFileFormat);
  return line(out);
}

std::string RunFileWriter::record(const palyra::service::v1::Record& record) {
  api::RunFileLine out;
  *out.mutable_record() = to_entry(record);
  return line(out);
}

std::string RunFileWriter::history(const palyra::service::v1::Record& record) {
  api::RunFileLine out;
  *out.mutable_history() = to_entry(record);
  return line(out);
}

std::string RunFileWriter::blob(const std::string& digest, std::string data) {
  api::RunFileLine out;
  out.mutable_blob()->set_digest(digest::to_hex(digest));
  out.mutable_blob()->set_data(std::move(data));
  return line(out);
}

std::string RunFileWriter::seal() {
  api::RunFileLine out;
  out.set_sha256(digest::to_hex(sha256_.finish()));
  return line(out);
}

Status RunFileReader::fail(Code code, std::string sentence) {
  status_ = Status(code, "line " + std::to_string(lines_) + ": " + sentence);
  return status_;
}

Status RunFileReader::feed(std::string_view part) {
  if (!status_.ok()) return status_;
  bytes_ += part.size();
  if (bytes_ > kRunFileBytes) {
    status_ = Status(Code::kResourceExhausted, "the file is larger than 64 MiB");
    return status_;
  }
  while (!part.empty()) {
    const size_t end = part.find('\n');
    if (rest_.size() + std::min(end, part.size()) > kLineBytes) {
      ++lines_;
      return fail(Code::kInvalidArgument, "longer than 6 MiB; this is not an exported run");
    }
    if (end == std::string_view::npos) {
      rest_ += part;
      return {};
    }
    ++lines_;
    Status status;
    if (rest_.empty()) {
      status = take_line(part.substr(0, end));
    } else {
      rest_ += part.substr(0, end);
      status = take_line(std::exchange(rest_, {}));
    }
    if (!status.ok()) return status;
    part.remove_prefix(end + 1);
  }
  return {};
}

Status RunFileReader::take_line(std::string_view text) {
  if (sealed_) return fail(Code::kInvalidArgument, "something follows the last line of the export");
  api::RunFileLine line;
  pb::util::JsonParseOptions options;
  // A newer header says so in a way that this one can read.
  options.ignore_unknown_fields = lines_ == 1;
  if (!pb::util::JsonStringToMessage(pb::StringPiece(text.data(), text.size()), &line, options)
           .ok()) {
    return fail(Code::kInvalidArgument,
                lines_ == 1 ? "this is not an exported run; make one with: palyra runs export RUN"
                            : "this cannot be read as a line of an exported run");
  }
  if (!line.has_header() == (lines_ == 1)) {
    return fail(Code::kInvalidArgument,
                lines_ == 1 ? "this is not an exported run; make one with: palyra runs export RUN"
                            : "a second header");
  }
  if (line.line_case() != api::RunFileLine::kSha256) {
    sha256_.update(text).update("\n");
  }
  switch (line.line_case()) {
    case api::RunFileLine::kHeader:
      if (line.header().format() != kRunFileFormat) {
        return fail(Code::kInvalidArgument,
                    "the format is \"" + line.header().format().substr(0, 64) +
                        "\" and this daemon reads \"" + kRunFileFormat +
                        "\"; replay it with the version that made it, or a newer one");
      }
      return take_header(std::move(*line.mutable_header()));
    case api::RunFileLine::kRecord:
      return take_record(line.record(), "run/" + file_.header.run_id(), file_.records);
    case api::RunFileLine::kHistory:
      return take_record(line.history(), line.history().stream(),
                         file_.history[line.history().stream()]);
    case api::RunFileLine::kBlob:
      return take_blob(*line.mutable_blob());
    case api::RunFileLine::kSha256:
      if (!is_hex_of(line.sha256(), sha256_.finish())) {
        return fail(Code::kDataLoss,
                    "the file was altered: the digest of its lines is not the one that it ends "
                    "with; export the run again");
      }
      sealed_ = true;
      return {};
    case api::RunFileLine::LINE_NOT_SET:
      break;
  }
  return fail(Code::kInvalidArgument, "an empty line");
}

// It is told to whoever replays the file.
Status RunFileReader::take_header(api::RunFileHeader header) {
  for (const std::string* word :
       {&header.run_id(), &header.session_id(), &header.daemon_version()}) {
    if (word->size() > kHeaderWordBytes) {
      return fail(Code::kInvalidArgument, "a field of the header is longer than 64 bytes");
    }
  }
  file_.header = std::move(header);
  return {};
}

Status RunFileReader::take_record(const api::TapeEntry& entry, const std::string& stream,
                                  std::vector<Record>& records) {
  if (entry.stream() != stream) {
    return fail(Code::kInvalidArgument, "a record of another stream than the header says");
  }
  Chain& chain = chains_[stream];
  const std::string words = "record " + std::to_string(entry.seq()) + " of " + stream.substr(0, 64);
  if (entry.seq() != chain.seq + 1 || !is_hex_of(entry.prev_hash(), chain.hash)) {
    return fail(Code::kDataLoss, words + " does not follow the one before; records are missing");
  }
  const std::string payload_digest = digest::from_hex(entry.payload_digest()).value_or("");
  const std::string salt = digest::from_hex(entry.salt()).value_or("");
  if (!entry.erased() && digest::sha256(salt + entry.payload()) != payload_digest) {
    return fail(Code::kDataLoss, "the payload of " + words + " was altered");
  }
  std::string hash = hash_of(entry, chain.hash, payload_digest);
  if (!is_hex_of(entry.hash(), hash)) {
    return fail(Code::kDataLoss, words + " was altered: its hash is another");
  }
  chain.hash = std::move(hash);
  chain.seq = entry.seq();
  // The journal's own, see docs/audit-format.md; no part of the run.
  if (entry.type() == "erased" || entry.type() == "segment_closed") return {};
  Record record;
  record.seq = entry.seq();
  record.wall_ns = entry.time_ns();
  if (entry.erased()) {
    if (&records == &file_.records) {
      file_.erased.push_back(entry.seq());
    } else {
      erased_history_.insert(stream);
    }
    return {};
  }
  if (!record.event.ParseFromString(entry.payload())) {
    // Folds as an unknown record.
    record.event.Clear();
  }
  records.push_back(std::move(record));
  return {};
}

Status RunFileReader::take_blob(api::RunFileBlob& blob) {
  std::string name = digest::sha256(blob.data());
  if (!is_hex_of(blob.digest(), name)) {
    return fail(Code::kDataLoss, "a blob was altered: its digest is another");
  }
  file_.blobs[std::move(name)] = std::move(*blob.mutable_data());
  return {};
}

Result<RunFile> RunFileReader::finish() {
  if (!status_.ok()) return status_;
  if (lines_ == 0) {
    ++lines_;
    return fail(Code::kInvalidArgument,
                "this is not an exported run; make one with: palyra runs export RUN");
  }
  if (!sealed_ || !rest_.empty()) {
    return fail(Code::kDataLoss,
                "the file is cut off: its last line, which seals it, is missing; copy or export it "
                "again");
  }
  const Chain& chain = chains_["run/" + file_.header.run_id()];
  // The first record says whose the tape is, unless it was erased.
  const bool begins =
      !file_.erased.empty() && file_.erased[0] == 1
          ? chain.seq > 0
          : !file_.records.empty() && file_.records[0].event.has_run_created() &&
                file_.records[0].event.run_created().run_id() == file_.header.run_id();
  if (chain.seq != file_.header.records() || !begins) {
    return fail(Code::kDataLoss,
                "the records are not those that the header announces; export the run again");
  }
  for (const std::string& stream : erased_history_) file_.history.erase(stream);
  return std::move(file_);
}

}  // namespace palyra::gateway::replay
