#include "plugins/gateway/audit/checkpointer.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway::audit {
namespace {

namespace pb = palyra::service::v1;

// Empty if the checkpoint may be gone on from, in a store that reaches to `position`; otherwise why
// not.
std::string flaw_of(const Link& link, uint64_t position) {
  if (Status status = check_signature(link); !status.ok()) return status.message();
  if (link.position <= position) return "";
  return "checkpoint " + std::to_string(link.number) + " covers " + std::to_string(link.position) +
         " positions, and the store has " + std::to_string(position);
}

bool only_checkpoints(const pb::HeadsResponse& heads) {
  return std::all_of(heads.heads().begin(), heads.heads().end(), [](const pb::Head& head) {
    return head.stream() == kAuditStream && head.only_type() == kCheckpointType;
  });
}

}  // namespace

Checkpointer::Checkpointer(const Clock& clock, Executor& executor, Journal& journal,
                           JournalAudit& audit, SigningKey key, Options options)
    : clock_(clock),
      executor_(executor),
      journal_(journal),
      audit_(audit),
      key_(std::move(key)),
      options_(options),
      mutex_(executor) {}

Checkpointer::~Checkpointer() { disarm(); }

void Checkpointer::arm(int64_t at_ns) {
  if (timer_ != 0 && timer_at_ <= at_ns) return;
  disarm();
  timer_at_ = at_ns;
  timer_ = executor_.post_at(at_ns, [this] {
    timer_ = 0;
    tasks_.spawn(due());
  });
}

void Checkpointer::disarm() {
  if (timer_ != 0) executor_.cancel(std::exchange(timer_, 0));
}

void Checkpointer::committed(const pb::CommitResponse& response) {
  const auto landed = [](const pb::Appended& appended) { return appended.first_seq() != 0; };
  if (std::none_of(response.appended().begin(), response.appended().end(), landed)) return;
  if (changed_.size() < options_.streams) {
    for (const pb::Appended& appended : response.appended()) {
      if (landed(appended)) changed_.insert(std::hash<std::string>()(appended.stream()));
    }
  }
  const int64_t now = clock_.mono_now();
  if (changed_.size() >= options_.streams) {
    arm(std::max(now, made_at_ + options_.apart_ns));
  } else if (timer_ == 0) {
    arm(now + options_.every_ns);
  }
}

Task<void> Checkpointer::due() {
  const auto made = co_await cover();
  if (!made.ok() && tell_) tell_(made.status());
}

Task<Status> Checkpointer::start() {
  const Mutex::Guard guard = co_await mutex_.lock();
  loaded_ = false;
  if (Status status = co_await load(); !status.ok()) co_return status;
  const auto info = co_await journal_.info();
  if (!info.ok()) co_return info.status();
  const uint64_t covered = last_ ? last_->position : 0;
  if (info->position() > covered) arm(clock_.mono_now() + options_.every_ns);
  co_return Status();
}

void Checkpointer::found_tampered(std::string sentence) {
  if (!tampered_.empty()) return;
  tampered_ = std::move(sentence);
  if (tell_tampered_) tell_tampered_(tampered_);
}

Task<Status> Checkpointer::load() {
  if (loaded_) co_return Status();
  pb::GetRequest request;
  request.set_collection(kCollection);
  request.set_key(kKey);
  auto found = co_await journal_.get(std::move(request));
  if (!found.ok()) co_return found.status();
  const auto info = co_await journal_.info();
  if (!info.ok()) co_return info.status();
  version_ = found->has_document() ? found->document().version() : 0;
  const std::string copy = "the store's copy of the last checkpoint was altered: ";
  std::optional<Link> document;
  // A store whose document is gone goes on with the stream's.
  if (found->has_document()) {
    const auto link = parse_line(found->document().value());
    const std::string flaw =
        link.ok() ? flaw_of(*link, info->position()) : std::string("it is no checkpoint any more");
    if (flaw.empty()) {
      document = *link;
    } else {
      found_tampered(copy + flaw);
    }
  }
  auto last = co_await find_last(info->position());
  if (last.ok()) {
    last_ = std::move(*last);
    // What the stream lost is told for ever by the gap that it leaves.
    const bool lost = document && document->public_key == key_.public_key() &&
                      (!last_ || last_->number < document->number);
    if (lost) {
      found_tampered("checkpoint " + std::to_string(document->number) +
                     " is gone from the stream audit");
      last_ = std::move(document);
    } else if (document && (!last_ || hash_of(*document) != hash_of(*last_))) {
      found_tampered(copy + "it is checkpoint " + std::to_string(document->number) +
                     ", and not the one that the stream audit has last");
    }
  } else if (document && last.status().code() == Code::kDataLoss) {
    found_tampered("the stream audit cannot be read: " + last.status().message());
    last_ = std::move(document);
  } else {
    co_return last.status();
  }
  loaded_ = true;
  co_return Status();
}

