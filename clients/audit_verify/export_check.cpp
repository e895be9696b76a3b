#include "clients/audit_verify/export_check.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace palyra::audit_verify {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxProblems = 100;
// Ranges of one stream that are kept: hostile files may hold one a record.
constexpr size_t kMaxRanges = 1'000'000;

std::string of_checkpoint(uint64_t number) { return "checkpoint " + std::to_string(number); }

}  // namespace

ExportCheck::ExportCheck(std::set<std::string> keys, std::optional<Link> witness,
                         FindSegment find_segment, std::function<void(const Verdict&)> tell,
                         std::function<void(const std::string&)> tell_problem)
    : keys_(std::move(keys)),
      witness_(std::move(witness)),
      find_segment_(std::move(find_segment)),
      tell_(std::move(tell)),
      tell_problem_(std::move(tell_problem)) {}

void ExportCheck::problem(std::string words) {
  if (summary_.problems++ < kMaxProblems) tell_problem_(words);
}

// Without the key nothing can be proven, so that every stream would be a complaint.
void ExportCheck::give_up(std::string words) {
  at_line(std::move(words));
  summary_.given_up = true;
}

void ExportCheck::at_line(std::string words) {
  problem("line " + std::to_string(line_) + ": " + std::move(words));
}

void ExportCheck::skip_line() {
  ++line_;
  if (!summary_.given_up) at_line("longer than any line of an export");
}

void ExportCheck::add_line(const std::string& line) {
  if (line.size() > kMaxLine) return skip_line();
  ++line_;
  if (line.empty() || summary_.given_up) return;
  if (depth_of(line) > kMaxDepth) return at_line("nested deeper than any line of an export");
  const Json parsed = Json::parse(line, nullptr, false);
  if (!parsed.is_object()) {
    return at_line("is not a JSON object; the file was cut off or altered here");
  }
  if (phase_ == Phase::kHeader) return header(parsed);
  if (const auto list = parsed.find("contents"); list != parsed.end()) return contents(*list);
  if (const auto list = parsed.find("missing"); list != parsed.end()) return missing(*list);
  if (const auto body = parsed.find("seal"); body != parsed.end()) return seal(*body);
  if (const auto body = parsed.find("checkpoint"); body != parsed.end()) return checkpoint(*body);
  if (parsed.contains("stream")) return record(parsed);
  at_line("is no line of an export");
}

void ExportCheck::header(const Json& line) {
  phase_ = Phase::kContents;
  version_ = number_of(line, "palyraExport").value_or(0);
  if (version_ != 1 && version_ != 2) {
    return at_line(
        "is not the header of an export of version 1 or 2; make one with: palyra audit export");
  }
  created_ms_ = text_of(line, "createdMs");
  summary_.selection = text_of(line, "selection");
  const auto key = bytes_of(line, "publicKey", kHash);
  if (!key) return at_line("the header has no public key");
  public_key_ = *key;
  if (keys_.count(public_key_) == 0) {
    return give_up(
        "the export is signed with the key " + to_hex(public_key_) +
        ", which is not one of --key: this is another daemon's export, or the wrong key");
  }
  if (version_ == 1) {
    return summary_.notes.push_back(
        "this export is of version 1, which does not prove that no stream and no checkpoint was "
        "left out; make a new one");
  }
  const auto whole = line.find("wholeStore");
  const auto after = number_of(line, "afterCheckpoint");
  const auto up_to = number_of(line, "upToCheckpoint");
  if (whole == line.end() || !whole->is_boolean() || !after || !up_to) {
    return at_line("the header does not say what the export is of");
  }
  whole_store_ = whole->get<bool>();
  after_ = *after;
  up_to_ = *up_to;
}

