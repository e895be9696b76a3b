#include "tests/sim/tree.h"

#include "palyra/gateway/v1/gateway.pb.h"
#include "palyra/store/v1/session_view.pb.h"
#include "plugins/common/digest/digest.h"
#include "plugins/gateway/session/documents.h"
#include "tests/sim/invariants.h"

#include <algorithm>
#include <utility>

namespace palyra::sim {
std::vector<uint64_t> numbers_after(std::string_view word, std::string_view text) {
  std::vector<uint64_t> out;
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at)) {
    at += word.size();
    const size_t begin = at;
    uint64_t number = 0;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
      number = number * 10 + static_cast<uint64_t>(text[at++] - '0');
    }
    if (at > begin) out.push_back(number);
  }
  return out;
}

std::string fact_text(uint64_t number) {
  return "fact " + std::to_string(number) + " holds as it stands here";
}

const Tree::Talk* Tree::talk(const std::string& session_id) const {
  const auto found = talks_.find(session_id);
  return found == talks_.end() ? nullptr : &found->second;
}

std::vector<std::string> Tree::path(const std::string& head) const {
  std::vector<std::string> out;
  for (std::string at = head; !at.empty(); at = turns_.at(at).parent) out.push_back(at);
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string> Tree::all_turns(const std::string& session_id) const {
  std::vector<std::string> out;
  uint64_t up_to = UINT64_MAX;
  for (const Talk* talk = this->talk(session_id); talk != nullptr;) {
    for (auto turn = talk->turns.rbegin(); turn != talk->turns.rend(); ++turn) {
      if (turns_.at(*turn).seq <= up_to) out.push_back(*turn);
    }
    if (talk->branched_from.seq() == 0) break;
    up_to = talk->branched_from.seq();
    talk = this->talk(talk->branched_from.session_id());
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::string Tree::run_of(uint64_t message) const {
  const auto found = messages_.find(message);
  return found == messages_.end() ? "" : found->second;
}

// Of the session's own tape, or of one that it was branched from, up to there.
bool Tree::belongs(const std::string& session_id, const std::string& turn_id) const {
  const auto turn = turns_.find(turn_id);
  if (turn == turns_.end()) return false;
  std::string session = session_id;
  for (uint64_t up_to = UINT64_MAX;;) {
    if (turn->second.session_id == session) return turn->second.seq <= up_to;
    const Talk* talk = this->talk(session);
    if (talk == nullptr || talk->branched_from.seq() == 0) return false;
    up_to = talk->branched_from.seq();
    session = talk->branched_from.session_id();
  }
}

void Tree::record(const std::string& session_id, uint64_t seq, const tape::SessionEvent& event,
                  bool busy) {
  Talk& talk = talks_[session_id];
  if (event.has_session_created()) {
    created(session_id, event.session_created());
  } else if (event.has_turn_added()) {
    added(session_id, seq, event.turn_added());
  } else if (event.has_head_moved()) {
    moved(session_id, event.head_moved(), busy);
  } else if (event.has_session_reset()) {
    if (busy) scene_.violate(kTree, "session " + session_id + " was reset under a run");
    talk.head.clear();
    talk.pins.clear();
    talk.compactions.clear();
    ++talk.pin_changes;
    ++changes_;
    for (Pin& pin : pins_[session_id]) pin.to = std::min(pin.to, changes_);
  } else if (event.has_fact_pinned()) {
    const auto& pin = event.fact_pinned();
    if (!talk.pinned.insert(pin.pin_id()).second) {
      scene_.violate(kPinned, pin.text() + " was pinned twice in session " + session_id);
    }
    talk.pins.push_back(pin);
    ++talk.pin_changes;
    pins_[session_id].push_back({pin.text(), ++changes_});
  } else if (event.has_fact_unpinned()) {
    const auto found = std::find_if(talk.pins.begin(), talk.pins.end(), [&](const auto& pin) {
      return pin.pin_id() == event.fact_unpinned().pin_id();
    });
    if (found == talk.pins.end()) {
      return scene_.violate(kPinned, "what was unpinned in session " + session_id + " was no pin");
    }
    ++changes_;
    for (Pin& pin : pins_[session_id]) {
      if (pin.text == found->text()) pin.to = std::min(pin.to, changes_);
    }
    talk.pins.erase(found);
    ++talk.pin_changes;
  } else if (event.has_compacted()) {
    compacted(session_id, event.compacted());
  }
}

void Tree::created(const std::string& session_id, const tape::SessionCreated& created) {
  if (!created.has_branched_from()) return;
  Talk& talk = talks_[session_id];
  const auto& at = created.branched_from();
  talk.branched_from = at;
  const auto turn = turns_.find(at.turn_id());
  if (turn == turns_.end() || turn->second.session_id != at.session_id() ||
      turn->second.seq != at.seq()) {
    return scene_.violate(kTree, "session " + session_id + " begins at a turn that is not there");
  }
  talk.head = at.turn_id();
  talk.heads.insert(talk.head);
}

void Tree::added(const std::string& session_id, uint64_t seq, const tape::TurnAdded& added) {
  Talk& talk = talks_[session_id];
  if (added.parent() != talk.head) {
    scene_.violate(kTree, "turn " + added.turn_id() + " of session " + session_id + " follows " +
                              added.parent() + ", and the head is " + talk.head);
  }
  if (!talk.head.empty()) {
    const Turn& parent = turns_.at(talk.head);
    if (added.parent_at().seq() != parent.seq ||
        added.parent_at().session_id() != parent.session_id ||
        added.parent_at().turn_id() != talk.head) {
      scene_.violate(kTree, "turn " + added.turn_id() + " says that its parent is elsewhere");
    }
  }
  Turn turn;
  turn.session_id = session_id;
  turn.parent = talk.head;
  turn.run_id = added.run_id();
  turn.seq = seq;
  turn.tokens = added.tokens();
  if (!turns_.emplace(added.turn_id(), turn).second) {
    scene_.violate(kTree, "turn " + added.turn_id() + " was added twice");
  }
  talk.turns.push_back(added.turn_id());
  talk.head = added.turn_id();
  talk.heads.insert(talk.head);
}

void Tree::moved(const std::string& session_id, const tape::HeadMoved& moved, bool busy) {
  Talk& talk = talks_[session_id];
  if (busy) scene_.violate(kTree, "the head of session " + session_id + " moved under a run");
  if (moved.from_turn() != talk.head) {
    scene_.violate(kTree, "the head of session " + session_id + " moved from another turn");
  }
  if (!moved.turn_id().empty() && !belongs(session_id, moved.turn_id())) {
    scene_.violate(kTree, "the head of session " + session_id + " moved out of its history");
  }
  talk.head = moved.turn_id();
  talk.heads.insert(talk.head);
}

void Tree::sums_up(const std::string& run_id, const std::string& session_id, size_t kept) {
  Summing& summing = summing_[run_id];
  summing.kept = kept;
  summing.summed.clear();
  for (const auto& one : talks_[session_id].compactions) {
    summing.summed.insert(one.up_to().turn_id());
  }
}

void Tree::compacted(const std::string& session_id, const tape::Compacted& compacted) {
  Talk& talk = talks_[session_id];
  if (compacted.artifact_digest().empty()) {
    talk.compactions.clear();
    return;
  }
  // One for each turn up to which there is one.
  std::erase_if(talk.compactions, [&](const tape::Compacted& one) {
    return one.up_to().turn_id() == compacted.up_to().turn_id();
  });
  talk.compactions.push_back(compacted);
  if (!artifacts_.insert(compacted.artifact_digest()).second) return;  // a branch's copy
  const std::string what = "the summary of session " + session_id;
  const auto blob = blobs_.find(compacted.artifact_digest());
  tape::CompactionArtifact artifact;
  if (blob == blobs_.end() || !artifact.ParseFromString(blob->second)) {
    return scene_.violate(kView, what + " was never stored");
  }
  const auto all = path(talk.head);
  const auto last = std::find(all.begin(), all.end(), compacted.up_to().turn_id());
  const auto covered = static_cast<size_t>(last - all.begin()) + 1;
  // Somebody may have taken the summary away while another one was written.
  const Summing& summing = summing_[compacted.run_id()];
  const bool again = summing.summed.count(compacted.up_to().turn_id()) != 0;
  if (last == all.end() || (!again && all.size() - covered < summing.kept)) {
    return scene_.violate(kView, what + " covers turns that stay, or are not its own");
  }
  // Its own step, and those that it builds on.
  std::vector<std::string> steps(artifact.turns().begin(), artifact.turns().end());
  for (std::string before = artifact.previous_digest(); !before.empty();) {
    tape::CompactionArtifact previous;
    previous.ParseFromString(blobs_[before]);
    steps.insert(steps.begin(), previous.turns().begin(), previous.turns().end());
    before = previous.previous_digest();
  }
  if (std::vector<std::string>(all.begin(), last + 1) != steps) {
    return scene_.violate(kView, what + " does not cover all turns up to its last one");
  }
  std::vector<std::string> runs;
  for (const uint64_t message : numbers_after("message ", artifact.summary())) {
    const std::string run_id = run_of(message);
    if (runs.empty() || runs.back() != run_id) runs.push_back(run_id);
  }
  std::vector<std::string> wanted;
  for (auto turn = all.begin(); turn <= last; ++turn) wanted.push_back(turns_.at(*turn).run_id);
  if (runs != wanted) {
    scene_.violate(kView, what + " was written from other turns than it covers");
  }
}

void Tree::check_view(const std::string& session_id, const std::string& value) const {
  palyra::store::v1::SessionView view;
  const Talk& talk = talks_.at(session_id);
  bool same = view.ParseFromString(value) &&
              static_cast<size_t>(view.pins_size()) == talk.pins.size() &&
              static_cast<size_t>(view.compactions_size()) == talk.compactions.size();
  for (size_t i = 0; same && i < talk.pins.size(); ++i) {
    same = view.pins(static_cast<int>(i)).pin_id() == talk.pins[i].pin_id() &&
           view.pins(static_cast<int>(i)).text() == talk.pins[i].text();
  }
  for (size_t i = 0; same && i < talk.compactions.size(); ++i) {
    same = view.compactions(static_cast<int>(i)).SerializeAsString() ==
           talk.compactions[i].SerializeAsString();
  }
  if (!same) scene_.violate(kView, "the view of session " + session_id + " is not what is on tape");
}

// A view changes in the commit of its records, and a compaction is on both tapes or on none.
void Tree::committed(const service::CommitRequest& request) {
  std::set<std::string> finished;
  std::set<std::string> in_force;
  std::set<std::string> changed;
  for (const auto& append : request.appends()) {
    bool branch = false;
    for (const auto& record : append.records()) {
      const std::string& type = record.type();
      branch = branch || type == "session_created";
      if (type == "compaction_finished") {
        tape::RunEvent event;
        event.ParseFromString(record.payload());
        finished.insert(event.compaction_finished().artifact_digest());
      } else if (type == "compacted" && !branch) {
        tape::SessionEvent event;
        event.ParseFromString(record.payload());
        if (!event.compacted().artifact_digest().empty()) {
          in_force.insert(event.compacted().artifact_digest());
        }
      }
      if (type == "compacted" || type == "fact_pinned" || type == "fact_unpinned" ||
          type == "session_reset") {
        changed.insert(append.stream().substr(append.stream().find('/') + 1));
      }
    }
  }
  if (finished != in_force) scene_.violate(kView, "a compaction is on one of its two tapes");
  for (const auto& put : request.puts()) {
    if (put.collection() == gateway::kViews) {
      check_view(put.key(), put.value());
      changed.erase(put.key());
    } else if (put.collection() == gateway::kSessions) {
      palyra::gateway::v1::Session session;
      if (!session.ParseFromString(put.value()) || session.head_turn() != talks_[put.key()].head) {
        scene_.violate(kTree, "session " + put.key() + " is said to have another head");
      }
    }
  }
  for (const auto& removed : request.deletes()) {
    if (removed.collection() != gateway::kViews) continue;
    check_view(removed.key(), "");
    changed.erase(removed.key());
  }
  if (!changed.empty()) {
    scene_.violate(kView, "the view of session " + *changed.begin() + " was left behind");
  }
}

void Tree::blob(const std::string& bytes) {
  tape::CompactionArtifact artifact;
  if (!artifact.ParseFromString(bytes) || artifact.summary().empty()) return;
  blobs_[digest::sha256(bytes)] = bytes;
}

void Tree::said(const std::string& run_id, const std::string& text) {
  for (const uint64_t message : numbers_after("message ", text)) {
    messages_[message] = run_id;
    firsts_.emplace(run_id, message);
  }
}

void Tree::gathered(const std::string& run_id, const std::string& session_id) {
  Facts& facts = facts_[run_id];
  if (facts.since == UINT64_MAX) {
    const auto sent = sent_.find(firsts_[run_id]);
    facts.since = sent == sent_.end() ? 0 : sent->second;
  }
  facts.must.clear();
  facts.may.clear();
  for (const Pin& pin : pins_[session_id]) {
    if (pin.from <= facts.since && pin.to == UINT64_MAX) facts.must.insert(pin.text);
    if (pin.to > facts.since) facts.may.insert(pin.text);
  }
}

// Exactly the turns that the head leads to, oldest first, then the run's own messages.
void Tree::shown(const run::State& state, const service::ChatRequest& request) {
  const run::Turn* turn = state.turn();
  if (turn == nullptr || state.terminal()) return;
  std::string prompt;
  for (const auto& message : request.messages()) prompt += message.text() + "\n";
  const std::string of = "the prompt of run " + state.run_id();
  const auto all = path(talks_[state.created.session_id()].head);
  std::map<std::string, size_t> places;
  for (size_t i = 0; i < all.size(); ++i) places[turns_.at(all[i]).run_id] = i;

  size_t next = 0;  // the first turn that may come
  uint64_t before = 0;
  std::string current;
  size_t missing = 0;
  for (const uint64_t message : numbers_after("message ", prompt)) {
    const std::string run_id = run_of(message);
    if (run_id == current) continue;  // another message of the same run
    if (current == state.run_id()) {
      return scene_.violate(kPromptPath,
                            of + " shows message " + std::to_string(message) + " behind its own");
    }
    current = run_id;
    if (run_id == state.run_id()) continue;
    const auto place = places.find(run_id);
    if (place == places.end() || place->second < next) {
      return scene_.violate(
          kPromptPath, of + " shows message " + std::to_string(message) +
                           (place == places.end()
                                ? ", to which the head does not lead"
                                : " twice or too late, behind message " + std::to_string(before)));
    }
    if (firsts_.at(run_id) != message) {
      return scene_.violate(kPromptPath,
                            of + " shows a part of message " + std::to_string(firsts_.at(run_id)));
    }
    missing += place->second - next;
    next = place->second + 1;
    before = message;
  }
  if (current != state.run_id()) {
    return scene_.violate(kPromptPath, of + " ends without what the run is about");
  }
  missing += all.size() - next;
  const auto& segments = turn->gathered.segments();
  const bool cut = std::any_of(segments.begin(), segments.end(),
                               [](const auto& segment) { return segment.dropped(); });
  if (missing > 0 && !cut) {
    return scene_.violate(kPromptPath,
                          of + " lacks " + std::to_string(missing) + " turns and does not say so");
  }
  check_facts(state, prompt);
}

void Tree::check_facts(const run::State& state, const std::string& prompt) {
  const Facts& facts = facts_[state.run_id()];
  const std::string of = "the prompt of run " + state.run_id();
  for (const auto& fact : facts.must) {
    const size_t at = prompt.find("\n- " + fact + "\n");
    if (at == std::string::npos) scene_.violate(kPinned, of + " lacks \"" + fact + "\"");
  }
  std::set<std::string> once;
  for (const uint64_t number : numbers_after("fact ", prompt)) {
    const std::string fact = fact_text(number);
    if (facts.may.count(fact) == 0 || !once.insert(fact).second) {
      scene_.violate(kPinned, of + " shows \"" + fact + "\", which is not pinned, or twice");
    }
  }
}

}  // namespace palyra::sim
