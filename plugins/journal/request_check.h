// The limits of journal.proto: what every backend refuses before it looks at its data.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "palyra/service/v1/journal_audit.pb.h"
#include "palyra/service/v1/journal_upkeep.pb.h"
#include "palyra/status.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace palyra::journal {

namespace v1 = palyra::service::v1;

constexpr size_t kMaxStreamName = 200;
constexpr size_t kMaxTypeName = 64;
constexpr size_t kMaxPayload = 4u << 20;
constexpr size_t kMaxKey = 256;
constexpr size_t kMaxDocument = 1u << 20;
constexpr size_t kMaxIndexValue = 512;
constexpr size_t kMaxIndexText = 64u << 10;
constexpr size_t kMaxOwner = 128;
constexpr int64_t kMaxLeaseMs = 86'400'000;
constexpr int kMaxRecords = 1000;
constexpr int kMaxDocuments = 1000;
constexpr size_t kMaxCommit = 8u << 20;
constexpr uint32_t kMaxPage = 1000;
constexpr uint64_t kDefaultReadBytes = 2u << 20;
// Of documents, after which a page of a query ends.
constexpr size_t kMaxQueryBytes = 1u << 20;
constexpr uint32_t kMaxVacuumPages = 4096;
// A blob that a record is about to name may be this old: its age is counted anew only now and then.
constexpr int64_t kLeastSweepAgeMs = 2 * 3'600'000;
constexpr int64_t kSweepAgeMs = 24 * 3'600'000;
constexpr size_t kMaxReason = 1024;
constexpr size_t kMaxBlobPart = 1u << 20;
constexpr size_t kMaxWatchRecords = 256;
constexpr size_t kMaxWatchBytes = 1u << 20;
constexpr uint32_t kDefaultHeads = 500;
// Bytes of archived segments that one page of streams looks at.
constexpr uint64_t kMaxLookedAt = 64u << 20;
// Names and hashes of one page of heads: a checkpoint of them is one record of at most 64 KiB.
constexpr size_t kMaxHeadsBytes = 48u << 10;
// One page of verification.
constexpr uint64_t kVerifyPageBytes = 8u << 20;
constexpr uint64_t kVerifyPageRecords = 16'384;
constexpr int kMaxBadRecords = 100;
// The journal's own record type, written by erase() only; its payload is an `Erased` message.
constexpr char kErasedType[] = "erased";
// Types that only the journal writes; their payloads are never erased.
bool is_journals_own(std::string_view type);

// INVALID_ARGUMENT with the field and the limit.
Status check(const v1::CommitRequest& request);
Status check(const v1::ReadRequest& request);
Status check(const v1::GetRequest& request);
Status check(const v1::QueryRequest& request);
Status check(const v1::PutBlobRequest& request);
Status check(const v1::GetBlobRequest& request);
Status check(const v1::DeclareRequest& request);
Status check(const v1::VerifyRequest& request);
Status check(const v1::HeadsRequest& request);
Status check(const v1::ListStreamsRequest& request);
Status check(const v1::ArchiveRequest& request);
Status check(const v1::EraseRecordsRequest& request);
Status check(const v1::MaintainRequest& request);
// How old a blob has to be.
int64_t min_age_ns(const v1::MaintainRequest& request);

}  // namespace palyra::journal