void ExportCheck::contents(const Json& list) {
  if (phase_ != Phase::kContents) return at_line("contents out of their place");
  if (!list.is_array()) return at_line("contents are no list");
  for (const Json& entry : list) {
    if (!entry.is_object()) return at_line("an entry of the contents is no object");
    const std::string name = text_of(entry, "stream");
    const auto first = number_of(entry, "firstSeq");
    const auto last = number_of(entry, "lastSeq");
    const auto prev_hash = bytes_of(entry, "prevHash", kHash);
    const auto last_hash = bytes_of(entry, "lastHash", kHash);
    if (name.empty() || !first || !last || !prev_hash || !last_hash || *first == 0 ||
        *first > *last) {
      return at_line("an entry of the contents is incomplete");
    }
    if (streams_.size() >= kMaxStreams) return at_line("more streams than this program can hold");
    Stream stream;
    stream.first = *first;
    stream.last = *last;
    stream.prev_hash = *prev_hash;
    stream.last_hash = *last_hash;
    if (!streams_.emplace(name, std::move(stream)).second) {
      return at_line("the contents name " + name + " twice");
    }
    std::string fields;
    put_field(fields, name);
    put_field(fields, *first);
    put_field(fields, *prev_hash);
    put_field(fields, *last);
    put_field(fields, *last_hash);
    contents_.update(fields);
  }
}

void ExportCheck::missing(const Json& list) {
  if (phase_ != Phase::kContents) return at_line("missing records out of their place");
  if (!list.is_array()) return at_line("the missing records are no list");
  for (const Json& entry : list) {
    if (!entry.is_object()) return at_line("an entry of the missing records is no object");
    const std::string name = text_of(entry, "stream");
    const auto first = number_of(entry, "firstSeq");
    const auto last = number_of(entry, "lastSeq");
    const auto before = bytes_of(entry, "prevHash", kHash);
    const auto after = bytes_of(entry, "lastHash", kHash);
    const auto digest = bytes_of(entry, "archiveDigest", kHash);
    const auto found = streams_.find(name);
    if (!first || !last || !before || !after || !digest || found == streams_.end()) {
      return at_line("an entry of the missing records is incomplete");
    }
    Stream& stream = found->second;
    const uint64_t least =
        stream.missing.empty() ? stream.first : stream.missing.back().range.last + 1;
    if (*first < least || *last < *first || *last > stream.last) {
      return at_line("an entry of the missing records is out of order");
    }
    stream.missing.push_back({{*first, *last}, *before, *after, *digest});
    std::string fields;
    put_field(fields, "missing");
    put_field(fields, name);
    put_field(fields, *first);
    put_field(fields, *last);
    put_field(fields, *before);
    put_field(fields, *after);
    put_field(fields, *digest);
    contents_.update(fields);
  }
}

void ExportCheck::seal(const Json& body) {
  if (sealed_) return at_line("a second seal");
  sealed_ = true;
  phase_ = version_ == 1 ? Phase::kCheckpoints : Phase::kRecords;
  if (!body.is_object()) return at_line("the seal is no object");
  const auto signature = bytes_of(body, "signature", 64);
  const auto created = to_number(created_ms_);
  if (!signature || !created) return at_line("the seal is incomplete");
  const std::string digest = contents_.finish();
  if (number_of(body, "streams") != streams_.size() ||
      bytes_of(body, "contentsDigest", kHash) != digest) {
    return at_line(
        "the contents are not those that were sealed: streams or checkpoints were added, removed "
        "or altered; of " +
        text_of(body, "streams") + " streams " + std::to_string(streams_.size()) + " are here");
  }
  std::string statement;
  put_field(statement, version_ == 1 ? "palyra.export.1" : "palyra.export.2");
  put_field(statement, *created);
  put_field(statement, summary_.selection);
  if (version_ != 1) {
    put_field(statement, uint64_t{whole_store_});
    put_field(statement, after_);
    put_field(statement, up_to_);
  }
  put_field(statement, uint64_t{streams_.size()});
  put_field(statement, digest);
  put_field(statement, public_key_);
  if (!is_signed(public_key_, statement, *signature)) {
    at_line("the seal's signature is wrong: header or contents were altered");
  }
}

