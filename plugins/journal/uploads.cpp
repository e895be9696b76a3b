#include "plugins/journal/uploads.h"

#include <algorithm>

namespace palyra::journal {

Result<Uploads::Step> Uploads::accept(const v1::PutBlobRequest& request,
                                      const std::string& uploader, uint64_t& dropped_id) {
  Step step;
  dropped_id = 0;
  const auto name = std::make_pair(uploader, request.digest());
  auto found = uploads_.find(name);
  if (found == uploads_.end()) {
    if (request.offset() != 0) {
      return Status(Code::kFailedPrecondition,
                    "blob " + digest::to_hex(request.digest()) +
                        ": no such upload is going on; begin again at offset 0");
    }
    if (uploads_.size() >= kMax) {
      const auto oldest =
          std::min_element(uploads_.begin(), uploads_.end(),
                           [](const auto& a, const auto& b) { return a.second.id < b.second.id; });
      step.dropped = oldest->second.id;
      uploads_.erase(oldest);
    }
    found = uploads_.try_emplace(name).first;
    found->second.id = ++last_id_;
    step.first = true;
  }
  Upload& upload = found->second;
  if (request.offset() > upload.received) {
    return Status(Code::kFailedPrecondition, "blob " + digest::to_hex(request.digest()) +
                                                 ": the next part begins at " +
                                                 std::to_string(upload.received) + ", not " +
                                                 std::to_string(request.offset()));
  }
  step.id = upload.id;
  step.offset = upload.received;
  step.fresh = request.data();
  step.fresh.remove_prefix(
      std::min<uint64_t>(upload.received - request.offset(), request.data().size()));
  upload.hash.update(step.fresh);
  upload.received += step.fresh.size();
  if (!request.last()) return step;
  const digest::Sha256Value value = upload.hash.finish_value();
  uploads_.erase(found);
  if (digest::view(value) != request.digest()) {
    dropped_id = step.id;
    return Status(Code::kInvalidArgument,
                  "blob " + digest::to_hex(request.digest()) + ": the data has digest " +
                      digest::to_hex(digest::view(value)),
                  PALYRA_ERROR_USER_FAULT);
  }
  step.complete = true;
  return step;
}

}  // namespace palyra::journal
