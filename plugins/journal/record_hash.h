// The hash chain of docs/audit-format.md. This is a file format: it never changes, a new one gets a
// new domain string.
#pragma once

#include "plugins/common/digest/digest.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace palyra::journal {

using Hash = digest::Sha256Value;
using Salt = std::array<uint8_t, 16>;

constexpr std::string_view kRecordDomain = "palyra.record.1";
// Before the first record of a stream.
constexpr Hash kNoHash{};

inline std::string_view view(const Salt& salt) {
  return {reinterpret_cast<const char*>(salt.data()), salt.size()};
}

struct RecordFields {
  std::string_view stream;
  uint64_t seq = 0;
  std::string_view prev_hash;
  std::string_view type;
  int64_t wall_time_ns = 0;
  std::string_view payload_digest;
};

// Keeps a digest context and a scratch buffer; one for each thread that hashes.
class RecordHasher {
 public:
  // SHA-256(salt, payload).
  Hash payload_digest(std::string_view salt, std::string_view payload);
  // SHA-256 over (domain, stream, seq, prev_hash, type, wall time, payload_digest), each as a
  // big-endian 32-bit length and its bytes; integers are 8 bytes, big-endian.
  Hash record_hash(const RecordFields& fields);

 private:
  digest::Sha256 sha256_;
  std::string scratch_;
};

}  // namespace palyra::journal