void ExportCheck::checkpoint(const Json& body) {
  if (version_ != 1 && phase_ == Phase::kContents) phase_ = Phase::kCheckpoints;
  if (phase_ != Phase::kCheckpoints) return at_line("a checkpoint out of its place");
  const auto link = read_link(body);
  if (!link) return at_line("a checkpoint is incomplete");
  const std::string name = of_checkpoint(link->number);
  const std::string bytes = link->signed_bytes();
  const auto list = body.find("heads");
  if (version_ != 1) {
    std::string fields;
    put_field(fields, "checkpoint");
    put_field(fields, sha256(bytes));
    put_field(fields, uint64_t{list != body.end()});
    contents_.update(fields);
  }
  if (keys_.count(link->public_key) == 0) {
    return give_up(name + " is signed with the key " + to_hex(link->public_key) +
                   ", which is not one of --key: give the daemon's older keys, too");
  }
  if (!is_signed(link->public_key, bytes, link->signature)) {
    at_line("the signature of " + name + " is wrong: it was altered");
  } else if (list != body.end()) {
    heads(*list, *link);
  } else if (whole_store_ && link->number <= up_to_) {
    at_line(name + " does not say which streams it names");
  }
  if (const auto& before = summary_.newest) {
    if (link->number != before->number + 1) {
      at_line(name + " follows " + of_checkpoint(before->number) +
              ": checkpoints are missing or out of order");
    } else if (link->previous != sha256(before->signed_bytes())) {
      at_line(name + " does not name the one before");
    } else if (link->position < before->position) {
      at_line(name + " covers less than the one before");
    }
  } else {
    first_ = *link;
    if (whole_store_ && link->number != after_ + 1) {
      at_line("the first is " + name + " and should be " + of_checkpoint(after_ + 1));
    }
  }
  if (witness_ && witness_->number == link->number) {
    witness_seen_ = true;
    if (bytes != witness_->signed_bytes()) {
      at_line(name +
              " is not the witness': this export comes from another history than the one "
              "that the witness saw");
    }
  }
  summary_.newest = *link;
}

void ExportCheck::heads(const Json& list, const Link& link) {
  const std::string name = of_checkpoint(link.number);
  if (!list.is_array() || list.size() != link.streams) {
    return at_line(name + " does not name as many streams as it says");
  }
  std::string fields;
  for (const Json& head : list) {
    const auto seq = head.is_object() ? number_of(head, "seq") : std::nullopt;
    const auto hash = head.is_object() ? bytes_of(head, "hash", kHash) : std::nullopt;
    if (!seq || !hash) return at_line("a head of " + name + " is incomplete");
    put_field(fields, text_of(head, "stream"));
    put_field(fields, *seq);
    put_field(fields, *hash);
  }
  if (sha256(fields) != link.heads_digest) {
    return at_line("the heads of " + name + " were altered");
  }
  for (const Json& head : list) {
    Head named{*number_of(head, "seq"), {}, link.number};
    bytes_of(head, "hash", kHash)->copy(named.hash.data(), kHash);
    this->name(text_of(head, "stream"), named);
  }
}

void ExportCheck::deny(Stream& stream, uint64_t seq, std::string reason) {
  if (!stream.denied.empty()) return;
  stream.denied_seq = seq;
  stream.denied = std::move(reason);
}

// A checkpoint, whose signature is right, names this record.
void ExportCheck::name(const std::string& stream_name, const Head& head) {
  const auto found = streams_.find(stream_name);
  if (found == streams_.end()) {
    if (!whole_store_ || head.checkpoint > up_to_ || !gone_.insert(stream_name).second) return;
    Verdict verdict;
    verdict.stream = stream_name;
    verdict.bad_seq = head.seq;
    verdict.reason =
        "and the whole stream are missing, though " + of_checkpoint(head.checkpoint) + " names it";
    ++summary_.broken;
    return tell_(verdict);
  }
  Stream& stream = found->second;
  if (head.seq < stream.first) {
    if (version_ != 1) {
      deny(stream, head.seq,
           "is left out, though " + of_checkpoint(head.checkpoint) + ", of this range, names it");
    } else if (head.seq + 1 == stream.first && !head.is(stream.prev_hash)) {
      deny(stream, stream.first,
           "does not follow the record that " + of_checkpoint(head.checkpoint) + " names");
    }
    return;
  }
  if (head.seq > stream.last) {
    // Of a stream that is exported up to up_to_, only the heads up to there are of the range. One
    // that goes on behind it does so to its end.
    const bool ended = !stream.heads.empty() && stream.heads.back().seq == stream.last &&
                       stream.heads.back().checkpoint <= up_to_;
    if (head.checkpoint > up_to_ && ended) return;
    return deny(stream, stream.last + 1,
                "and all behind it are missing: the stream ends at " + std::to_string(stream.last) +
                    ", and " + of_checkpoint(head.checkpoint) + " names record " +
                    std::to_string(head.seq));
  }
  stream.heads.push_back(head);
}

