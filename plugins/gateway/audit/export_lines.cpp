#include "plugins/gateway/audit/export_lines.h"

#include "palyra/gateway/v1/gateway.pb.h"
#include "palyra/tape/v1/run.pb.h"
#include "plugins/common/digest/digest.h"
#include "plugins/gateway/audit/checkpointer.h"
#include "plugins/gateway/delivery/tape_entry.h"

#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

#include <utility>

namespace palyra::gateway::audit {
namespace {

namespace pb = palyra::service::v1;
using Json = nlohmann::json;

// Payloads above this are exported as bytes only.
constexpr size_t kMaxReadable = 64 << 10;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <typename Message>
std::string readable(const std::string& payload) {
  Message message;
  std::string json;
  if (message.ParseFromString(payload)) {
    (void)google::protobuf::util::MessageToJsonString(message, &json);
  }
  return json;
}

}  // namespace

std::string record_line(const std::string& stream, pb::Record record) {
  api::TapeEntry entry = tape_entry(stream, record);
  if (!record.erased()) {
    if (record.payload().size() <= kMaxReadable) {
      if (stream.rfind("run/", 0) == 0) {
        entry.set_payload_json(readable<tape::RunEvent>(record.payload()));
      } else if (stream.rfind("session/", 0) == 0) {
        entry.set_payload_json(readable<tape::SessionEvent>(record.payload()));
      } else if (stream == kAuditStream) {
        entry.set_payload_json(readable<tape::AuditEvent>(record.payload()));
      }
    }
    entry.set_payload(std::move(*record.mutable_payload()));
  }
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(entry, &json);
  return json;
}

std::string selection_words(const api::ExportAuditRequest& request) {
  std::string words = "the whole store";
  if (!request.session_id().empty()) {
    words = "session " + request.session_id() + " and its runs";
  } else if (!request.principal().empty()) {
    words = "the sessions of " + request.principal() + " and their runs";
  } else if (!request.run_id().empty()) {
    words = "run " + request.run_id();
  }
  if (request.since_ms() != 0) {
    words += "; of each stream, only what came behind the last checkpoint before " +
             std::to_string(request.since_ms()) + " ms";
  }
  if (request.until_ms() != 0) {
    words += "; nothing behind the first checkpoint from " + std::to_string(request.until_ms()) +
             " ms on, except of streams that lack something and say why behind it";
  }
  return words;
}

std::string header_line(const ExportScope& scope, const std::string& key) {
  return dump({{"palyraExport", 2},
               {"createdMs", std::to_string(scope.created_ms)},
               {"publicKey", digest::to_hex(key)},
               {"selection", scope.selection},
               {"wholeStore", scope.whole_store},
               {"afterCheckpoint", std::to_string(scope.after)},
               {"upToCheckpoint", std::to_string(scope.up_to)}});
}

Json contents_entry(const std::string& stream, uint64_t first_seq, const std::string& prev_hash,
                    uint64_t last_seq, const std::string& last_hash) {
  return {{"stream", stream},
          {"firstSeq", std::to_string(first_seq)},
          {"prevHash", digest::to_hex(prev_hash)},
          {"lastSeq", std::to_string(last_seq)},
          {"lastHash", digest::to_hex(last_hash)}};
}

Json missing_entry(const std::string& stream, const pb::SegmentClosed& segment) {
  return {{"stream", stream},
          {"firstSeq", std::to_string(segment.first_seq())},
          {"lastSeq", std::to_string(segment.last_seq())},
          {"prevHash", digest::to_hex(segment.prev_hash())},
          {"lastHash", digest::to_hex(segment.last_hash())},
          {"archiveDigest", digest::to_hex(segment.archive_digest())}};
}

std::string missing_line(Json list) { return dump({{"missing", std::move(list)}}); }

std::string contents_line(Json list) { return dump({{"contents", std::move(list)}}); }

std::string seal_line(const SigningKey& key, const ExportScope& scope, uint64_t streams,
                      const std::string& contents_digest) {
  std::string statement;
  put_field(statement, kExportDomain);
  put_field(statement, static_cast<uint64_t>(scope.created_ms));
  put_field(statement, scope.selection);
  put_field(statement, uint64_t{scope.whole_store});
  put_field(statement, scope.after);
  put_field(statement, scope.up_to);
  put_field(statement, streams);
  put_field(statement, contents_digest);
  put_field(statement, key.public_key());
  const Json seal = {{"streams", std::to_string(streams)},
                     {"contentsDigest", digest::to_hex(contents_digest)},
                     {"signature", digest::to_hex(key.sign(statement))}};
  return dump({{"seal", seal}});
}

}  // namespace palyra::gateway::audit
