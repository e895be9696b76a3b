// Watches of a store: keeps where each one is, reads on when there are credits and news.
#pragma once

#include "plugins/journal/store.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace palyra::journal {

struct WatchPage {
  v1::WatchItem item;
  // The first position that was not looked at.
  uint64_t next = 0;
};

// A record is in an item only after advanced() has said that its position is visible, and items of
// one watch come in position order without gap. Any thread may call anything; callbacks run without
// locks held, on the thread that completes the scan (or calls cancel or close).
class WatchHub {
 public:
  // Reads records from `from` on whose stream begins with `prefix`, in position order. Must not
  // complete inside the call. At most kMaxWatchRecords, about kMaxWatchBytes.
  using Scan = std::function<void(uint64_t from, const std::string& prefix, Done<WatchPage> done)>;

  WatchHub(Scan scan, uint64_t position);
  ~WatchHub();

  std::shared_ptr<Watch> add(v1::WatchRequest request, WatchCallbacks callbacks);
  // Everything up to this position is visible now.
  void advanced(uint64_t position);
  // Ends all watches; `done` gets `status`.
  void close(const Status& status);
  // Forgets all watches; nothing is called any more.
  void drop();

 private:
  struct Shared;
  class Entry;
  std::shared_ptr<Shared> shared_;
};

}  // namespace palyra::journal
