// Which runs have which words in their messages and answers.
#pragma once

#include "plugins/gateway/ports/journal_audit.h"
#include "plugins/gateway/session/documents.h"
#include "plugins/gateway/session/mutex.h"

#include <optional>
#include <string>
#include <vector>

namespace palyra::gateway {

// Derived data: documents of collection "said", by run id, that hold index entries only, and the
// journal's position up to which tapes are covered. No run writes here; it catches up when somebody
// searches and finds it behind. Whatever is changed on a run's tape later (erased, archived) is
// behind that position and looked at again. On the gateway's lane, and outlived by its tasks' end.
class SearchIndex {
 public:
  // Both outlive this.
  SearchIndex(World& world, JournalAudit& heads);

  // Runs whose tapes grew since; nothing if they are too many for one search.
  Task<Result<std::optional<std::vector<std::string>>>> uncovered();
  // Until all is covered or something fails, with rests in between. One at a time.
  Task<void> catch_up();
  // Nobody reads documents of runs to index them meanwhile.
  Task<Mutex::Guard> lock() { return mutex_.lock(); }

 private:
  Task<Result<uint64_t>> covered();
  // False once all is covered.
  Task<Result<bool>> cover_more();

  World& world_;
  JournalAudit& heads_;
  Mutex mutex_;
  std::optional<uint64_t> covered_;
  bool catching_up_ = false;
};

// What of a run is searched: the first 200 bytes of its message, and its answer.
std::string said_in(const api::Run& run);
// Takes a run out of the index.
void forget_said(service::CommitRequest& commit, const std::string& run_id);

}  // namespace palyra::gateway
