#include "plugins/journal/blob_scan.h"

#include "plugins/common/digest/digest.h"

#include <cstring>

namespace palyra::journal {
namespace {

template <typename Integer>
Integer load(const char* at) {
  Integer value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

BlobScan::BlobScan(const std::vector<std::string>& digests)
    : digests_(digests), found_(digests.size()) {
  for (size_t i = 0; i < digests_.size(); ++i) {
    for (std::string bytes : {digests_[i], digest::to_hex(digests_[i])}) {
      heads_.set(load<uint16_t>(bytes.data()));
      by_head_.emplace(load<uint64_t>(bytes.data()), patterns_.size());
      patterns_.push_back({std::move(bytes), i});
    }
  }
}

void BlobScan::look_at(std::string_view data) {
  for (size_t at = 0; at + digest::kSha256Size <= data.size(); ++at) {
    if (!heads_.test(load<uint16_t>(data.data() + at))) continue;
    const auto [begin, end] = by_head_.equal_range(load<uint64_t>(data.data() + at));
    for (auto it = begin; it != end; ++it) {
      const Pattern& pattern = patterns_[it->second];
      if (data.substr(at, pattern.bytes.size()) == pattern.bytes) found_[pattern.digest] = true;
    }
  }
}

std::vector<std::string> BlobScan::unnamed() const {
  std::vector<std::string> unnamed;
  for (size_t i = 0; i < digests_.size(); ++i) {
    if (!found_[i]) unnamed.push_back(digests_[i]);
  }
  return unnamed;
}

}  // namespace palyra::journal
