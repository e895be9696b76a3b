#include "plugins/gateway/admission/rate_limit.h"

#include <algorithm>
#include <cmath>

namespace palyra::gateway {

namespace {
// Above this many keys the full buckets, which say nothing, are dropped.
constexpr size_t kManyKeys = 4096;
}  // namespace

double RateLimit::refilled(const Bucket& bucket, int64_t now_ns) const {
  const double seconds = static_cast<double>(std::max<int64_t>(0, now_ns - bucket.at_ns)) / 1e9;
  return std::min(burst_, bucket.level + seconds * per_second_);
}

double RateLimit::level(const std::string& key, int64_t mono_now_ns) const {
  const auto found = buckets_.find(key);
  return found == buckets_.end() ? burst_ : refilled(found->second, mono_now_ns);
}

int64_t RateLimit::take(const std::string& key, int64_t mono_now_ns, double cost) {
  if (buckets_.size() > kManyKeys) forget_full_buckets(mono_now_ns);
  auto [entry, created] = buckets_.try_emplace(key, Bucket{burst_, mono_now_ns});
  Bucket& bucket = entry->second;
  bucket.level = refilled(bucket, mono_now_ns);
  bucket.at_ns = std::max(bucket.at_ns, mono_now_ns);
  if (bucket.level >= cost) {
    bucket.level -= cost;
    return 0;
  }
  return static_cast<int64_t>(std::ceil((cost - bucket.level) / per_second_ * 1e9));
}

void RateLimit::forget_full_buckets(int64_t now_ns) {
  std::erase_if(buckets_,
                [&](const auto& entry) { return refilled(entry.second, now_ns) >= burst_; });
}

}  // namespace palyra::gateway
