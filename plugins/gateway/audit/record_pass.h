// One pass over every record of the store, on more than one of the journal's readers.
#pragma once

#include "palyra/service/v1/journal_audit.pb.h"
#include "palyra/status.hpp"
#include "palyra/task.hpp"
#include "palyra/world.hpp"
#include "plugins/gateway/ports/journal_audit.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

namespace palyra::gateway::audit {

// The positions are cut into slices and a few of them are under way at a time; pages are handed out
// in the order of positions. Memory: the answers, without records, of the slices under way. On the
// gateway's lane; one next() at a time.
class RecordPass {
 public:
  struct Options {
    // One more than the journal has readers by default, so that none waits for this lane.
    size_t at_once = 3;
    uint64_t slice_positions = 8'192;
    // As few positions as are told to be unreadable together.
    uint64_t grain = 16;
  };
  struct Page {
    service::v1::VerifyStoreResponse sums;
    uint64_t first_position = 0;
    uint64_t last_position = 0;
    // DATA_LOSS: nothing is known of these positions.
    Status unread = {};
  };

  // Both ends included.
  RecordPass(Executor& executor, JournalAudit& audit, uint64_t from, uint64_t up_to)
      : RecordPass(executor, audit, from, up_to, {}) {}
  RecordPass(Executor& executor, JournalAudit& audit, uint64_t from, uint64_t up_to,
             Options options);

  // None at the end. Errors are the journal's, apart from DATA_LOSS.
  Task<Result<std::optional<Page>>> next();

 private:
  struct Slice {
    uint64_t next = 0;
    uint64_t last = 0;
    std::deque<Page> pages;
    Status status;
    bool done = false;
  };

  void begin_slices();
  Task<void> read(std::shared_ptr<Slice> slice);

  Executor& executor_;
  JournalAudit& audit_;
  const Options options_;
  uint64_t from_;  // of the next slice
  const uint64_t up_to_;
  std::deque<std::shared_ptr<Slice>> slices_;  // under way or not handed out yet, in order
  std::optional<Slot<bool>> waiting_;
  TaskScope tasks_;
};

}  // namespace palyra::gateway::audit
