// The verdict over an export: docs/audit-format.md, line by line.
#pragma once

#include "clients/audit_verify/gaps.h"
#include "clients/audit_verify/lines.h"
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

// More are refused.
constexpr size_t kMaxStreams = 20'000'000;
// Files that are named of one stream.
constexpr size_t kMaxNamed = 20;

// Feed the lines, then ask. Memory grows with the number of streams and of the heads that
// checkpoints name of them, not of records. One thread.
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
    uint64_t unproven = 0;  // there, but only missing records tie them to what is proven
    // The files that have them, at most kMaxNamed.
    std::vector<std::string> missing_files;
    uint64_t checkpoint = 0;
    // Not ok: where, and why.
    uint64_t bad_seq = 0;
    std::string reason;
  };
  struct Summary {
    // Told, of the export as a whole.
    uint64_t problems = 0;
    // A key is not ours: nothing behind it was looked at.
    bool given_up = false;
    std::vector<std::string> notes;
    std::string selection;
    uint64_t streams = 0;
    uint64_t broken = 0;
    uint64_t records = 0;
    uint64_t erased = 0;
    uint64_t archived = 0;
    uint64_t missing = 0;
    uint64_t unproven = 0;
    std::optional<Link> newest;
    // Nothing that is there is wrong; whether all is there, `missing` says.
    bool ok() const { return problems == 0 && broken == 0; }
  };

  // The text of the archived segment with this digest, 32 bytes, if it is at hand.
  using FindSegment = std::function<std::optional<std::string>(const std::string& digest)>;

  // `keys`: 32 bytes each. `tell` gets each stream's verdict, and `tell_problem` what is wrong with
  // the export as a whole, as soon as it is known.
  ExportCheck(std::set<std::string> keys, std::optional<Link> witness, FindSegment find_segment,
              std::function<void(const Verdict&)> tell,
              std::function<void(const std::string&)> tell_problem);

  void add_line(const std::string& line);
  // A line that is longer than kMaxLine.
  void skip_line();
  Summary finish();

 private:
  enum class Phase { kHeader, kContents, kCheckpoints, kRecords };
  struct Stream {
    uint64_t first = 0;
    uint64_t last = 0;
    std::string prev_hash;
    std::string last_hash;
    // What checkpoints name of the range, in their order.
    std::vector<Head> heads;
    // The first that a checkpoint names and that cannot be, and why; empty = nothing.
    uint64_t denied_seq = 0;
    std::string denied;
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
    // Of stream->heads: those behind us.
    size_t named = 0;
    std::vector<Segment> unread;
    uint64_t archived = 0;
    uint64_t unproven = 0;
    std::vector<Closed> closed;
    uint64_t bad_seq = 0;
    std::string reason;
  };

  void problem(std::string words);
  void at_line(std::string words);
  void give_up(std::string words);
  void header(const nlohmann::json& line);
  void contents(const nlohmann::json& list);
  void missing(const nlohmann::json& list);
  void seal(const nlohmann::json& body);
  void checkpoint(const nlohmann::json& body);
  void heads(const nlohmann::json& list, const Link& link);
  void name(const std::string& stream, const Head& head);
  void deny(Stream& stream, uint64_t seq, std::string reason);
  void record(const nlohmann::json& line);
  void check_record(const nlohmann::json& line, uint64_t seq);
  void payload(const nlohmann::json& line, uint64_t seq, const std::string& type,
               const std::string& digest);
  void broken(uint64_t seq, std::string reason);
  void begin_stream(const std::string& name, Stream& stream);
  void end_stream();
  bool is_named(uint64_t seq, const std::string& hash);
  void pass_missing();
  void read_segment(const std::string& text);
  void explain_missing();
  void tell(const std::string& name, Stream& stream, Verdict verdict);
  void check_witness();

  const std::set<std::string> keys_;
  const std::optional<Link> witness_;
  const FindSegment find_segment_;
  const std::function<void(const Verdict&)> tell_;
  const std::function<void(const std::string&)> tell_problem_;

  uint64_t line_ = 0;
  Phase phase_ = Phase::kHeader;
  bool sealed_ = false;
  // The header's. Version 1 has no scope: its checkpoints' heads are all of the range.
  uint64_t version_ = 0;
  bool whole_store_ = false;
  uint64_t after_ = 0;
  uint64_t up_to_ = UINT64_MAX;
  std::string created_ms_;
  std::string public_key_;
  Sha256 contents_;
  std::map<std::string, Stream, std::less<>> streams_;
  std::set<std::string> gone_;  // named by checkpoints, and not among streams_
  bool witness_seen_ = false;
  std::optional<Link> first_;
  Current current_;
  Summary summary_;
};

}  // namespace palyra::audit_verify
