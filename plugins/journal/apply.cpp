#include "plugins/journal/apply.h"

#include "plugins/journal/request_check.h"
#include "plugins/journal/words.h"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <tuple>
#include <utility>

namespace palyra::journal {
namespace {

Status precondition(std::string message) { return {Code::kFailedPrecondition, std::move(message)}; }

Status moved(const std::string& stream) {
  return {Code::kFailedPrecondition, "stream " + stream + " went on meanwhile; try again",
          PALYRA_ERROR_RETRYABLE};
}

}  // namespace

struct Applier::Checked {
  int64_t now = 0;
  // `seq`: as it will be when the appends looked at so far have been made.
  struct Head {
    const std::string* stream;
    StreamHead head;
    uint64_t seq;
  };
  std::vector<Head> heads;
  std::vector<size_t> head_of_append;
  std::vector<LeaseRow> takes;
  std::vector<std::pair<const std::string*, LeaseRow>> releases;
  std::vector<uint64_t> versions;
  // Of all puts, one after the other, and where those of each end.
  std::vector<IndexEntry> entries;
  std::vector<size_t> entries_end;
  // Of text indexes; the entries look at them.
  std::deque<std::string> words;
  // (put, index id, value) to be unique.
  struct Unique {
    int put;
    int64_t index_id;
    const std::string* value;
  };
  std::vector<Unique> unique;

