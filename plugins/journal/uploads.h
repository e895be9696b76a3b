// Blobs that are arriving in parts.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "palyra/status.hpp"
#include "plugins/common/digest/digest.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace palyra::journal {

namespace v1 = palyra::service::v1;

// Not thread-safe. Holds no data, only how far each upload is. Parts that were received already are
// skipped, so that two uploads of the same blob by one uploader help each other.
class Uploads {
 public:
  // At once; the oldest gives way.
  static constexpr size_t kMax = 64;

  struct Step {
    uint64_t id = 0;
    // Offset of `fresh`, the bytes that are new.
    uint64_t offset = 0;
    std::string_view fresh;
    // The upload begins with this part.
    bool first = false;
    // All is there and the digest is right.
    bool complete = false;
    // An upload that had to give way: its parts can go.
    uint64_t dropped = 0;
  };

  // FAILED_PRECONDITION if the part does not follow, INVALID_ARGUMENT if the whole has another
  // digest: the upload is then gone, and `dropped_id` says which.
  Result<Step> accept(const v1::PutBlobRequest& request, const std::string& uploader,
                      uint64_t& dropped_id);
  void clear() { uploads_.clear(); }

 private:
  struct Upload {
    uint64_t id = 0;
    uint64_t received = 0;
    digest::Sha256 hash;
  };

  std::map<std::pair<std::string, std::string>, Upload> uploads_;
  uint64_t last_id_ = 0;
};

}  // namespace palyra::journal
