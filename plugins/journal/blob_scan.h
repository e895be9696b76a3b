// Which blobs are named somewhere: looks for digests in payloads and documents, whose form the
// journal does not know, as 32 bytes or as lower-case hex.
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace palyra::journal {

class BlobScan {
 public:
  explicit BlobScan(const std::vector<std::string>& digests);

  void look_at(std::string_view data);
  // Those that were not found.
  std::vector<std::string> unnamed() const;

 private:
  struct Pattern {
    std::string bytes;
    size_t digest;
  };

  std::vector<std::string> digests_;
  std::vector<bool> found_;
  std::vector<Pattern> patterns_;
  // Patterns by their first eight bytes; the bits by their first two sort out most places cheaply.
  std::unordered_multimap<uint64_t, size_t> by_head_;
  std::bitset<65536> heads_;
};

}  // namespace palyra::journal
