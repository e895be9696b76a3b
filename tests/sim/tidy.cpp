// What people do with a conversation beside talking in it, and what they were told of it.
#include "tests/sim/clients.h"
#include "tests/sim/invariants.h"

#include <algorithm>
#include <utility>

namespace palyra::sim {

void Clients::know_talk(const std::string& session_id) {
  if (std::count(talks_.begin(), talks_.end(), session_id) == 0) talks_.push_back(session_id);
}

void Clients::tidy_one(Daemon& daemon) {
  if (talks_.empty()) return;
  // The oldest has the longest history.
  const std::string session_id = scene_.dice.chance(50) ? any(talks_) : talks_.front();
  const int64_t what = scene_.dice.pick(0, 99);
  scene_.say("tidy up session " + session_id);
  auto done = what < 22   ? pin(daemon, session_id)
              : what < 32 ? unpin(daemon, session_id)
              : what < 57 ? compact(daemon, session_id)
              : what < 62 ? expand(daemon, session_id)
              : what < 80 ? branch(daemon, session_id)
                          : rewind(daemon, session_id);
  daemon.clients.spawn(std::move(done));
}

// Whether it was done, and somebody is there to hear it. A right request about a conversation may
// be refused for few reasons.
bool Clients::heard(const Daemon& daemon, const char* what, const Status& status) {
  scene_.say(std::string(what) + ": " + status.to_string());
  const Code code = status.code();
  const bool fits = code == Code::kFailedPrecondition || code == Code::kOutOfRange ||
                    code == Code::kResourceExhausted || code == Code::kUnavailable;
  if (!status.ok() && !fits && !excused(daemon, code)) {
    scene_.violate(kAnswers, std::string(what) + " was refused: " + status.to_string());
  }
  return status.ok() && !daemon.replaced;
}

Task<void> Clients::pin(Daemon& daemon, std::string session_id) {
  api::PinFactRequest request;
  request.set_session_id(session_id);
  // Now and then one that is known.
  facts_ += facts_ == 0 || scene_.dice.chance(85) ? 1 : 0;
  request.set_text(fact_text(facts_));
  const std::string text = request.text();
  const auto pinned = co_await daemon.gateway->pin_fact(caller_, std::move(request));
  if (!heard(daemon, "pin", pinned.status())) co_return;
  const Tree::Talk* talk = observer_.tree.talk(session_id);
  if (talk == nullptr || talk->pinned.count(pinned->pin_id()) == 0 || pinned->text() != text) {
    scene_.violate(kAcknowledged,
                   "the pin of \"" + text + "\" was acknowledged and is not durable");
  }
}

Task<void> Clients::unpin(Daemon& daemon, std::string session_id) {
  api::ListPinsRequest list;
  list.set_session_id(session_id);
  const auto pins = co_await daemon.gateway->list_pins(caller_, std::move(list));
  if (!heard(daemon, "list of pins", pins.status()) || pins->pins().empty()) co_return;
  api::UnpinFactRequest request;
  request.set_session_id(session_id);
  const int which = static_cast<int>(scene_.dice.pick(0, pins->pins_size() - 1));
  request.set_pin_id(pins->pins(which).pin_id());
  const std::string pin_id = request.pin_id();
  const auto unpinned = co_await daemon.gateway->unpin_fact(caller_, std::move(request));
  const Tree::Talk* talk = observer_.tree.talk(session_id);
  const bool gone = std::none_of(talk->pins.begin(), talk->pins.end(),
                                 [&](const auto& pin) { return pin.pin_id() == pin_id; });
  // Somebody else may have unpinned it, or a reset.
  if (unpinned.status().code() == Code::kNotFound && gone) co_return;
  if (heard(daemon, "unpin", unpinned.status()) && !gone) {
    scene_.violate(kAcknowledged, "pin " + pin_id + " was taken away and is there");
  }
}

Task<void> Clients::compact(Daemon& daemon, std::string session_id) {
  api::CompactSessionRequest request;
  request.set_session_id(session_id);
  const std::string key = "compact " + std::to_string(++compactions_);
  request.set_idempotency_key(key);
  for (int times = scene_.dice.chance(20) ? 2 : 1; times > 0; --times) {
    const auto started = co_await daemon.gateway->compact_session(caller_, request);
    if (!heard(daemon, "compact", started.status())) continue;
    const Observer::Run* run = observer_.run(started->run_id());
    if (observer_.accepted(key) != started->run_id() || run == nullptr || !run->state.compacts()) {
      scene_.violate(kAcknowledged, "a compaction was acknowledged and is not durable");
    }
    follow(started->run_id());
  }
}

Task<void> Clients::expand(Daemon& daemon, std::string session_id) {
  api::ExpandSessionRequest request;
  request.set_session_id(session_id);
  const auto expanded = co_await daemon.gateway->expand_session(caller_, std::move(request));
  heard(daemon, "expand", expanded.status());
}

// A turn of the session's history, on the way to its head or not; empty at times, or if it has
// none.
Task<std::string> Clients::some_turn(Daemon& daemon, std::string session_id) {
  if (scene_.dice.chance(40)) co_return std::string();
  api::ListTurnsRequest request;
  request.set_session_id(session_id);
  request.set_all(scene_.dice.chance(50));
  const auto turns = co_await daemon.gateway->list_turns(caller_, std::move(request));
  if (!heard(daemon, "list of turns", turns.status()) || turns->turns().empty()) {
    co_return std::string();
  }
  co_return turns->turns(static_cast<int>(scene_.dice.pick(0, turns->turns_size() - 1))).turn_id();
}

Task<void> Clients::branch(Daemon& daemon, std::string session_id) {
  api::BranchSessionRequest request;
  request.set_session_id(session_id);
  request.set_turn_id(co_await some_turn(daemon, session_id));
  request.set_idempotency_key("branch " + std::to_string(++branches_));
  const Tree::Talk* source = observer_.tree.talk(session_id);
  const uint64_t changes = source->pin_changes;
  std::string first;
  for (int times = scene_.dice.chance(30) ? 2 : 1; times > 0; --times) {
    const auto made = co_await daemon.gateway->branch_session(caller_, request);
    if (!heard(daemon, "branch", made.status())) continue;
    const Tree::Talk* talk = observer_.tree.talk(made->session_id());
    if (talk == nullptr || observer_.sessions().count(made->session_id()) == 0) {
      scene_.violate(kAcknowledged, "a branch was acknowledged and is not durable");
      co_return;
    }
    if (!request.turn_id().empty() && talk->branched_from.turn_id() != request.turn_id()) {
      scene_.violate(kTree, "branch " + made->session_id() + " begins elsewhere");
    }
    if (!first.empty() && first != made->session_id()) {
      scene_.violate(kAcceptedOnce, "the key of a branch was answered with two");
    }
    if (first.empty() && !contended && source->pin_changes == changes &&
        talk->pin_changes != source->pins.size()) {
      scene_.violate(kPinned, "branch " + made->session_id() + " began with other pins");
    }
    first = made->session_id();
    know_talk(first);
  }
}

Task<void> Clients::rewind(Daemon& daemon, std::string session_id) {
  api::RewindSessionRequest request;
  request.set_session_id(session_id);
  const int64_t how = scene_.dice.pick(0, 9);
  if (how < 4) {
    request.set_back(static_cast<uint32_t>(how % 3 + 1));
  } else if (how < 7) {
    request.set_redo(true);
  } else {
    const std::string turn_id = co_await some_turn(daemon, session_id);
    if (turn_id.empty()) co_return;
    request.set_turn_id(turn_id);
  }
  const bool free = !observer_.busy(session_id);
  const size_t runs = observer_.runs().size();
  const auto rewound = co_await daemon.gateway->rewind_session(caller_, std::move(request));
  const bool done = heard(daemon, "rewind", rewound.status());
  const Tree::Talk* talk = observer_.tree.talk(session_id);
  if (done && !rewound->head_turn().empty() && talk->heads.count(rewound->head_turn()) == 0) {
    scene_.violate(kAcknowledged, "a rewind was acknowledged and is not durable");
  }
  if (free && !contended && !daemon.replaced && runs == observer_.runs().size() &&
      rewound.status().message().find("has a run that has not ended") != std::string::npos) {
    scene_.violate(kAnswers, "a rewind was refused for a run that is over");
  }
}

// ---- what is there at the end

void Clients::read_back(Daemon& daemon) {
  for (const auto& session_id : talks_) daemon.clients.spawn(compare(daemon, session_id));
}

Task<void> Clients::compare(Daemon& daemon, std::string session_id) {
  api::ListPinsRequest list;
  list.set_session_id(session_id);
  const auto pins = co_await daemon.gateway->list_pins(caller_, std::move(list));
  if (!heard(daemon, "list of pins", pins.status())) co_return;
  const Tree::Talk& talk = *observer_.tree.talk(session_id);
  bool same = static_cast<size_t>(pins->pins_size()) == talk.pins.size();
  for (size_t i = 0; same && i < talk.pins.size(); ++i) {
    same = pins->pins(static_cast<int>(i)).text() == talk.pins[i].text();
  }
  if (!same) scene_.violate(kPinned, "other pins are listed of session " + session_id);
  for (const bool all : {false, true}) {
    api::ListTurnsRequest request;
    request.set_session_id(session_id);
    request.set_all(all);
    request.set_page_size(static_cast<uint32_t>(scene_.dice.pick(3, 12)));
    std::vector<std::string> found;
    do {
      const auto page = co_await daemon.gateway->list_turns(caller_, request);
      if (!heard(daemon, "list of turns", page.status())) co_return;
      for (const auto& turn : page->turns()) found.push_back(turn.turn_id());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    std::reverse(found.begin(), found.end());
    if (found != (all ? observer_.tree.all_turns(session_id) : observer_.tree.path(talk.head))) {
      scene_.violate(kTree, "other turns are listed of session " + session_id);
    }
  }
}

}  // namespace palyra::sim
