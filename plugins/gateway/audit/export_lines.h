// The lines of an export, docs/audit-format.md. Pure.
#pragma once

#include "palyra/gateway/v1/audit.pb.h"
#include "palyra/service/v1/journal.pb.h"
#include "palyra/service/v1/journal_upkeep.pb.h"
#include "plugins/gateway/audit/audit.h"
#include "plugins/gateway/audit/signing_key.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>

namespace palyra::gateway::audit {

// One record, with its payload as bytes and, up to 64 KiB, as JSON.
std::string record_line(const std::string& stream, service::v1::Record record);
// What was asked for, as a sentence; it is signed.
std::string selection_words(const api::ExportAuditRequest& request);
// What an export is of; its header and its seal say it.
struct ExportScope {
  int64_t created_ms = 0;
  // For people, as selection_words() has it.
  std::string selection;
  // Every stream with a record behind checkpoint `after` (0 = from the beginning) and up to
  // checkpoint `up_to`; otherwise only some of these streams.
  bool whole_store = false;
  uint64_t after = 0;
  uint64_t up_to = 0;
};
// `key`: the public key, 32 bytes.
std::string header_line(const ExportScope& scope, const std::string& key);
nlohmann::json contents_entry(const std::string& stream, uint64_t first_seq,
                              const std::string& prev_hash, uint64_t last_seq,
                              const std::string& last_hash);
nlohmann::json missing_entry(const std::string& stream, const service::v1::SegmentClosed& segment);
// `list`: an array of such entries.
std::string contents_line(nlohmann::json list);
std::string missing_line(nlohmann::json list);
std::string seal_line(const SigningKey& key, const ExportScope& scope, uint64_t streams,
                      const std::string& contents_digest);

}  // namespace palyra::gateway::audit
