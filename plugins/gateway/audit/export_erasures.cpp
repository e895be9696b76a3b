#include "plugins/gateway/audit/export_erasures.h"

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

}  // namespace palyra::gateway::audit
