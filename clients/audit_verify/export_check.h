// The verdict over an export: docs/audit-format.md, line by line.
#pragma once

#include "clients/audit_verify/primitives.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::audit_verify {

// A checkpoint without its heads. Bytes, not hex.
struct Link {
  uint64_t number = 0;
  std::string previous;
  uint64_t position = 0;
  int64_t time_ms = 0;
  uint64_t streams = 0;
  std::string heads_digest;
  std::string public_key;
  std::string signature;

  std::string signed_bytes() const;
};
// From the object behind "checkpoint"; nothing if a field is missing or has the wrong form.
std::optional<Link> read_link(const nlohmann::json& body);
// From a line {"checkpoint": {...}}.
std::optional<Link> read_witness(const std::string& line);

// Refuses what could cost more than it is worth: nothing of a line is trusted.
constexpr size_t kMaxLine = size_t{32} << 20;
constexpr int kMaxDepth = 16;
constexpr size_t kMaxStreams = 20'000'000;
// Files that are named of one stream.
constexpr size_t kMaxNamed = 20;

// Feed the lines, then ask. Memory grows with the number of streams. One thread.
class ExportCheck {
 public:
  // How one stream ended.
  struct Verdict {
    std::string stream;
    bool ok = false;
    uint64_t first = 0;  // records it is about
    uint64_t last = 0;
    uint64_t erased = 0;
    uint64_t archived = 0;  // not in the export, but in a file that was given
    uint64_t missing = 0;   // in neither: unproven
    // The files that have them, at most kMaxNamed.
    std::vector<std::string> missing_files;
    uint64_t checkpoint = 0;
    // Not ok: where, and why.
    uint64_t bad_seq = 0;
    std::string reason;
  };
  struct Summary {
    // Of the export as a whole; empty = nothing is wrong.
    std::vector<std::string> problems;
    std::vector<std::string> notes;
    std::string selection;
    uint64_t streams = 0;
    uint64_t broken = 0;
    uint64_t records = 0;
    uint64_t erased = 0;
    uint64_t archived = 0;
    uint64_t missing = 0;
    std::optional<Link> newest;
    // Nothing that is there is wrong; whether all is there, `missing` says.
    bool ok() const { return problems.empty() && broken == 0; }
  };

  // The text of the archived segment with this digest, 32 bytes, if it is at hand.
  using FindSegment = std::function<std::optional<std::string>(const std::string& digest)>;

  // `keys`: 32 bytes each. `tell` gets each stream's verdict as soon as it is known.
  ExportCheck(std::set<std::string> keys, std::optional<Link> witness, FindSegment find_segment,
              std::function<void(const Verdict&)> tell);

  void add_line(const std::string& line);
  // A line that is longer than kMaxLine.
  void skip_line();
  Summary finish();

 private:
  enum class Phase { kHeader, kContents, kCheckpoints, kRecords };
  struct Range {
    uint64_t first;
    uint64_t last;
  };
  // Archived records, with the hashes around them.
  struct Segment {
    Range range;
    std::string before;
    std::string after;
    std::string digest;
  };
  struct Stream {
    uint64_t first = 0;
    uint64_t last = 0;
    std::string prev_hash;
    std::string last_hash;
    // The newest head that a checkpoint names within the range.
    uint64_t named_seq = 0;
    std::string named_hash;
    uint64_t named_by = 0;
    bool told = false;
    // What the export says it lacks, in order.
    std::vector<Segment> missing;
  };
  // The stream whose records are coming.
  struct Current {
    std::string name;
    Stream* stream = nullptr;
    uint64_t next = 0;
    std::string prev;
    uint64_t records = 0;
    std::vector<Range> empty;   // records without payloads
    std::vector<Range> erased;  // and what says why
    // Of stream->missing: those behind us, and which of them nobody could read.
    size_t passed = 0;
    std::vector<Segment> unread;
    uint64_t archived = 0;
    std::vector<Segment> closed;
    uint64_t bad_seq = 0;
    std::string reason;
  };

  void problem(std::string words) { summary_.problems.push_back(std::move(words)); }
  void at_line(std::string words);
  void header(const nlohmann::json& line);
  void contents(const nlohmann::json& list);
  void missing(const nlohmann::json& list);
  void seal(const nlohmann::json& body);
  void checkpoint(const nlohmann::json& body);
  void heads(const nlohmann::json& list, const Link& link);
  void record(const nlohmann::json& line);
  void check_record(const nlohmann::json& line, uint64_t seq);
  void payload(const nlohmann::json& line, uint64_t seq, const std::string& type,
               const std::string& digest);
  void broken(uint64_t seq, std::string reason);
  void begin_stream(const std::string& name, Stream& stream);
  void end_stream();
  void pass_missing();
  void read_segment(const std::string& text);
  void explain_missing();
  void tell(const std::string& name, Stream& stream, Verdict verdict);
  void check_witness();

  const std::set<std::string> keys_;
  const std::optional<Link> witness_;
  const FindSegment find_segment_;
  const std::function<void(const Verdict&)> tell_;

  uint64_t line_ = 0;
  Phase phase_ = Phase::kHeader;
  bool trusted_ = false;  // the header's key is one of ours
  bool sealed_ = false;
  std::string created_ms_;
  std::string public_key_;
  Sha256 contents_;
  std::map<std::string, Stream, std::less<>> streams_;
  bool witness_seen_ = false;
  std::optional<Link> first_;
  Current current_;
  Summary summary_;
};

}  // namespace palyra::audit_verify