  void begin(int64_t wall_now) {
    now = wall_now;
    heads.clear();
    head_of_append.clear();
    takes.clear();
    releases.clear();
    versions.clear();
    entries.clear();
    entries_end.clear();
    words.clear();
    unique.clear();
  }
  std::span<const IndexEntry> entries_of(size_t put) const {
    const size_t first = put == 0 ? 0 : entries_end[put - 1];
    return std::span(entries).subspan(first, entries_end[put] - first);
  }
};

Applier::Applier(const Clock& clock, Random& random)
    : clock_(clock), random_(random), checked_(std::make_unique<Checked>()) {}

Applier::~Applier() = default;

Salt Applier::next_salt() {
  if (salts_left_ == 0) {
    random_.fill(salts_.data(), sizeof salts_);
    salts_left_ = salts_.size();
  }
  return salts_[--salts_left_];
}

Status Applier::check_leases(Tables& tables, const v1::CommitRequest& request, Checked& checked) {
  for (const v1::Fence& fence : request.fences()) {
    Result<LeaseRow> lease = tables.lease(fence.name());
    if (!lease.ok()) return lease.status();
    if (lease->token != fence.token() || lease->owner.empty()) {
      return precondition("lease " + fence.name() + ": token " + std::to_string(fence.token()) +
                          " is not the current one; somebody else has taken over");
    }
  }
  for (const v1::TakeLease& take : request.takes()) {
    Result<LeaseRow> lease = tables.lease(take.name());
    if (!lease.ok()) return lease.status();
    if (take.token() != 0) {
      if (lease->token != take.token() || lease->owner != take.owner()) {
        return precondition("lease " + take.name() + ": token " + std::to_string(take.token()) +
                            " cannot be renewed; it is not the current one");
      }
    } else {
      const bool live = !lease->owner.empty() && lease->expires_wall_ns > checked.now;
      if (live && lease->owner != take.owner()) {
        return Status(Code::kAborted, "lease " + take.name() + " is held by " + lease->owner,
                      PALYRA_ERROR_RETRYABLE);
      }
      ++lease->token;
    }
    lease->owner = take.owner();
    lease->expires_wall_ns = checked.now + take.ttl_ms() * kNanosPerMilli;
    checked.takes.push_back(std::move(*lease));
  }
  for (const v1::ReleaseLease& release : request.releases()) {
    Result<LeaseRow> lease = tables.lease(release.name());
    if (!lease.ok()) return lease.status();
    if (lease->token != release.token() || lease->token == 0) continue;
    lease->owner.clear();
    lease->expires_wall_ns = 0;
    checked.releases.emplace_back(&release.name(), std::move(*lease));
  }
  return {};
}

Status Applier::check_appends(Tables& tables, const v1::CommitRequest& request, Checked& checked) {
  for (const v1::Append& append : request.appends()) {
    size_t at = 0;
    while (at < checked.heads.size() && *checked.heads[at].stream != append.stream()) ++at;
    if (at == checked.heads.size()) {
      Result<StreamHead> head = tables.head(append.stream());
      if (!head.ok()) return head.status();
      checked.heads.push_back({&append.stream(), *head, head->seq});
    }
    uint64_t& seq = checked.heads[at].seq;
    if (seq == 0 && !append.records().empty() && !refuse_new_.ok()) return refuse_new_;
    if (append.has_expected_seq() && append.expected_seq() != seq) {
      return precondition("stream " + append.stream() + " is at sequence " + std::to_string(seq) +
                          ", not " + std::to_string(append.expected_seq()) + "; read it again");
    }
    seq += static_cast<uint64_t>(append.records_size());
    checked.head_of_append.push_back(at);
  }
  return {};
}

Status Applier::check_documents(Tables& tables, const Catalogue& catalogue,
                                const v1::CommitRequest& request, Checked& checked) {
  const bool says = std::any_of(request.appends().begin(), request.appends().end(),
                                [](const v1::Append& append) { return !append.records().empty(); });
  const auto check_one = [&](const auto& change) -> Result<uint64_t> {
    if (!says && catalogue.find(change.collection()).audited) {
      return precondition("collection " + change.collection() +
                          " is audited: the commit must contain the record that says why");
    }
    Result<uint64_t> version = tables.version(change.collection(), change.key());
    if (version.ok() && change.has_expected_version() && change.expected_version() != *version) {
      return precondition("document " + change.key() + " of " + change.collection() +
                          " is at version " + std::to_string(*version) + ", not " +
                          std::to_string(change.expected_version()));
    }
    return version;
  };
  for (int i = 0; i < request.puts_size(); ++i) {
    const v1::PutDocument& put = request.puts(i);
    const Result<uint64_t> version = check_one(put);
    if (!version.ok()) return version.status();
    checked.versions.push_back(*version + 1);
    std::vector<IndexEntry>& entries = checked.entries;
    const size_t first = entries.size();
    for (const v1::IndexValue& value : put.index_values()) {
      const Index* const index = catalogue.find_index(put.collection(), value.index());
      if (index == nullptr) {
        return precondition("collection " + put.collection() + " declares no index " +
                            value.index());
      }
      if (index->kind == v1::INDEX_KIND_TEXT) {
        for (std::string& word : words_of(value.value())) {
          entries.push_back({index->id, checked.words.emplace_back(std::move(word))});
        }
        continue;
      }
      if (value.value().size() > kMaxIndexValue) {
        return Status(Code::kInvalidArgument,
                      "index " + value.index() + " of " + put.collection() +
                          ": a value takes at most 512 bytes",
                      PALYRA_ERROR_USER_FAULT);
      }
      entries.push_back({index->id, value.value()});
      if (index->kind == v1::INDEX_KIND_UNIQUE) {
        checked.unique.push_back({i, index->id, &value.value()});
      }
    }
    const auto order = [](const IndexEntry& a, const IndexEntry& b) {
      return std::tie(a.index_id, a.value) < std::tie(b.index_id, b.value);
    };
    const auto begin = entries.begin() + static_cast<std::ptrdiff_t>(first);
    std::sort(begin, entries.end(), order);
    entries.erase(std::unique(begin, entries.end(),
                              [](const IndexEntry& a, const IndexEntry& b) {
                                return a.index_id == b.index_id && a.value == b.value;
                              }),
                  entries.end());
    checked.entries_end.push_back(entries.size());
  }
  for (const v1::DeleteDocument& remove : request.deletes()) {
    if (const Result<uint64_t> version = check_one(remove); !version.ok()) return version.status();
  }
  return checked.unique.empty() ? Status() : check_unique(tables, request, checked);
}

Status Applier::check_unique(Tables& tables, const v1::CommitRequest& request,
                             const Checked& checked) {
  for (size_t i = 0; i < checked.unique.size(); ++i) {
    const Checked::Unique& wanted = checked.unique[i];
    const v1::PutDocument& put = request.puts(wanted.put);
    const Status taken(Code::kAlreadyExists, "collection " + put.collection() +
                                                 ": another document than " + put.key() +
                                                 " has this value in a unique index");
    for (size_t k = 0; k < i; ++k) {
      const Checked::Unique& other = checked.unique[k];
      if (other.put != wanted.put && other.index_id == wanted.index_id &&
          *other.value == *wanted.value) {
        return taken;
      }
    }
    const Result<std::optional<std::string>> owner =
        tables.unique_owner(wanted.index_id, *wanted.value);
    if (!owner.ok()) return owner.status();
    if (!owner->has_value() || **owner == put.key()) continue;
    // The owner gives the value up in this commit if it is rewritten (its new values were compared
    // above) or removed.
    const auto is_owner = [&](const auto& change) {
      return change.collection() == put.collection() && change.key() == **owner;
    };
    if (std::none_of(request.puts().begin(), request.puts().end(), is_owner) &&
        std::none_of(request.deletes().begin(), request.deletes().end(), is_owner)) {
      return taken;
    }
  }
  return {};
}

Status Applier::append(Tables& tables, StreamHead& head, const std::string& stream,
                       const std::string& type, std::string_view payload, int64_t wall_time_ns) {
  const Salt salt = next_salt();
  const Hash payload_digest = hasher_.payload_digest(view(salt), payload);
  const Hash prev_hash = head.hash;
  RecordRow row;
  row.stream = stream;
  row.seq = head.seq + 1;
  row.position = position_ + 1;
  row.type = type;
  row.wall_time_ns = wall_time_ns;
  row.payload = payload;
  row.salt = view(salt);
  row.payload_digest = digest::view(payload_digest);
  row.prev_hash = digest::view(prev_hash);
  const Hash hash = hasher_.record_hash({.stream = stream,
                                         .seq = row.seq,
                                         .prev_hash = row.prev_hash,
                                         .type = type,
                                         .wall_time_ns = wall_time_ns,
                                         .payload_digest = row.payload_digest});
  row.hash = digest::view(hash);
  head.seq = row.seq;
  head.hash = hash;
  ++position_;
  return tables.append(head, row);
}

Result<v1::CommitResponse> Applier::commit(Tables& tables, const Catalogue& catalogue,
                                           const v1::CommitRequest& request, bool& wrote) {
  wrote = false;
  Checked& checked = *checked_;
  checked.begin(clock_.wall_now());
  tables.begin();
  Status status = check_leases(tables, request, checked);
  if (status.ok()) status = check_appends(tables, request, checked);
  if (status.ok()) status = check_documents(tables, catalogue, request, checked);
  if (!status.ok()) return status;

  wrote = true;
  v1::CommitResponse response;
  for (int i = 0; i < request.appends_size(); ++i) {
    const v1::Append& append_request = request.appends(i);
    StreamHead& head = checked.heads[checked.head_of_append[static_cast<size_t>(i)]].head;
    v1::Appended* const appended = response.add_appended();
    appended->set_stream(append_request.stream());
    if (!append_request.records().empty()) {
      appended->set_first_seq(head.seq + 1);
      appended->set_first_position(position_ + 1);
    }
    for (const v1::NewRecord& record : append_request.records()) {
      const int64_t time = record.wall_time_ns() != 0 ? record.wall_time_ns() : checked.now;
      status = append(tables, head, append_request.stream(), record.type(), record.payload(), time);
      if (!status.ok()) return status;
    }
    appended->set_last_seq(head.seq);
    appended->set_last_hash(head.hash.data(), head.hash.size());
  }
  for (const v1::DeleteDocument& remove : request.deletes()) {
    if (status = tables.remove(remove.collection(), remove.key()); !status.ok()) return status;
  }
  for (int i = 0; i < request.puts_size(); ++i) {
    const v1::PutDocument& put = request.puts(i);
    const auto at = static_cast<size_t>(i);
    status = tables.put(put.collection(), put.key(), put.value(), checked.versions[at],
                        checked.entries_of(at));
    if (!status.ok()) return status;
    response.add_versions(checked.versions[at]);
  }
  for (int i = 0; i < request.takes_size(); ++i) {
    const LeaseRow& lease = checked.takes[static_cast<size_t>(i)];
    if (status = tables.put_lease(request.takes(i).name(), lease); !status.ok()) return status;
    response.add_lease_tokens(lease.token);
  }
  for (const auto& [name, lease] : checked.releases) {
    if (status = tables.put_lease(*name, lease); !status.ok()) return status;
  }
  response.set_position(position_);
  return response;
}

// A record of the journal itself; the response names one append a stream.
Status Applier::append_own(Tables& tables, StreamHead& head, const std::string& stream,
                           const std::string& type, std::string_view payload,
                           v1::CommitResponse& response) {
  if (response.appended().empty()) {
    v1::Appended* const appended = response.add_appended();
    appended->set_stream(stream);
    appended->set_first_seq(head.seq + 1);
    appended->set_first_position(position_ + 1);
  }
  Status status = append(tables, head, stream, type, payload, clock_.wall_now());
  if (!status.ok()) return status;
  v1::Appended* const appended = response.mutable_appended(0);
  appended->set_last_seq(head.seq);
  appended->set_last_hash(head.hash.data(), head.hash.size());
  response.set_position(position_);
  return {};
}

Result<v1::CommitResponse> Applier::erase(Tables& tables, const EraseRequest& request,
                                          const std::vector<SegmentChange>& changes,
                                          uint64_t expected_seq, bool& wrote) {
  wrote = false;
  Result<StreamHead> head = tables.head(request.stream);
  if (!head.ok()) return head.status();
  if (request.first_seq < 1 || request.last_seq < request.first_seq ||
      request.last_seq > head->seq) {
    return Status(Code::kOutOfRange, "erase: stream " + request.stream + " has records 1 to " +
                                         std::to_string(head->seq) + ", not " +
                                         std::to_string(request.first_seq) + " to " +
                                         std::to_string(request.last_seq));
  }
  if (head->seq != expected_seq) return moved(request.stream);
  wrote = true;
  v1::Erased erased;
  erased.set_first_seq(request.first_seq);
  erased.set_last_seq(request.last_seq);
  erased.set_reason(request.reason);
  erased.set_principal(request.principal);
  v1::CommitResponse response;
  Status status =
      append_own(tables, *head, request.stream, kErasedType, erased.SerializeAsString(), response);
  if (status.ok()) status = tables.erase(request.stream, request.first_seq, request.last_seq);
  for (const SegmentChange& change : changes) {
    if (status.ok()) {
      status = append_own(tables, *head, request.stream, kSegmentClosedType,
                          change.after.closed().SerializeAsString(), response);
    }
    if (status.ok()) status = tables.replace_segment(request.stream, change.after);
    if (status.ok()) status = tables.remove_garbage(change.after.digest);
    if (status.ok()) status = tables.put_garbage(change.before.digest);
  }
  if (!status.ok()) return status;
  return response;
}

Result<v1::CommitResponse> Applier::archive(Tables& tables, const std::string& stream,
                                            const SegmentRow& row, uint64_t expected_seq,
                                            bool& wrote) {
  wrote = false;
  Result<StreamHead> head = tables.head(stream);
  if (!head.ok()) return head.status();
  if (head->seq != expected_seq) return moved(stream);
  wrote = true;
  v1::CommitResponse response;
  Status status = append_own(tables, *head, stream, kSegmentClosedType,
                             row.closed().SerializeAsString(), response);
  if (status.ok()) status = tables.close_segment(stream, row);
  if (status.ok()) status = tables.remove_garbage(row.digest);
  if (!status.ok()) return status;
  return response;
}

}  // namespace palyra::journal