// ---- records ----------------------------------------------------------------------------------

void ExportCheck::broken(uint64_t seq, std::string reason) {
  if (!current_.reason.empty()) return;
  current_.bad_seq = seq;
  current_.reason = std::move(reason);
}

void ExportCheck::record(const Json& line) {
  if (!sealed_) return at_line("a record before the seal");
  phase_ = Phase::kRecords;
  const std::string name = text_of(line, "stream");
  if (name != current_.name || current_.stream == nullptr) {
    end_stream();
    const auto found = streams_.find(name);
    if (found == streams_.end()) {
      return at_line("a record of " + name + ", which is not among the sealed contents: inserted");
    }
    if (found->second.told) {
      return at_line("records of " + name + " come back after their end: inserted or out of order");
    }
    begin_stream(name, found->second);
  }
  pass_missing();
  const auto seq = number_of(line, "seq");
  if (!seq) return broken(current_.next, "a line without a number");
  if (current_.reason.empty()) check_record(line, *seq);
}

void ExportCheck::check_record(const Json& line, uint64_t seq) {
  Current& at = current_;
  const auto prev = bytes_of(line, "prevHash", kHash);
  const auto hash = bytes_of(line, "hash", kHash);
  const auto digest = bytes_of(line, "payloadDigest", kHash);
  const auto time_ns = signed_of(line, "timeNs");
  const std::string type = text_of(line, "type");
  if (!prev || !hash || !digest || !time_ns || type.empty()) {
    return broken(at.next, "its line lacks a field or holds something else in it");
  }
  if (seq < at.next) {
    return broken(
        seq, "comes where record " + std::to_string(at.next) + " should: inserted or out of order");
  }
  if (seq > at.stream->last) {
    return broken(seq, "is behind the last record that was sealed, " +
                           std::to_string(at.stream->last) + ": inserted");
  }
  if (seq > at.next) {
    return broken(at.next, "is missing; the next one is " + std::to_string(seq));
  }
  if (*prev != at.prev) return broken(seq, "does not follow the record before");
  std::string fields;
  put_field(fields, "palyra.record.1");
  put_field(fields, at.name);
  put_field(fields, seq);
  put_field(fields, *prev);
  put_field(fields, type);
  put_field(fields, static_cast<uint64_t>(*time_ns));
  put_field(fields, *digest);
  if (sha256(fields) != *hash) return broken(seq, "was altered: its hash does not match");
  payload(line, seq, type, *digest);
  if (!is_named(seq, *hash)) return;
  at.prev = *hash;
  at.next = seq + 1;
  ++at.records;
}

void ExportCheck::payload(const Json& line, uint64_t seq, const std::string& type,
                          const std::string& digest) {
  Current& at = current_;
  const auto erased = line.find("erased");
  if (erased != line.end() && erased->is_boolean() && erased->get<bool>()) {
    if (!at.empty.empty() && at.empty.back().last + 1 == seq) {
      at.empty.back().last = seq;
    } else if (at.empty.size() < kMaxRanges) {
      at.empty.push_back({seq, seq});
    } else {
      broken(seq, "too many erased ranges");
    }
    if (type == "erased") broken(seq, "says that something was erased, and is erased itself");
    return;
  }
  const auto salt = bytes_of(line, "salt", 16);
  const auto payload = from_base64(text_of(line, "payload"));
  if (!salt || !payload) return broken(seq, "its payload cannot be read");
  if (sha256(*salt + *payload) != digest) {
    return broken(seq, "its payload was altered: it does not match its digest");
  }
  const bool closes = type == "segment_closed";
  if (type != "erased" && !closes) return;
  Fields fields;
  if (!fields.parse(*payload)) return broken(seq, "its payload is no message of its type");
  const Range range{fields.number(1), fields.number(2)};
  if (range.last >= seq || at.erased.size() + at.closed.size() >= kMaxRanges) return;
  if (closes) {
    at.closed.push_back(
        {seq, {range, std::string(fields.bytes(3)), std::string(fields.bytes(4)), ""}});
  } else {
    at.erased.push_back(range);
  }
}

