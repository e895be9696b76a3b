#include "plugins/gateway/audit/store_verifier.h"

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/audit/checkpointer.h"
#include "plugins/gateway/audit/record_pass.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <string_view>
#include <utility>

namespace palyra::gateway::audit {
namespace {

namespace pb = palyra::service::v1;

constexpr size_t kMaxFresh = 100;
constexpr size_t kMaxTold = 10'000;

// The type of a record that says why payloads are missing.
constexpr char kErasureType[] = "erased";

Status no_place(const std::string& cursor) {
  return {Code::kInvalidArgument,
          "\"" + cursor +
              "\" is no place to go on from; use what an interrupted `palyra audit verify` of this "
              "store printed, or leave it out",
          PALYRA_ERROR_USER_FAULT};
}

Status left() { return {Code::kCancelled, "nobody waits for this verification any more"}; }

std::string checkpoint_name(uint64_t number) { return "checkpoint " + std::to_string(number); }

std::string moved_words(const pb::Head& head, const tape::Checkpoint& checkpoint) {
  return "is at position " + std::to_string(head.position()) + ", and " +
         checkpoint_name(checkpoint.number()) + ", which names it, covers up to position " +
         std::to_string(checkpoint.position()) + ": records were moved";
}

}  // namespace

StoreVerifier::StoreVerifier(Executor& executor, Journal& journal, JournalAudit& audit,
                             std::set<std::string> keys, std::optional<Link> witness)
    : executor_(executor),
      journal_(journal),
      audit_(audit),
      keys_(std::move(keys)),
      witness_(std::move(witness)) {}

Status StoreVerifier::resume(const std::string& cursor) {
  if (cursor.empty()) return {};
  const std::array<uint64_t*, 6> fields = {&position_, &records_, &erased_,
                                           &bad_,      &absent_,  &archived_};
  const char* at = cursor.data();
  const char* const end = at + cursor.size();
  for (size_t i = 0; i < fields.size(); ++i) {
    const auto [next, error] = std::from_chars(at, end, *fields[i]);
    const bool last = i + 1 == fields.size();
    if (error != std::errc() || (last ? next != end : next == end || *next != '.')) {
      return no_place(cursor);
    }
    at = next + 1;
  }
  return position_ == 0 ? no_place(cursor) : Status();
}

void StoreVerifier::bad(const std::string& stream, uint64_t seq, std::string reason) {
  ++bad_;
  if (fresh_.size() >= kMaxFresh) return;
  api::BadPlace& place = fresh_.emplace_back();
  place.set_stream(stream);
  place.set_seq(seq);
  place.set_reason(std::move(reason));
}

void StoreVerifier::bad_stream(const std::string& stream, uint64_t seq, std::string reason) {
  if (told_.size() < kMaxTold && !told_.insert(stream).second) return;
  bad(stream, seq, std::move(reason));
}

api::VerifyStoreEvent StoreVerifier::event() {
  api::VerifyStoreEvent out;
  for (const uint64_t number : {position_, records_, erased_, bad_, absent_, archived_}) {
    out.set_cursor(out.cursor() + (out.cursor().empty() ? "" : ".") + std::to_string(number));
  }
  out.set_position(position_ - 1);
  out.set_up_to(up_to_);
  out.set_records(records_);
  out.set_checkpoints(checkpoints_);
  out.set_bytes(bytes_);
  out.set_bad(bad_);
  for (api::BadPlace& place : fresh_) *out.add_first_bad() = std::move(place);
  fresh_.clear();
  return out;
}

// To where there is something to verify now.
Task<Status> StoreVerifier::look_up_to() {
  pb::HeadsRequest nothing;
  nothing.set_since(INT64_MAX);
  auto now = co_await audit_.heads(std::move(nothing));
  if (now.ok()) up_to_ = now->up_to();
  co_return now.status();
}

void StoreVerifier::tell_unread() {
  if (unread_from_ == 0) return;
  bad("", 0,
      "positions " + std::to_string(unread_from_) + " to " + std::to_string(unread_to_) +
          ", or the records before theirs, cannot be read: " + unread_words_);
  unread_from_ = 0;
}

Task<Status> StoreVerifier::pass(Send<api::VerifyStoreEvent> send) {
  RecordPass pass(executor_, audit_, position_, up_to_);
  for (;;) {
    auto next = co_await pass.next();
    if (!next.ok()) co_return next.status();
    if (!*next) break;
    if (!(*next)->unread.ok()) {
      if (unread_from_ == 0) unread_from_ = (*next)->first_position;
      unread_to_ = (*next)->last_position;
      unread_words_ = (*next)->unread.message();
    } else {
      tell_unread();
    }
    const pb::VerifyStoreResponse& page = (*next)->sums;
    records_ += page.records();
    erased_ += page.erased();
    bytes_ += page.bytes();
    absent_ += page.absent();
    archived_ += page.archived();
    for (const pb::BadRecord& record : page.first_bad()) {
      bad(record.stream(), record.seq(), record.reason());
    }
    bad_ += page.bad() - static_cast<uint64_t>(page.first_bad_size());
    position_ = (*next)->last_position + 1;
    api::VerifyStoreEvent progress = event();
    if (!co_await send(std::move(progress))) co_return left();
  }
  tell_unread();
  co_return Status();
}

Task<Status> StoreVerifier::check_records(Send<api::VerifyStoreEvent> send) {
  Status status = co_await look_up_to();
  // Behind the end there would be nothing to find.
  if (status.ok() && position_ > up_to_ + 1) status = no_place("--resume " + event().cursor());
  if (status.ok()) status = co_await pass(send);
  // What was archived meanwhile is told by records that came meanwhile.
  constexpr int kMoreRounds = 3;
  for (int round = 0; status.ok() && absent_ > archived_ && round < kMoreRounds; ++round) {
    status = co_await look_up_to();
    if (position_ > up_to_) break;
    if (status.ok()) status = co_await pass(send);
  }
  if (!status.ok()) co_return status;
  if (absent_ > archived_) {
    bad("", 0,
        std::to_string(absent_ - archived_) +
            " positions hold no record: records or whole streams were removed");
  }
  co_return Status();
}

void StoreVerifier::check_link(const Link& link, uint64_t seq) {
  const std::string name = checkpoint_name(link.number);
  if (keys_seen_.size() < kMaxTold) keys_seen_.insert(link.public_key);
  if (keys_.count(link.public_key) == 0) {
    bad(kAuditStream, seq,
        name + " is signed with the key " + digest::to_hex(link.public_key) +
            ", which is neither this daemon's nor one of --key");
  } else if (Status status = check_signature(link); !status.ok()) {
    bad(kAuditStream, seq, status.message());
  }
  const uint64_t expected = last_ ? last_->number + 1 : 1;
  if (link.number != expected) {
    bad(kAuditStream, seq,
        name + " follows " + (last_ ? checkpoint_name(last_->number) : "nothing") +
            ": checkpoints are missing or out of order");
  } else if (link.previous != (last_ ? hash_of(*last_) : std::string(32, '\0'))) {
    bad(kAuditStream, seq, name + " does not name the checkpoint before");
  } else if (last_ && link.position < last_->position) {
    bad(kAuditStream, seq, name + " covers less than the one before");
  }
  if (witness_ && link.number == witness_->number) {
    witness_seen_ = true;
    if (hash_of(link) != hash_of(*witness_)) {
      bad(kAuditStream, seq,
          name +
              " is not the witness': this store has another history than the one that the "
              "witness saw");
    }
  }
}

// A head that is not where records are: archived, or gone.
Task<Status> StoreVerifier::find_elsewhere(tape::StreamHead head, uint64_t number) {
  pb::ReadRequest read;
  read.set_stream(head.stream());
  read.set_from_seq(head.seq());
  read.set_limit(1);
  auto found = co_await journal_.read(std::move(read));
  const bool there =
      found.ok() && found->records_size() == 1 && found->records(0).seq() == head.seq();
  const Code code = found.ok() ? Code::kOk : found.status().code();
  if (!found.ok() && code != Code::kDataLoss && code != Code::kNotFound) co_return found.status();
  if (there && found->records(0).hash() == head.hash()) co_return Status();
  std::string words = checkpoint_name(number) + " names this record, and ";
  if (code == Code::kDataLoss) {
    words += "it cannot be read: " + found.status().message();
  } else if (there) {
    words += "another one is in its place";
  } else if (found.ok() && found->head_seq() == 0) {
    words += "the whole stream is gone";
  } else if (found.ok() && found->head_seq() < head.seq()) {
    words += "the stream ends at record " + std::to_string(found->head_seq());
  } else {
    words += "it is gone";
  }
  bad_stream(head.stream(), head.seq(), std::move(words));
  co_return Status();
}

// The other way round: between two checkpoints' positions the store has the streams that the later
// one names, each with the record that it names as its last. A stream that was put into freed
// positions is in none; a record that was moved there is a stream's last one. What was archived
// since is missing, and only that: of a stream the oldest records go first.
Task<Status> StoreVerifier::check_window(tape::Checkpoint checkpoint, uint64_t since) {
  struct Named {
    const tape::StreamHead* head = nullptr;
    pb::Head last;
  };
  std::map<std::string_view, Named> named;
  for (const tape::StreamHead& head : checkpoint.heads()) named[head.stream()].head = &head;
  const std::string name = checkpoint_name(checkpoint.number());
  while (since < checkpoint.position()) {
    pb::HeadsRequest request;
    request.set_since(since);
    request.set_up_to(checkpoint.position());
    request.set_limit(1000);
    auto page = co_await audit_.heads(std::move(request));
    if (page.status().code() == Code::kDataLoss) {
      // The positions were told already.
      co_return Status();
    }
    if (!page.ok()) co_return page.status();
    if (page->position() <= since) break;
    since = page->position();
    for (pb::Head& head : *page->mutable_heads()) {
      const auto found = named.find(head.stream());
      if (found == named.end()) {
        bad_stream(head.stream(), head.seq(),
                   "is among what " + name + " covers, at position " +
                       std::to_string(head.position()) +
                       ", and it does not name this stream: the record was put there later");
      } else {
        found->second.last = std::move(head);
      }
    }
  }
  for (const auto& [stream, entry] : named) {
    if (entry.last.seq() == 0 ||
        (entry.last.seq() == entry.head->seq() && entry.last.hash() == entry.head->hash())) {
      continue;
    }
    bad_stream(entry.last.stream(), entry.last.seq(),
               "is the last one of its stream that " + name + " covers, at position " +
                   std::to_string(entry.last.position()) + ", and it names record " +
                   std::to_string(entry.head->seq()) + ": records were put there or moved later");
  }
  co_return Status();
}

// The chain of a stream goes through its files: whoever changes a file and what the store says of
// it is found by the records behind it.
Task<Status> StoreVerifier::check_archived_stream(pb::StreamInfo info) {
  pb::VerifyRequest request;
  request.set_stream(info.stream());
  auto verdict = co_await journal_.verify(std::move(request));
  if (verdict.status().code() == Code::kDataLoss) {
    bad_stream(info.stream(), 1,
               "and those behind it cannot be read: " + verdict.status().message());
    co_return Status();
  }
  if (!verdict.ok()) co_return verdict.status();
  const uint64_t seq = verdict->bad_seq();
  // The others were looked at already; the first of them shows what is wrong with the last file.
  if (verdict->ok() || seq > info.archived_to() + 1) co_return Status();
  for (const pb::SegmentClosed& gone : info.missing()) {
    if (seq >= gone.first_seq() && seq <= gone.last_seq()) co_return Status();
  }
  std::string reason = verdict->reason();
  const std::string place = "record " + std::to_string(seq) + " of " + info.stream() + ": ";
  if (reason.starts_with(place)) reason.erase(0, place.size());
  bad(info.stream(), seq, "in the archive: " + reason);
  if (told_.size() < kMaxTold) told_.insert(info.stream());
  co_return Status();
}

// Archived records are in files, which anybody may have touched.
Task<Status> StoreVerifier::check_archive(Send<api::VerifyStoreEvent> send) {
  std::string after;
  do {
    pb::ListStreamsRequest list;
    list.set_after(after);
    list.set_up_to(up_to_);
    list.set_look_for_files(true);
    auto page = co_await audit_.list_streams(std::move(list));
    if (page.status().code() == Code::kDataLoss) {
      bad("", 0, "what is archived cannot be listed: " + page.status().message());
      co_return Status();
    }
    if (!page.ok()) co_return page.status();
    for (const pb::StreamInfo& info : page->streams()) {
      for (const pb::SegmentClosed& gone : info.missing()) {
        bad(info.stream(), gone.first_seq(),
            "and those up to " + std::to_string(gone.last_seq()) +
                " are archived, and their file " + digest::to_hex(gone.archive_digest()) +
                ".ndjson.gz is missing or was altered; put it back (palyra storage status says "
                "where)");
        if (told_.size() < kMaxTold) told_.insert(info.stream());
      }
      if (info.archived_to() == 0) continue;
      Status status = co_await check_archived_stream(info);
      if (!status.ok()) co_return status;
      api::VerifyStoreEvent progress = event();
      if (!co_await send(std::move(progress))) co_return left();
    }
    after = page->next_after();
    api::VerifyStoreEvent progress = event();
    if (!co_await send(std::move(progress))) co_return left();
  } while (!after.empty());
  co_return Status();
}

// `since`: the position that the checkpoint before reached; nothing if that one is not known.
Task<Status> StoreVerifier::check_heads(tape::Checkpoint checkpoint,
                                        std::optional<uint64_t> since) {
  constexpr int kAtOnce = 1000;
  for (int begin = 0; begin < checkpoint.heads_size(); begin += kAtOnce) {
    const int end = std::min(begin + kAtOnce, checkpoint.heads_size());
    pb::HeadsRequest request;
    for (int i = begin; i < end; ++i) {
      pb::StreamSeq& at = *request.add_at();
      at.set_stream(checkpoint.heads(i).stream());
      at.set_seq(checkpoint.heads(i).seq());
    }
    auto found = co_await audit_.heads(std::move(request));
    // Then one by one.
    if (found.status().code() == Code::kDataLoss) found = pb::HeadsResponse();
    if (!found.ok()) co_return found.status();
    // In the order asked, without those that are not there.
    int next = 0;
    for (int i = begin; i < end; ++i) {
      const tape::StreamHead& named = checkpoint.heads(i);
      const pb::Head* head = next < found->heads_size() ? &found->heads(next) : nullptr;
      if (head != nullptr && head->stream() == named.stream() && head->seq() == named.seq()) {
        ++next;
        if (head->hash() == named.hash()) {
          const bool moved =
              since && (head->position() <= *since || head->position() > checkpoint.position());
          if (moved) bad_stream(named.stream(), named.seq(), moved_words(*head, checkpoint));
          continue;
        }
      }
      Status status = co_await find_elsewhere(named, checkpoint.number());
      if (!status.ok()) co_return status;
    }
  }
  co_return Status();
}

// What the daemon and whoever looks into the store take for the last checkpoint. It is read before
// the stream, which then has it, unless somebody altered it.
Task<Status> StoreVerifier::read_copy() {
  pb::GetRequest request;
  request.set_collection(Checkpointer::kCollection);
  request.set_key(Checkpointer::kKey);
  auto found = co_await journal_.get(std::move(request));
  if (found.status().code() == Code::kDataLoss) {
    bad("", 0, "the store's copy of the last checkpoint: " + found.status().message());
    co_return Status();
  }
  if (!found.ok()) co_return found.status();
  if (!found->has_document()) co_return Status();
  auto link = parse_line(found->document().value());
  if (link.ok()) {
    copy_ = std::move(*link);
  } else {
    bad("", 0, "the store's copy of the last checkpoint is no checkpoint");
  }
  co_return Status();
}

void StoreVerifier::check_copy() {
  if (!copy_) return;
  const std::string copy =
      "the store's copy of the last checkpoint is " + checkpoint_name(copy_->number);
  if (!copy_seen_) {
    bad("", 0, copy + ", which the stream audit does not have so: it was altered");
  } else if (last_ && copy_->number < last_->number) {
    bad("", 0, copy + ", and the last one is " + std::to_string(last_->number));
  }
}

Task<Status> StoreVerifier::check_checkpoints(Send<api::VerifyStoreEvent> send) {
  Status copied = co_await read_copy();
  if (!copied.ok()) co_return copied;
  // Records that could not be read, one after another; each is tried alone then.
  constexpr int kMaxUnread = 100;
  int unread = 0;
  for (uint64_t from = 1;;) {
    pb::ReadRequest read;
    read.set_stream(kAuditStream);
    read.set_from_seq(from);
    if (unread > 0) read.set_limit(1);
    auto page = co_await journal_.read(std::move(read));
    if (page.status().code() == Code::kDataLoss) {
      if (unread++ == 0) continue;
      const bool last = unread > kMaxUnread;
      bad(kAuditStream, from,
          (last ? "and those behind it cannot be read: " : "cannot be read: ") +
              page.status().message());
      if (last) break;
      ++from;
      continue;
    }
    if (!page.ok()) co_return page.status();
    unread = 0;
    for (const pb::Record& record : page->records()) {
      from = record.seq() + 1;
      if (record.type() != kCheckpointType) continue;
      tape::AuditEvent audit_event;
      const bool readable = !record.erased() && audit_event.ParseFromString(record.payload()) &&
                            audit_event.has_checkpoint();
      Link link = link_of(audit_event.checkpoint());
      if (copy_ && readable && to_line(link) == to_line(*copy_)) copy_seen_ = true;
      if (record.position() > up_to_) continue;
      if (!readable) {
        bad(kAuditStream, record.seq(), "this checkpoint cannot be read");
        continue;
      }
      check_link(link, record.seq());
      // Of what another one covered this one says nothing.
      std::optional<uint64_t> since;
      if (link.number == (last_ ? last_->number + 1 : 1)) since = last_ ? last_->position : 0;
      Status status = co_await check_heads(audit_event.checkpoint(), since);
      // Where nothing was archived no position is free, and each stream's positions grow: with the
      // heads in their windows all records are.
      if (status.ok() && since && (archived_ > 0 || absent_ > 0)) {
        status = co_await check_window(std::move(*audit_event.mutable_checkpoint()), *since);
      }
      if (!status.ok()) co_return status;
      last_ = std::move(link);
      ++checkpoints_;
      own_.push_back(record.position());
      std::erase_if(own_, [this](uint64_t position) { return position <= last_->position; });
    }
    if (page->records().empty() || from > page->head_seq()) break;
    api::VerifyStoreEvent progress = event();
    if (!co_await send(std::move(progress))) co_return left();
  }
  check_copy();
  co_return Status();
}

void StoreVerifier::check_witness() {
  if (!witness_) return;
  if (keys_.count(witness_->public_key) == 0) {
    bad("", 0,
        "the witness is signed with the key " + digest::to_hex(witness_->public_key) +
            ", which is neither this daemon's nor one of --key");
  } else if (Status status = check_signature(*witness_); !status.ok()) {
    bad("", 0, "the witness itself was altered: its signature is wrong");
  } else if (!witness_seen_) {
    const uint64_t last = last_ ? last_->number : 0;
    bad("", 0,
        last < witness_->number
            ? "the witness is checkpoint " + std::to_string(witness_->number) +
                  " and this store's last one is " + std::to_string(last) +
                  ": the store was set back to an older state, or its end was cut off"
            : checkpoint_name(witness_->number) + ", the witness', is missing");
  }
}

// Erasures that no checkpoint covers yet: whoever can write in the store can make such a record,
// too.
Task<Status> StoreVerifier::count_erasures() {
  // Nothing is erased, or nothing at all is covered.
  if ((erased_ == 0 && archived_ == 0) || !last_) co_return Status();
  const uint64_t covered = last_->position;
  uint64_t erasures = 0;
  for (uint64_t since = covered; since < up_to_;) {
    pb::HeadsRequest request;
    request.set_since(since);
    request.set_up_to(up_to_);
    auto page = co_await audit_.heads(std::move(request));
    if (page.status().code() == Code::kDataLoss) break;
    if (!page.ok()) co_return page.status();
    const uint64_t to = page->position();
    for (const pb::Head& head : page->heads()) {
      if (!head.only_type().empty() && head.only_type() != kErasureType) continue;
      for (uint64_t seq = head.seq(); seq > 0;) {
        pb::ReadRequest read;
        read.set_stream(head.stream());
        read.set_from_seq(seq);
        read.set_descending(true);
        auto records = co_await journal_.read(std::move(read));
        // What cannot be read was told.
        if (!records.ok() || records->records().empty()) break;
        for (const pb::Record& record : records->records()) {
          const bool covered_already = record.position() <= since;
          seq = covered_already ? 0 : record.seq() - 1;
          if (covered_already) break;
          erasures += record.type() == kErasureType ? 1 : 0;
        }
      }
    }
    if (to <= since) break;
    since = to;
  }
  if (erasures > 0) {
    notes_.push_back(std::to_string(erasures) + (erasures == 1 ? " erasure is" : " erasures are") +
                     " newer than the last checkpoint: until the next one only the store says that "
                     "it was the daemon that erased");
  }
  co_return Status();
}

void StoreVerifier::result(api::VerifyStoreResult& out) const {
  out.set_ok(bad_ == 0);
  out.set_records(records_);
  out.set_erased(erased_);
  out.set_bad(bad_);
  out.set_checkpoints(checkpoints_);
  const uint64_t covered = last_ ? last_->position : 0;
  if (last_) {
    out.set_checkpoint_number(last_->number);
    out.set_checkpoint_position(last_->position);
    out.set_checkpoint_time_ms(last_->time_ms);
  }
  // The records of checkpoints themselves are nothing that somebody waits for.
  const uint64_t newer = up_to_ > covered ? up_to_ - covered : 0;
  out.set_uncovered(newer - std::min<uint64_t>(newer, own_.size()));
  for (const std::string& note : notes_) out.add_notes(note);
}

Task<Status> StoreVerifier::run(Send<api::VerifyStoreEvent> send) {
  Status status = co_await check_records(send);
  if (status.ok() && archived_ > 0) status = co_await check_archive(send);
  if (status.ok()) status = co_await check_checkpoints(send);
  if (!status.ok()) co_return status;
  check_witness();
  status = co_await count_erasures();
  if (!status.ok()) co_return status;
  if (archived_ > 0) {
    notes_.push_back(std::to_string(archived_) + " records are in archived segments");
  }
  for (const std::string& key : keys_) {
    if (checkpoints_ == 0 || keys_seen_.count(key) != 0) continue;
    notes_.push_back("no checkpoint of this store is signed with the key " + digest::to_hex(key));
  }
  if (!witness_) {
    notes_.push_back(
        "without --witness nobody can tell whether the whole store was set back to an older copy "
        "of itself");
  }
  api::VerifyStoreEvent end = event();
  end.clear_cursor();
  result(*end.mutable_result());
  if (!co_await send(std::move(end))) co_return left();
  co_return Status();
}

}  // namespace palyra::gateway::audit
