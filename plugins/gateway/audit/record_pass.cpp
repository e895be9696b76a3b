#include "plugins/gateway/audit/record_pass.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway::audit {

RecordPass::RecordPass(Executor& executor, JournalAudit& audit, uint64_t from, uint64_t up_to,
                       Options options)
    : executor_(executor), audit_(audit), options_(options), from_(from), up_to_(up_to) {}

void RecordPass::begin_slices() {
  while (slices_.size() < options_.at_once && from_ <= up_to_) {
    auto slice = std::make_shared<Slice>();
    slice->next = from_;
    slice->last = from_ + std::min(up_to_ - from_, options_.slice_positions - 1);
    from_ = slice->last + 1;
    slices_.push_back(slice);
    tasks_.spawn(read(std::move(slice)));
  }
}

Task<void> RecordPass::read(std::shared_ptr<Slice> slice) {
  uint64_t end = slice->last;
  while (!slice->done) {
    service::v1::VerifyStoreRequest request;
    request.set_from_position(slice->next);
    request.set_up_to(end);
    auto page = co_await audit_.verify_store(std::move(request));
    const uint64_t size = end - slice->next + 1;
    if (page.ok()) {
      const uint64_t last = page->next_position() == 0 ? end : page->next_position() - 1;
      slice->pages.push_back({std::move(*page), slice->next, last});
    } else if (page.status().code() != Code::kDataLoss) {
      slice->status = page.status();
      slice->done = true;
    } else if (size > options_.grain) {
      end = slice->next + size / 2 - 1;
      continue;
    } else {
      slice->pages.push_back({{}, slice->next, end, page.status()});
    }
    if (!slice->done) {
      slice->next = slice->pages.back().last_position + 1;
      slice->done = slice->next > slice->last;
      if (slice->next > end && !slice->done) {
        end = slice->next + std::min(slice->last - slice->next, 2 * size - 1);
      }
    }
    if (slice == slices_.front() && waiting_) {
      // From the executor: who reads on may be done with the pass, and this task with it.
      executor_.post([slot = *std::exchange(waiting_, std::nullopt)] { slot.set(true); });
    }
  }
}

Task<Result<std::optional<RecordPass::Page>>> RecordPass::next() {
  for (;;) {
    begin_slices();
    if (slices_.empty()) co_return std::optional<Page>();
    const std::shared_ptr<Slice> slice = slices_.front();
    if (!slice->pages.empty()) {
      std::optional<Page> page = std::move(slice->pages.front());
      slice->pages.pop_front();
      co_return page;
    }
    if (!slice->status.ok()) co_return slice->status;
    if (slice->done) {
      slices_.pop_front();
      continue;
    }
    const Slot<bool> slot = waiting_.emplace();
    co_await slot;
  }
}

}  // namespace palyra::gateway::audit