// False, and broken, if a checkpoint names another record as this one.
bool ExportCheck::is_named(uint64_t seq, const std::string& hash) {
  Current& at = current_;
  const std::vector<Head>& heads = at.stream->heads;
  while (at.named < heads.size() && heads[at.named].seq < seq) ++at.named;
  for (; at.named < heads.size() && heads[at.named].seq == seq; ++at.named) {
    const Head& head = heads[at.named];
    if (head.is(hash)) continue;
    broken(seq, "is not the record that " + of_checkpoint(head.checkpoint) + " names");
    return false;
  }
  return true;
}

// Goes over the records that the export says it lacks: through their file if it is at hand.
void ExportCheck::pass_missing() {
  Current& at = current_;
  const std::vector<Segment>& all = at.stream->missing;
  while (at.reason.empty() && at.passed < all.size() && all[at.passed].range.first == at.next) {
    const Segment& segment = all[at.passed++];
    if (segment.before != at.prev) {
      return broken(segment.range.first, "and its archive do not follow the record before");
    }
    const auto text = find_segment_ ? find_segment_(segment.digest) : std::nullopt;
    if (text) {
      read_segment(*text);
      if (!at.reason.empty()) return;
      at.archived += segment.range.last - segment.range.first + 1;
      if (at.next != segment.range.last + 1 || at.prev != segment.after) {
        return broken(at.next, "is not in the archived file that should have it");
      }
      continue;
    }
    at.unread.push_back(segment);
    if (!is_named(segment.range.last, segment.after)) return;
    at.next = segment.range.last + 1;
    at.prev = segment.after;
  }
}

void ExportCheck::read_segment(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty() && current_.reason.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const Json parsed = depth_of(line) > kMaxDepth ? Json() : Json::parse(line, nullptr, false);
    const auto seq = parsed.is_object() ? number_of(parsed, "seq") : std::nullopt;
    if (!seq || text_of(parsed, "stream") != current_.name || *seq != current_.next) {
      return broken(current_.next, "is not in the archived file that should have it");
    }
    check_record(parsed, *seq);
  }
}

// What is missing must be explained by later records of the same stream.
void ExportCheck::explain_missing() {
  Current& at = current_;
  // Whoever made an export of version 1 did not look behind its end.
  const GapVerdict gaps = judge_gaps({at.stream->first, at.stream->last}, at.unread, at.closed,
                                     at.stream->heads, version_ == 1);
  if (gaps.bad_seq != 0) return broken(gaps.bad_seq, gaps.reason);
  at.unproven = gaps.unproven;
  // The record that says so may be in a segment that is missing.
  std::vector<Range> erased = std::move(at.erased);
  if (!at.unread.empty()) erased.push_back({1, at.unread.back().range.last - 1});
  if (const uint64_t seq = first_unexplained(at.empty, std::move(erased)); seq != 0) {
    broken(seq, "its payload is missing and no erased record says why");
  }
}

void ExportCheck::begin_stream(const std::string& name, Stream& stream) {
  current_ = Current();
  current_.name = name;
  current_.stream = &stream;
  current_.next = stream.first;
  current_.prev = stream.prev_hash;
  std::stable_sort(stream.heads.begin(), stream.heads.end(),
                   [](const Head& a, const Head& b) { return a.seq < b.seq; });
}

