// Whether the records of an export say why payloads among them are missing.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "plugins/common/ranges/ranges.h"

#include <vector>

namespace palyra::gateway::audit {

// Of one stream, fed in order.
class Erasures {
 public:
  void add(const service::v1::Record& record);
  void explain(const std::vector<SeqRange>& erased);
  // What `erased` records say was erased.
  const std::vector<SeqRange>& erased() const { return erased_; }
  bool any_missing() const { return !missing_.empty(); }
  // Every payload that is missing was erased.
  bool explained() const { return first_uncovered(missing_, erased_) == 0; }

 private:
  std::vector<SeqRange> missing_;
  std::vector<SeqRange> erased_;
};

}  // namespace palyra::gateway::audit
