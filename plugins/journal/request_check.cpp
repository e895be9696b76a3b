#include "plugins/journal/request_check.h"

#include "palyra/world.hpp"
#include "plugins/journal/segment.h"

#include <string>
#include <string_view>
#include <unordered_set>

namespace palyra::journal {
namespace {

Status invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message), PALYRA_ERROR_USER_FAULT};
}

Status check_size(std::string_view what, std::string_view value, size_t low, size_t high) {
  if (value.size() >= low && value.size() <= high) return {};
  return invalid(std::string(what) + " has " + std::to_string(value.size()) + " bytes; it takes " +
                 std::to_string(low) + " to " + std::to_string(high));
}

Status check_type(std::string_view type) {
  if (Status status = check_size("record type", type, 1, kMaxTypeName); !status.ok()) return status;
  for (const char c : type) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.')) {
      return invalid("record type \"" + std::string(type) +
                     "\": only a-z, 0-9, _ and . are allowed");
    }
  }
  if (is_journals_own(type)) {
    return invalid("record type \"" + std::string(type) +
                   "\" is written by the journal itself; choose another name");
  }
  return {};
}

Status check_append(const v1::Append& append) {
  Status status = check_size("stream name", append.stream(), 1, kMaxStreamName);
  if (!status.ok()) return status;
  if (append.records().empty() && !append.has_expected_seq()) {
    return invalid("append to stream " + append.stream() +
                   " has neither records nor an expected sequence to check");
  }
  for (const v1::NewRecord& record : append.records()) {
    if (status = check_type(record.type()); !status.ok()) return status;
    if (status = check_size("record payload", record.payload(), 0, kMaxPayload); !status.ok()) {
      return status;
    }
  }
  return {};
}

Status check_document_name(std::string_view collection, std::string_view key) {
  Status status = check_size("collection name", collection, 1, kMaxStreamName);
  return status.ok() ? check_size("document key", key, 1, kMaxKey) : status;
}

Status check_put(const v1::PutDocument& put) {
  Status status = check_document_name(put.collection(), put.key());
  if (!status.ok()) return status;
  if (status = check_size("document value", put.value(), 0, kMaxDocument); !status.ok()) {
    return status;
  }
  for (const v1::IndexValue& value : put.index_values()) {
    status = check_size("index name", value.index(), 1, kMaxTypeName);
    if (!status.ok()) return status;
    if (status = check_size("index value", value.value(), 0, kMaxIndexText); !status.ok()) {
      return status;
    }
  }
  return {};
}

Status check_lease(std::string_view name) {
  return check_size("lease name", name, 1, kMaxStreamName);
}

Status check_takes(const v1::CommitRequest& request) {
  std::unordered_set<std::string_view> names;
  for (const v1::TakeLease& take : request.takes()) {
    Status status = check_lease(take.name());
    if (!status.ok()) return status;
    if (status = check_size("lease owner", take.owner(), 1, kMaxOwner); !status.ok()) return status;
    if (take.ttl_ms() < 1 || take.ttl_ms() > kMaxLeaseMs) {
      return invalid("lease " + take.name() + ": ttl_ms must be 1 to 86400000");
    }
    if (!names.insert(take.name()).second) {
      return invalid("lease " + take.name() + " is taken twice in one commit");
    }
  }
  for (const v1::ReleaseLease& release : request.releases()) {
    if (Status status = check_lease(release.name()); !status.ok()) return status;
    if (!names.insert(release.name()).second) {
      return invalid("lease " + release.name() + " is released twice, or taken, in one commit");
    }
  }
  return {};
}

// A document is named once, so that the order of puts and deletes cannot matter.
Status check_documents(const v1::CommitRequest& request) {
  if (request.puts_size() + request.deletes_size() > kMaxDocuments) {
    return invalid("a commit takes at most 1000 documents");
  }
  std::unordered_set<std::string> names;
  const auto once = [&](const std::string& collection, const std::string& key) -> Status {
    if (request.puts_size() + request.deletes_size() < 2) return {};
    if (names.insert(std::to_string(collection.size()) + "/" + collection + key).second) return {};
    return invalid("document " + key + " of " + collection + " is named twice in one commit");
  };
  for (const v1::PutDocument& put : request.puts()) {
    Status status = check_put(put);
    if (status.ok()) status = once(put.collection(), put.key());
    if (!status.ok()) return status;
  }
  for (const v1::DeleteDocument& remove : request.deletes()) {
    Status status = check_document_name(remove.collection(), remove.key());
    if (status.ok()) status = once(remove.collection(), remove.key());
    if (!status.ok()) return status;
  }
  return {};
}

}  // namespace