void ExportCheck::end_stream() {
  if (current_.stream == nullptr) return;
  Current& at = current_;
  Stream& stream = *at.stream;
  pass_missing();
  if (at.reason.empty()) explain_missing();
  if (at.reason.empty() && at.next <= stream.last) {
    broken(at.next, at.next == stream.first
                        ? std::string("and the whole stream are missing")
                        : "and all behind it are missing: the export was sealed with " +
                              std::to_string(stream.last) + " records of this stream");
  }
  if (at.reason.empty() && at.prev != stream.last_hash) {
    broken(stream.last, "is not the record that was sealed");
  }
  if (at.reason.empty() && !stream.denied.empty()) broken(stream.denied_seq, stream.denied);
  // An export of version 1 may end in a file that was missing.
  const bool open_end =
      version_ == 1 && !stream.missing.empty() && stream.missing.back().range.last == stream.last;
  const uint64_t named = stream.heads.empty() ? 0 : stream.heads.back().seq;
  if (at.reason.empty() && named != stream.last && !open_end) {
    broken(named + 1, named == 0
                          ? "and the whole stream are covered by no checkpoint of this export"
                          : "and what follows are covered by no checkpoint of this export");
  }
  Verdict verdict;
  verdict.ok = at.reason.empty();
  verdict.bad_seq = at.bad_seq;
  verdict.reason = at.reason;
  verdict.archived = at.archived;
  verdict.unproven = at.unproven;
  for (const Range& range : at.empty) verdict.erased += range.last - range.first + 1;
  for (const Segment& unread : at.unread) {
    verdict.missing += unread.range.last - unread.range.first + 1;
    if (verdict.missing_files.size() < kMaxNamed) {
      verdict.missing_files.push_back(to_hex(unread.digest) + ".ndjson.gz");
    }
  }
  summary_.records += at.records;
  summary_.erased += verdict.erased;
  summary_.archived += verdict.archived;
  summary_.missing += verdict.missing;
  summary_.unproven += verdict.unproven;
  tell(at.name, stream, std::move(verdict));
  current_ = Current();
}

void ExportCheck::tell(const std::string& name, Stream& stream, Verdict verdict) {
  stream.told = true;
  if (!verdict.ok) ++summary_.broken;
  verdict.stream = name;
  verdict.first = stream.first;
  verdict.last = stream.last;
  verdict.checkpoint = stream.heads.empty() ? 0 : stream.heads.back().checkpoint;
  std::vector<Head>().swap(stream.heads);
  tell_(verdict);
}

void ExportCheck::check_witness() {
  if (!witness_) {
    summary_.notes.push_back(
        "without --witness nobody can tell whether the store was set back to an older copy of "
        "itself before this export was made");
    return;
  }
  const uint64_t newest = summary_.newest ? summary_.newest->number : 0;
  if (keys_.count(witness_->public_key) == 0) {
    problem("the witness is signed with the key " + to_hex(witness_->public_key) +
            ", which is not one of --key");
  } else if (!is_signed(witness_->public_key, witness_->signed_bytes(), witness_->signature)) {
    problem("the witness itself was altered: its signature is wrong");
  } else if (newest < witness_->number) {
    problem("the witness is " + of_checkpoint(witness_->number) +
            " and this export's last one is " + std::to_string(newest) +
            ": the export, or the store that it was made from, is older than the witness");
  } else if (!witness_seen_ && first_ && witness_->number < first_->number) {
    summary_.notes.push_back("the witness, " + of_checkpoint(witness_->number) +
                             ", is older than the first checkpoint of this export, so it proves "
                             "nothing about it; use a younger one");
  } else if (!witness_seen_) {
    problem(of_checkpoint(witness_->number) + ", the witness', is missing");
  }
}

ExportCheck::Summary ExportCheck::finish() {
  if (summary_.given_up) return std::move(summary_);
  end_stream();
  if (phase_ == Phase::kHeader) {
    problem("the file is empty");
  } else if (!sealed_) {
    problem("the export ends before its seal: it was cut off");
  } else if (version_ == 2 && (!summary_.newest || summary_.newest->number < up_to_)) {
    problem("the export lacks " + of_checkpoint(up_to_) + ", up to which it says to go");
  }
  for (auto& [name, stream] : streams_) {
    if (stream.told) continue;
    begin_stream(name, stream);
    end_stream();
  }
  summary_.streams = streams_.size() + gone_.size();
  check_witness();
  return std::move(summary_);
}

}  // namespace palyra::audit_verify