// Backward through the stream.
Task<Result<std::optional<Link>>> Checkpointer::find_last(uint64_t position) {
  uint64_t from = 0;
  for (;;) {
    pb::ReadRequest read;
    read.set_stream(kAuditStream);
    read.set_from_seq(from);
    read.set_descending(true);
    read.set_limit(16);
    auto page = co_await journal_.read(std::move(read));
    if (!page.ok()) co_return page.status();
    for (const pb::Record& record : page->records()) {
      from = record.seq() - 1;
      if (record.type() != kCheckpointType) continue;
      tape::AuditEvent event;
      const bool readable =
          !record.erased() && event.ParseFromString(record.payload()) && event.has_checkpoint();
      Link link = link_of(event.checkpoint());
      const std::string flaw =
          readable ? flaw_of(link, position) : std::string("it cannot be read");
      if (flaw.empty()) co_return std::optional<Link>(std::move(link));
      found_tampered("the checkpoint in record " + std::to_string(record.seq()) +
                     " of the stream audit was altered: " + flaw);
    }
    if (page->records().empty() || from == 0) co_return std::optional<Link>();
  }
}

// Commits the next checkpoint; the global position after it.
Task<Result<uint64_t>> Checkpointer::add(pb::HeadsResponse heads) {
  tape::AuditEvent event;
  tape::Checkpoint& checkpoint = *event.mutable_checkpoint();
  checkpoint.set_number(last_ ? last_->number + 1 : 1);
  checkpoint.set_previous(last_ ? hash_of(*last_) : std::string(32, '\0'));
  checkpoint.set_position(heads.position());
  checkpoint.set_time_ms(clock_.wall_now() / kNanosPerMilli);
  checkpoint.set_public_key(key_.public_key());
  for (pb::Head& head : *heads.mutable_heads()) {
    tape::StreamHead& named = *checkpoint.add_heads();
    named.set_stream(std::move(*head.mutable_stream()));
    named.set_seq(head.seq());
    named.set_hash(std::move(*head.mutable_hash()));
  }
  checkpoint.set_signature(key_.sign(signed_bytes(link_of(checkpoint))));
  Link link = link_of(checkpoint);

  pb::CommitRequest commit;
  pb::Append& append = *commit.add_appends();
  append.set_stream(kAuditStream);
  pb::NewRecord& record = *append.add_records();
  record.set_type(kCheckpointType);
  record.set_payload(event.SerializeAsString());
  record.set_wall_time_ns(clock_.wall_now());
  pb::PutDocument& put = *commit.add_puts();
  put.set_collection(kCollection);
  put.set_key(kKey);
  put.set_value(to_line(link));
  put.set_expected_version(version_);
  auto committed = co_await journal_.commit(std::move(commit));
  if (!committed.ok()) {
    // Whether it happened is read again.
    loaded_ = false;
    co_return committed.status();
  }
  last_ = std::move(link);
  version_ = committed->versions_size() > 0 ? committed->versions(0) : version_ + 1;
  made_at_ = clock_.mono_now();
  co_return committed->position();
}

Task<Result<std::optional<Link>>> Checkpointer::cover() {
  const Mutex::Guard guard = co_await mutex_.lock();
  disarm();
  changed_.clear();
  Status status = co_await cover_now();
  if (!status.ok()) {
    arm(clock_.mono_now() + options_.every_ns);
    co_return status;
  }
  co_return last_;
}

Task<Status> Checkpointer::cover_now() {
  if (Status status = co_await load(); !status.ok()) co_return status;
  uint64_t up_to = 0;
  uint64_t made = 0;
  uint64_t position = 0;
  for (;;) {
    pb::HeadsRequest request;
    request.set_since(last_ ? last_->position : 0);
    request.set_up_to(up_to);
    auto heads = co_await audit_.heads(std::move(request));
    if (!heads.ok()) co_return heads.status();
    up_to = heads->up_to();
    const bool whole = heads->position() >= up_to;
    if (heads->heads().empty() || (whole && only_checkpoints(*heads))) break;
    const auto added = co_await add(std::move(*heads));
    if (!added.ok()) co_return added.status();
    ++made;
    position = *added;
    if (whole) break;
  }
  // Nothing but these checkpoints was written meanwhile: there is nothing to wait for.
  if (made > 0 && position == up_to + made) {
    disarm();
    changed_.clear();
  }
  co_return Status();
}

}  // namespace palyra::gateway::audit
