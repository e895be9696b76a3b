// Cursor: one client's place in one run.
#pragma once

#include "plugins/gateway/delivery/hub.h"
#include "plugins/gateway/gateway.h"

#include <deque>
#include <memory>
#include <optional>

namespace palyra::gateway {

// Where a client is. Everything before `next_seq` was given to it, and of the text of
// (turn, attempt) the first `offset` bytes.
struct Place {
  uint64_t next_seq = 1;
  uint32_t turn = 0;
  uint32_t attempt = 0;
  uint64_t offset = 0;
  uint64_t reasoning_offset = 0;
};

// A subscription over a hub and the journal: first the tape, from the hub if it is still there,
// else read in pages; then the text in flight; then it waits. Merges deltas that the client was too
// slow for. Costs one page at most (64 records, 256 KiB) whatever the client does. Ends after the
// terminal record, and when the hub ends.
std::unique_ptr<Subscription> make_cursor(Journal& journal, std::shared_ptr<RunHub> hub,
                                          Place place);

}  // namespace palyra::gateway
