// Tree: what is durable of conversations as trees of turns, and what a prompt may show of them.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "palyra/tape/v1/session.pb.h"
#include "plugins/gateway/run/state.h"
#include "tests/sim/scene.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::sim {

namespace run = palyra::gateway::run;
namespace service = palyra::service::v1;
namespace tape = palyra::tape::v1;

// The numbers behind each `word` in the text: {3, 12} of "message 3, message 12" and "message ".
std::vector<uint64_t> numbers_after(std::string_view word, std::string_view text);

// What is pinned under this number.
std::string fact_text(uint64_t number);

// The simulated clients number what they say ("message 12") and pin ("fact 3"), and the simulated
// model sums up by naming the messages; so what a prompt shows, as turns or as a summary, can be
// compared with the turns that the session's head leads to, whatever was compacted or expanded.
// The observer tells it each record in the order of the log.
class Tree {
 public:
  explicit Tree(Scene& scene) : scene_(scene) {}

  struct Turn {
    std::string session_id;
    std::string parent;
    std::string run_id;
    uint64_t seq = 0;
    int64_t tokens = 0;
  };
  struct Talk {
    std::string head;
    std::set<std::string> heads;     // that it ever had
    std::vector<std::string> turns;  // on its own tape, oldest first
    tape::TurnRef branched_from;
    std::vector<tape::FactPinned> pins;  // in force
    std::set<std::string> pinned;        // ids that ever were
    std::vector<tape::Compacted> compactions;
    uint64_t pin_changes = 0;
  };

  // `busy`: a run of the session has not ended.
  void record(const std::string& session_id, uint64_t seq, const tape::SessionEvent& event,
              bool busy);
  // Behind all records of a commit: its documents must say what they say.
  void committed(const service::CommitRequest& request);
  // This run of the session begins to sum up older turns; so many of the newest stay as they are,
  // except what a summary stands for now, which another may stand for, too.
  void sums_up(const std::string& run_id, const std::string& session_id, size_t kept);
  // On its way into the store.
  void blob(const std::string& bytes);
  // `run_id` has this message among its inputs.
  void said(const std::string& run_id, const std::string& text);
  // Somebody begins to send this message.
  void sent(uint64_t message) { sent_.emplace(message, changes_); }
  // The context of a run is on the tape; so is a commit with its records.
  void gathered(const std::string& run_id, const std::string& session_id);
  void wrote(const std::string& run_id) { facts_[run_id].since = changes_; }
  // The model of a run is shown this.
  void shown(const run::State& state, const service::ChatRequest& request);

  const std::map<std::string, Talk>& talks() const { return talks_; }
  // Null if it has no record.
  const Talk* talk(const std::string& session_id) const;
  const Turn& turn(const std::string& turn_id) const { return turns_.at(turn_id); }
  // Turns that lead to this one, oldest first.
  std::vector<std::string> path(const std::string& head) const;
  // Of the session's own tape and of those that it was branched from, up to there; oldest first.
  std::vector<std::string> all_turns(const std::string& session_id) const;
  // The run that has the message; empty if none does.
  std::string run_of(uint64_t message) const;
  // Of all summaries that any record names.
  const std::set<std::string>& artifacts() const { return artifacts_; }

 private:
  // One fact, by the changes before which it was in force.
  struct Pin {
    std::string text;
    uint64_t from = 0;
    uint64_t to = UINT64_MAX;
  };
  // Facts that a prompt must show, because they were in force all the time since its run had
  // written before, and those that it may.
  struct Facts {
    std::set<std::string> must;
    std::set<std::string> may;
    uint64_t since = UINT64_MAX;  // unknown
  };

  bool belongs(const std::string& session_id, const std::string& turn_id) const;
  void created(const std::string& session_id, const tape::SessionCreated& created);
  void added(const std::string& session_id, uint64_t seq, const tape::TurnAdded& added);
  void moved(const std::string& session_id, const tape::HeadMoved& moved, bool busy);
  void compacted(const std::string& session_id, const tape::Compacted& compacted);
  void check_view(const std::string& session_id, const std::string& value) const;
  void check_facts(const run::State& state, const std::string& prompt);

  Scene& scene_;
  std::map<std::string, Talk> talks_;
  std::map<std::string, Turn> turns_;
  struct Summing {
    size_t kept = 0;
    std::set<std::string> summed;  // the last turns of the summaries in force when it began
  };
  std::map<std::string, Summing> summing_;    // by run
  std::map<std::string, std::string> blobs_;  // that are artifacts, by digest
  std::set<std::string> artifacts_;
  std::map<uint64_t, std::string> messages_;      // -> run
  std::map<std::string, uint64_t> firsts_;        // run -> its first message
  std::map<std::string, Facts> facts_;            // by run
  std::map<std::string, std::vector<Pin>> pins_;  // by session, all that ever were
  std::map<uint64_t, uint64_t> sent_;             // messages: how many changes were before
  uint64_t changes_ = 0;                          // of pins
};

}  // namespace palyra::sim
