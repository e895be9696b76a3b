#include "plugins/gateway/replay/run_file_probe.h"

#include "plugins/gateway/replay/run_file.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace palyra::gateway::replay {
namespace {

struct Outcome {
  std::string error;
  uint64_t records = 0;
  std::string last;  // the last record, as it was read

  bool operator==(const Outcome&) const = default;
};

Outcome read(std::string_view bytes, size_t portion) {
  RunFileReader reader;
  for (size_t at = 0; at < bytes.size(); at += portion) {
    if (!reader.feed(bytes.substr(at, portion)).ok()) break;
  }
  const auto file = reader.finish();
  Outcome out;
  if (!file.ok()) {
    out.error = file.status().to_string();
    // For a person: printable, and about a place.
    if (out.error.empty() || out.error.size() > 1'000) std::abort();
    return out;
  }
  out.records = file->records.size();
  if (!file->records.empty()) out.last = file->records.back().event.SerializeAsString();
  const auto accept = [](std::string_view, std::string_view) { return std::string(); };
  static_cast<void>(check(file->records, accept));
  return out;
}

std::string big_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}

std::string field(std::string_view bytes) {
  return big_endian(bytes.size(), 4) + std::string(bytes);
}

// True if it is the file of a run.
bool probe(std::string_view bytes) {
  const Outcome whole = read(bytes, std::max<size_t>(bytes.size(), 1));
  if (read(bytes, 1 + bytes.size() % 97) != whole) std::abort();
  return whole.error.empty();
}

}  // namespace

std::string resealed(std::string_view bytes) {
  struct Chain {
    uint64_t seq = 0;
    std::string hash = std::string(digest::kSha256Size, '\0');
  };
  std::vector<api::RunFileLine> lines;
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    api::RunFileLine line;
    google::protobuf::util::JsonParseOptions options;
    options.ignore_unknown_fields = true;
    const auto parsed = google::protobuf::util::JsonStringToMessage(
        google::protobuf::StringPiece(bytes.data(), end), &line, options);
    if (parsed.ok() && !line.has_sha256()) lines.push_back(std::move(line));
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
  std::map<std::string, Chain> chains;
  for (api::RunFileLine& line : lines) {
    if (line.has_blob()) {
      line.mutable_blob()->set_digest(digest::to_hex(digest::sha256(line.blob().data())));
    }
    if (!line.has_record() && !line.has_history()) continue;
    api::TapeEntry& entry = line.has_record() ? *line.mutable_record() : *line.mutable_history();
    Chain& chain = chains[entry.stream()];
    entry.set_seq(++chain.seq);
    entry.set_prev_hash(digest::to_hex(chain.hash));
    entry.set_salt(std::string(32, '0'));
    const std::string payload = digest::sha256(std::string(16, '\0') + entry.payload());
    entry.set_payload_digest(digest::to_hex(payload));
    chain.hash = digest::sha256(
        field("palyra.record.1") + field(entry.stream()) + field(big_endian(entry.seq(), 8)) +
        field(chain.hash) + field(entry.type()) +
        field(big_endian(static_cast<uint64_t>(entry.time_ns()), 8)) + field(payload));
    entry.set_hash(digest::to_hex(chain.hash));
  }
  std::string out;
  for (api::RunFileLine& line : lines) {
    if (line.has_header()) {
      line.mutable_header()->set_records(chains["run/" + line.header().run_id()].seq);
    }
    std::string text;
    static_cast<void>(google::protobuf::util::MessageToJsonString(line, &text));
    out += text + "\n";
  }
  return out + "{\"sha256\":\"" + digest::to_hex(digest::sha256(out)) + "\"}\n";
}

bool probe_run_file(std::string_view bytes) {
  probe(bytes);
  return probe(resealed(bytes));
}

}  // namespace palyra::gateway::replay
