#include "plugins/journal/watch_hub.h"

#include <algorithm>
#include <utility>

namespace palyra::journal {

struct WatchHub::Shared {
  Scan scan;
  std::atomic<uint64_t> visible{0};
  std::atomic<size_t> count{0};
  std::mutex mutex;
  std::vector<std::shared_ptr<Entry>> entries;

  void forget(const Entry* entry);
  std::vector<std::shared_ptr<Entry>> all(bool take);
};

class WatchHub::Entry : public Watch, public std::enable_shared_from_this<Entry> {
 public:
  Entry(std::shared_ptr<Shared> shared, v1::WatchRequest request, WatchCallbacks callbacks)
      : shared_(std::move(shared)),
        prefix_(std::move(*request.mutable_stream_prefix())),
        callbacks_(std::move(callbacks)),
        next_(std::max<uint64_t>(request.from_position(), 1)) {}

  void grant(uint32_t credits) override {
    {
      const std::lock_guard lock(mutex_);
      credits_ += credits;
    }
    pump();
  }

  void cancel() override { end(Status(Code::kCancelled, "the watch was cancelled")); }

  void end(Status status) {
    {
      const std::lock_guard lock(mutex_);
      if (ended_) return;
      ended_ = true;
      end_status_ = std::move(status);
      if (busy_) return;
    }
    finish();
  }

  void drop() {
    const std::lock_guard lock(mutex_);
    ended_ = dropped_ = true;
  }

  void pump() {
    uint64_t from = 0;
    {
      const std::lock_guard lock(mutex_);
      if (ended_ || busy_ || credits_ == 0 || next_ > shared_->visible.load()) return;
      busy_ = true;
      from = next_;
    }
    shared_->scan(from, prefix_,
                  [self = shared_from_this()](Result<WatchPage> page) { self->arrived(page); });
  }

 private:
  void arrived(Result<WatchPage>& page) {
    bool deliver = false;
    bool over = false;
    {
      const std::lock_guard lock(mutex_);
      if (!ended_ && !page.ok()) {
        ended_ = true;
        end_status_ = page.status();
      }
      if (!ended_) {
        next_ = std::max(next_, page->next);
        deliver = !page->item.records().empty();
        if (deliver) --credits_;
      }
    }
    if (deliver) callbacks_.item(std::move(page->item));
    {
      const std::lock_guard lock(mutex_);
      busy_ = false;
      over = ended_;
    }
    if (over) {
      finish();
    } else {
      pump();
    }
  }

  void finish() {
    shared_->forget(this);
    Status status;
    {
      const std::lock_guard lock(mutex_);
      if (dropped_) return;
      dropped_ = true;
      status = end_status_;
    }
    callbacks_.done(std::move(status));
  }

  const std::shared_ptr<Shared> shared_;
  const std::string prefix_;
  const WatchCallbacks callbacks_;
  std::mutex mutex_;
  uint64_t next_;
  uint64_t credits_ = 0;
  bool busy_ = false;
  bool ended_ = false;
  bool dropped_ = false;
  Status end_status_;
};

void WatchHub::Shared::forget(const Entry* entry) {
  const std::lock_guard lock(mutex);
  std::erase_if(entries, [&](const auto& other) { return other.get() == entry; });
  count = entries.size();
}

std::vector<std::shared_ptr<WatchHub::Entry>> WatchHub::Shared::all(bool take) {
  const std::lock_guard lock(mutex);
  if (!take) return entries;
  count = 0;
  return std::exchange(entries, {});
}

WatchHub::WatchHub(Scan scan, uint64_t position) : shared_(std::make_shared<Shared>()) {
  shared_->scan = std::move(scan);
  shared_->visible = position;
}

WatchHub::~WatchHub() { drop(); }

std::shared_ptr<Watch> WatchHub::add(v1::WatchRequest request, WatchCallbacks callbacks) {
  auto entry = std::make_shared<Entry>(shared_, std::move(request), std::move(callbacks));
  const std::lock_guard lock(shared_->mutex);
  shared_->entries.push_back(entry);
  shared_->count = shared_->entries.size();
  return entry;
}

void WatchHub::advanced(uint64_t position) {
  shared_->visible = position;
  if (shared_->count == 0) return;
  for (const auto& entry : shared_->all(false)) entry->pump();
}

void WatchHub::close(const Status& status) {
  for (const auto& entry : shared_->all(true)) entry->end(status);
}

void WatchHub::drop() {
  for (const auto& entry : shared_->all(true)) entry->drop();
}

}  // namespace palyra::journal
