#include "plugins/gateway/audit/export_erasures.h"

#include <algorithm>

namespace palyra::gateway::audit {
namespace {

constexpr char kErasedType[] = "erased";

}  // namespace

void Erasures::add(const service::v1::Record& record) {
  const uint64_t seq = record.seq();
  if (record.erased()) {
    if (missing_.empty() || missing_.back().last + 1 != seq) missing_.push_back({seq, seq});
    missing_.back().last = seq;
    return;
  }
  service::v1::Erased erased;
  if (record.type() == kErasedType && erased.ParseFromString(record.payload()) &&
      erased.last_seq() < seq) {
    erased_.push_back({erased.first_seq(), erased.last_seq()});
  }
}

void Erasures::explain(const std::vector<SeqRange>& erased) {
  erased_.insert(erased_.end(), erased.begin(), erased.end());
}

bool Erasures::explained() {
  std::sort(erased_.begin(), erased_.end(),
            [](const SeqRange& a, const SeqRange& b) { return a.first < b.first; });
  auto range = erased_.begin();
  uint64_t reach = 0;  // of the ranges that begin at or before `next`
  for (const SeqRange& gap : missing_) {
    for (uint64_t next = gap.first; next <= gap.last; next = reach + 1) {
      for (; range != erased_.end() && range->first <= next; ++range) {
        reach = std::max(reach, range->last);
      }
      if (reach < next) return false;
    }
  }
  return true;
}

}  // namespace palyra::gateway::audit
