#include "plugins/journal/record_hash.h"

#include <cstring>

namespace palyra::journal {
namespace {

// Room for all was made before.
template <typename Integer>
char* put_big_endian(char* at, Integer value) {
  for (size_t i = sizeof(Integer); i-- > 0; value >>= 8) at[i] = static_cast<char>(value);
  return at + sizeof(Integer);
}

char* put_field(char* at, std::string_view field) {
  at = put_big_endian(at, static_cast<uint32_t>(field.size()));
  if (!field.empty()) std::memcpy(at, field.data(), field.size());
  return at + field.size();
}

char* put_field(char* at, uint64_t number) {
  return put_big_endian(put_big_endian(at, uint32_t{8}), number);
}

}  // namespace

Hash RecordHasher::payload_digest(std::string_view salt, std::string_view payload) {
  return sha256_.update(salt).update(payload).finish_value();
}

Hash RecordHasher::record_hash(const RecordFields& fields) {
  // Seven lengths and two numbers beside the texts.
  const size_t size = kRecordDomain.size() + fields.stream.size() + fields.prev_hash.size() +
                      fields.type.size() + fields.payload_digest.size() + 7 * sizeof(uint32_t) +
                      2 * sizeof(uint64_t);
  if (scratch_.size() < size) scratch_.resize(size);
  char* at = scratch_.data();
  at = put_field(at, kRecordDomain);
  at = put_field(at, fields.stream);
  at = put_field(at, fields.seq);
  at = put_field(at, fields.prev_hash);
  at = put_field(at, fields.type);
  at = put_field(at, static_cast<uint64_t>(fields.wall_time_ns));
  put_field(at, fields.payload_digest);
  return sha256_.update({scratch_.data(), size}).finish_value();
}

}  // namespace palyra::journal
