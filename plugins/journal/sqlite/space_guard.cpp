#include "plugins/journal/sqlite/space_guard.h"

#include <algorithm>
#include <utility>

namespace palyra::journal::sqlite {
namespace {

constexpr int64_t kWellNs = kNanosPerSecond;
constexpr int64_t kRefusingNs = 2 * kNanosPerSecond;

std::string mebibytes(uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

Status exhausted(std::string message) {
  return {Code::kResourceExhausted, std::move(message), PALYRA_ERROR_RETRYABLE};
}

}  // namespace

bool SpaceGuard::due() const {
  const std::lock_guard lock(mutex_);
  return !looked_ || (near_ && refusal_.ok()) ||
         clock_.mono_now() - looked_ns_ >= (refusal_.ok() ? kWellNs : kRefusingNs);
}

void SpaceGuard::look(const Room& room) {
  const std::lock_guard lock(mutex_);
  looked_ = true;
  looked_ns_ = clock_.mono_now();
  refusal_ = {};
  failed_ = false;
  const uint64_t reserve = max_bytes_ == 0 ? 0 : std::min(min_free_, max_bytes_ / 8);
  near_ = room.disk_free + room.file_free < 4 * min_free_ ||
          (max_bytes_ != 0 && room.used + 4 * reserve > max_bytes_);
  const char* const fix =
      "no new work is taken, what runs goes on; archive or erase (palyra storage), or ";
  if (room.disk_free + room.file_free < min_free_) {
    refusal_ = exhausted("the disk of " + directory_ + " is full (" + mebibytes(room.disk_free) +
                         " free, " + mebibytes(min_free_) + " kept in reserve): " + fix +
                         "free space there");
  } else if (max_bytes_ != 0 && room.used + reserve > max_bytes_) {
    refusal_ = exhausted("the journal in " + directory_ + " has " + mebibytes(room.used) +
                         " of [storage] max_bytes = " + std::to_string(max_bytes_) + ": " + fix +
                         "raise the limit");
  }
}

void SpaceGuard::failed() {
  const std::lock_guard lock(mutex_);
  looked_ = true;
  looked_ns_ = clock_.mono_now();
  if (!refusal_.ok()) return;
  failed_ = true;
  refusal_ =
      exhausted("the disk of " + directory_ +
                " is full: no new work is taken, what runs waits for space; free some there");
}

void SpaceGuard::wrote() {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(failed_, false)) return;
  refusal_ = {};
  looked_ = false;
}

Status SpaceGuard::refusal() const {
  const std::lock_guard lock(mutex_);
  return refusal_;
}

}  // namespace palyra::journal::sqlite