bool is_journals_own(std::string_view type) {
  return type == kErasedType || type == kSegmentClosedType;
}

Status check(const v1::CommitRequest& request) {
  if (request.appends_size() > kMaxRecords) return invalid("a commit takes at most 1000 appends");
  int records = 0;
  size_t bytes = 0;
  for (const v1::Append& append : request.appends()) {
    if (Status status = check_append(append); !status.ok()) return status;
    records += append.records_size();
    for (const v1::NewRecord& record : append.records()) bytes += record.payload().size();
  }
  if (records > kMaxRecords) return invalid("a commit takes at most 1000 records");
  if (Status status = check_documents(request); !status.ok()) return status;
  for (const v1::PutDocument& put : request.puts()) {
    bytes += put.value().size();
    for (const v1::IndexValue& value : put.index_values()) bytes += value.value().size();
  }
  if (bytes > kMaxCommit) return invalid("a commit takes at most 8 MiB");
  for (const v1::Fence& fence : request.fences()) {
    if (Status status = check_lease(fence.name()); !status.ok()) return status;
  }
  if (request.takes().empty() && request.releases().empty()) return {};
  return check_takes(request);
}

Status check(const v1::ReadRequest& request) {
  if (request.limit() > kMaxPage) return invalid("read: limit must be at most 1000");
  return check_size("stream name", request.stream(), 1, kMaxStreamName);
}

Status check(const v1::GetRequest& request) {
  return check_document_name(request.collection(), request.key());
}

Status check(const v1::QueryRequest& request) {
  if (request.limit() > kMaxPage) return invalid("query: limit must be at most 1000");
  return check_size("collection name", request.collection(), 1, kMaxStreamName);
}

Status check(const v1::PutBlobRequest& request) {
  Status status = check_size("blob digest", request.digest(), 32, 32);
  return status.ok() ? check_size("blob part", request.data(), 0, kMaxBlobPart) : status;
}

Status check(const v1::GetBlobRequest& request) {
  if (request.limit() > kMaxBlobPart) return invalid("get blob: limit must be at most 1 MiB");
  return check_size("blob digest", request.digest(), 32, 32);
}

Status check(const v1::DeclareRequest& request) {
  Status status = check_size("collection name", request.collection(), 1, kMaxStreamName);
  if (!status.ok()) return status;
  std::unordered_set<std::string_view> names;
  for (const v1::IndexDeclaration& index : request.indexes()) {
    status = check_size("index name", index.name(), 1, kMaxTypeName);
    if (!status.ok()) return status;
    if (!names.insert(index.name()).second) {
      return invalid("index " + index.name() + " is declared twice");
    }
    if (index.kind() < v1::INDEX_KIND_ORDERED || index.kind() > v1::INDEX_KIND_TEXT) {
      return invalid("index " + index.name() + ": kind must be ordered, unique or text");
    }
  }
  return {};
}

Status check(const v1::VerifyRequest& request) {
  return check_size("stream name", request.stream(), 1, kMaxStreamName);
}

Status check(const v1::HeadsRequest& request) {
  if (request.limit() > kMaxPage) return invalid("heads: limit must be at most 1000");
  if (request.at_size() > static_cast<int>(kMaxPage)) {
    return invalid("heads: at most 1000 records are looked up at once");
  }
  return {};
}

Status check(const v1::ArchiveRequest& request) {
  return check_size("stream name", request.stream(), 1, kMaxStreamName);
}

Status check(const v1::EraseRecordsRequest& request) {
  Status status = check_size("stream name", request.stream(), 1, kMaxStreamName);
  if (status.ok()) status = check_size("reason", request.reason(), 0, kMaxReason);
  return status.ok() ? check_size("principal", request.principal(), 0, kMaxReason) : status;
}

Status check(const v1::MaintainRequest& request) {
  if (request.vacuum_pages() > kMaxVacuumPages) {
    return invalid("maintain: vacuum_pages is at most 4096");
  }
  if (request.min_age_ms() != 0 && request.min_age_ms() < kLeastSweepAgeMs) {
    return invalid("maintain: min_age_ms is at least 7200000");
  }
  return {};
}

Status check(const v1::ListStreamsRequest& request) {
  if (request.limit() > kMaxPage) return invalid("list streams: limit must be at most 1000");
  return {};
}

int64_t min_age_ns(const v1::MaintainRequest& request) {
  return (request.min_age_ms() == 0 ? kSweepAgeMs : request.min_age_ms()) * kNanosPerMilli;
}

}  // namespace palyra::journal
