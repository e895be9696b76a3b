#include "plugins/journal/record_hash.h"

namespace palyra::journal {
namespace {

template <typename Integer>
void put_big_endian(std::string& out, Integer value) {
  char bytes[sizeof(Integer)];
  for (size_t i = sizeof(Integer); i-- > 0; value >>= 8) bytes[i] = static_cast<char>(value);
  out.append(bytes, sizeof(bytes));
}

void put_field(std::string& out, std::string_view field) {
  put_big_endian(out, static_cast<uint32_t>(field.size()));
  out.append(field);
}

void put_field(std::string& out, uint64_t number) {
  put_big_endian(out, uint32_t{8});
  put_big_endian(out, number);
}

}  // namespace

Hash RecordHasher::payload_digest(std::string_view salt, std::string_view payload) {
  return sha256_.update(salt).update(payload).finish_value();
}

Hash RecordHasher::record_hash(const RecordFields& fields) {
  scratch_.clear();
  put_field(scratch_, kRecordDomain);
  put_field(scratch_, fields.stream);
  put_field(scratch_, fields.seq);
  put_field(scratch_, fields.prev_hash);
  put_field(scratch_, fields.type);
  put_field(scratch_, static_cast<uint64_t>(fields.wall_time_ns));
  put_field(scratch_, fields.payload_digest);
  return sha256_.update(scratch_).finish_value();
}

}  // namespace palyra::journal
