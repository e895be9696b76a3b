#include "plugins/gateway/delivery/tape_entry.h"

#include "plugins/common/digest/digest.h"

namespace palyra::gateway {

palyra::gateway::v1::TapeEntry tape_entry(const std::string& stream,
                                          const palyra::service::v1::Record& record) {
  palyra::gateway::v1::TapeEntry entry;
  entry.set_stream(stream);
  entry.set_seq(record.seq());
  entry.set_type(record.type());
  entry.set_time_ns(record.wall_time_ns());
  entry.set_position(record.position());
  entry.set_hash(digest::to_hex(record.hash()));
  entry.set_prev_hash(digest::to_hex(record.prev_hash()));
  entry.set_payload_digest(digest::to_hex(record.payload_digest()));
  entry.set_salt(digest::to_hex(record.salt()));
  entry.set_erased(record.erased());
  return entry;
}

}  // namespace palyra::gateway
