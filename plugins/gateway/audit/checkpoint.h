// Checkpoints as values: the bytes that are signed, and the line of JSON in which one leaves the
// store. A file format, docs/audit-format.md: it never changes, a new one gets a new domain string.
#pragma once

#include "palyra/status.hpp"
#include "palyra/tape/v1/session.pb.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace palyra::gateway::audit {

namespace tape = palyra::tape::v1;

inline constexpr std::string_view kCheckpointDomain = "palyra.checkpoint.1";
inline constexpr std::string_view kExportDomain = "palyra.export.2";
inline constexpr char kCheckpointType[] = "checkpoint";
inline constexpr char kAuditStream[] = "audit";

// Length-prefixed fields as docs/audit-format.md joins them.
void put_field(std::string& out, std::string_view bytes);
void put_field(std::string& out, uint64_t number);

// A checkpoint without the heads that it names, which `heads_digest` stands for. Bytes, not hex.
struct Link {
  uint64_t number = 0;
  std::string previous;  // 32
  uint64_t position = 0;
  int64_t time_ms = 0;
  uint64_t streams = 0;
  std::string heads_digest;  // 32
  std::string public_key;    // 32
  std::string signature;     // 64
};

std::string heads_digest(const tape::Checkpoint& checkpoint);
Link link_of(const tape::Checkpoint& checkpoint);
std::string signed_bytes(const Link& link);
// SHA-256 of the signed bytes: what the next checkpoint calls `previous`.
std::string hash_of(const Link& link);
// OK if the signature is right for `public_key`.
Status check_signature(const Link& link);

// One line of JSON without a newline; with the heads if `checkpoint` is given.
std::string to_line(const Link& link, const tape::Checkpoint* checkpoint = nullptr);
// INVALID_ARGUMENT for anything else; the signature is not checked.
Result<Link> parse_line(std::string_view line);

}  // namespace palyra::gateway::audit
