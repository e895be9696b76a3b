#include "plugins/gateway/session/view.h"

#include "plugins/common/digest/digest.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

using Compactions = google::protobuf::RepeatedPtrField<tape::Compacted>;

// The one of the older half whose neighbours are closest, measured by how far back they are: what
// stays stands ever further apart the older it is, and the first stays.
int least_missed(const Compactions& kept) {
  const auto turns = [&kept](int i) { return uint64_t{kept.Get(i).turns()}; };
  const uint64_t now = turns(kept.size() - 1);
  int least = 1;
  uint64_t least_gap = UINT64_MAX;
  uint64_t least_age = 1;
  for (int i = 1; i < kMostCompactions / 2; ++i) {
    const uint64_t gap = turns(i + 1) > turns(i - 1) ? turns(i + 1) - turns(i - 1) : 0;
    const uint64_t age = now > turns(i) ? now - turns(i) : 1;
    // gap / age, each below 2^32.
    if (least_gap == UINT64_MAX || gap * least_age < least_gap * age) {
      least = i;
      least_gap = gap;
      least_age = age;
    }
  }
  return least;
}

void add_compaction(Compactions& kept, const tape::Compacted& compacted) {
  for (int i = kept.size(); i-- > 0;) {
    if (kept.Get(i).up_to().turn_id() == compacted.up_to().turn_id()) kept.DeleteSubrange(i, 1);
  }
  *kept.Add() = compacted;
  if (kept.size() > kMostCompactions) kept.DeleteSubrange(least_missed(kept), 1);
}

}  // namespace

bool fold_view(store::SessionView& view, const tape::SessionEvent& event) {
  if (event.has_fact_pinned()) {
    *view.add_pins() = event.fact_pinned();
    return true;
  }
  if (event.has_fact_unpinned()) {
    auto& pins = *view.mutable_pins();
    const auto found = std::find_if(pins.begin(), pins.end(), [&](const tape::FactPinned& pin) {
      return pin.pin_id() == event.fact_unpinned().pin_id();
    });
    if (found == pins.end()) return false;
    pins.erase(found);
    return true;
  }
  if (event.has_compacted()) {
    if (event.compacted().artifact_digest().empty()) {
      view.clear_compactions();
      return true;
    }
    add_compaction(*view.mutable_compactions(), event.compacted());
    return true;
  }
  if (event.has_session_reset()) {
    view.Clear();
    return true;
  }
  return false;
}

const tape::Compacted* compaction_up_to(const store::SessionView& view,
                                        const std::string& turn_id) {
  for (int i = view.compactions_size(); i-- > 0;) {
    if (view.compactions(i).up_to().turn_id() == turn_id) return &view.compactions(i);
  }
  return nullptr;
}

std::vector<std::string> pinned_facts(const store::SessionView& view) {
  std::vector<std::string> facts;
  for (const auto& pin : view.pins()) facts.push_back(pin.text());
  return facts;
}

std::string summary_source(const std::string& artifact_digest) {
  return "summary " + digest::to_hex(artifact_digest).substr(0, 12);
}

void put_view(service::CommitRequest& commit, const std::string& session_id,
              const store::SessionView& view) {
  if (view.pins().empty() && view.compactions().empty()) {
    auto& removed = *commit.add_deletes();
    removed.set_collection(kViews);
    removed.set_key(session_id);
    return;
  }
  auto& put = *commit.add_puts();
  put.set_collection(kViews);
  put.set_key(session_id);
  put.set_value(view.SerializeAsString());
}

Task<Result<store::SessionView>> load_view(Journal& journal, std::string session_id) {
  service::GetRequest request;
  request.set_collection(kViews);
  request.set_key(session_id);
  auto got = co_await journal.get(std::move(request));
  if (!got.ok()) co_return got.status();
  store::SessionView view;
  if (got->has_document() && !view.ParseFromString(got->document().value())) {
    co_return Status(Code::kDataLoss,
                     "the stored view of session " + session_id + " cannot be read");
  }
  co_return view;
}

Task<Status> store_pins(Journal& journal, store::SessionView* view) {
  if (view->pins().empty()) {
    view->clear_pins_digest();
    co_return Status();
  }
  store::PinnedFacts facts;
  for (const auto& pin : view->pins()) facts.add_facts(pin.text());
  auto digest = co_await journal.put_blob(facts.SerializeAsString());
  if (!digest.ok()) co_return digest.status();
  view->set_pins_digest(*digest);
  co_return Status();
}

}  // namespace palyra::gateway
