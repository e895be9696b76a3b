#include "tests/chaos/conversation.h"

#include <algorithm>

namespace palyra::chaos {
namespace {

// Reads one tape and notes what breaks the rules.
class Reader {
 public:
  explicit Reader(const std::string& session_id) { out_.session_id = session_id; }

  void read(const tape::SessionEvent& event) {
    if (event.has_session_created()) {
      out_.branch = event.session_created().has_branched_from();
      out_.from = out_.head = event.session_created().branched_from().turn_id();
    } else if (event.has_input_accepted()) {
      out_.accepted.push_back(event.input_accepted().run_id());
    } else if (event.has_input_taken()) {
      out_.taken.push_back(event.input_taken().run_id());
    } else if (event.has_turn_added()) {
      add(event.turn_added());
    } else if (event.has_head_moved()) {
      if (event.head_moved().from_turn() != out_.head) {
        problem("the head moved from " + event.head_moved().from_turn() + " and was " + out_.head);
      }
      out_.head = event.head_moved().turn_id();
      out_.moves.push_back(out_.head);
    } else if (event.has_compacted()) {
      if (event.compacted().artifact_digest().empty()) return out_.in_force.clear();
      out_.in_force.push_back(event.compacted());
      // Those before the first message are copies.
      if (!out_.accepted.empty()) out_.made.push_back(event.compacted());
    }
  }

  Conversation end() {
    if (out_.accepted != out_.taken) {
      problem("it took " + std::to_string(out_.taken.size()) +
              " inputs in another order than the " + std::to_string(out_.accepted.size()) +
              " it accepted");
    }
    return std::move(out_);
  }

 private:
  void problem(const std::string& what) {
    out_.problems.push_back("session " + out_.session_id + ": " + what);
  }
  void add(const tape::TurnAdded& turn) {
    if (turn.parent() != out_.head) {
      problem("turn " + turn.turn_id() + " does not follow " + out_.head);
    }
    if (!out_.turn_of.emplace(turn.run_id(), turn.turn_id()).second) {
      problem("two turns of run " + turn.run_id());
    }
    out_.parents[turn.turn_id()] = turn.parent();
    out_.head = turn.turn_id();
  }

  Conversation out_;
};

// Compares what several tapes say of the same.
class ConversationComparison {
 public:
  ConversationComparison(const std::map<std::string, Conversation>& conversations,
                         const std::map<std::string, Tape>& runs, HistoryCounts* counts)
      : conversations_(conversations),
        runs_(runs),
        tree_(tree_of(conversations)),
        counts_(*counts) {
    counts_ = HistoryCounts();
  }

  std::vector<std::string> run(const History& history) {
    for (const auto& [id, conversation] : conversations_) session(conversation);
    for (const auto& [id, tape] : runs_) run_of(tape);
    for (const auto& [label, branch] : history.branches) this->branch(label, branch);
    for (const auto& [id, moves] : history.moves) moved(id, moves);
    for (const auto& [run, session] : history.compactions) {
      if (made_[run].empty()) {
        problem("run " + run + " was seen to sum up session " + session +
                ", which shows no summary");
      }
    }
    return std::move(problems_);
  }

 private:
  void problem(const std::string& what) { problems_.push_back(what); }

  void session(const Conversation& conversation) {
    problems_.insert(problems_.end(), conversation.problems.begin(), conversation.problems.end());
    ++counts_.sessions;
    counts_.turns += conversation.parents.size();
    for (const auto& [turn, parent] : conversation.parents) {
      if (!parent.empty() && tree_.count(parent) == 0) {
        problem("turn " + turn + " of session " + conversation.session_id + " follows " + parent +
                ", which is nowhere");
      }
    }
    for (const auto& compacted : conversation.in_force) {
      const size_t before = path(tree_, compacted.up_to().turn_id()).size();
      if (compacted.turns() != before) {
        problem("a summary of session " + conversation.session_id + " stands for " +
                std::to_string(compacted.turns()) + " turns and ends at one with " +
                std::to_string(before));
      }
    }
    for (const auto& compacted : conversation.made) {
      if (!made_[compacted.run_id()].insert(compacted.artifact_digest()).second) {
        problem("run " + compacted.run_id() + " summed up session " + conversation.session_id +
                " twice with the same");
      }
      counts_.covered += compacted.turns();
    }
  }

  // A run and the tape of its session.
  void run_of(const Tape& tape) {
    if (tape.records.empty()) return;
    const auto& created = tape.records.front().event.run_created();
    const auto found = conversations_.find(created.session_id());
    const bool sums_up = created.purpose() == tape::RUN_PURPOSE_COMPACT;
    if (tape.records.back().event.has_run_completed() && !sums_up &&
        (found == conversations_.end() || found->second.turn_of.count(tape.run_id) == 0)) {
      problem("run " + tape.run_id + " was answered and is no turn of session " +
              created.session_id());
    }
    std::set<std::string> finished;
    for (const Record& record : tape.records) {
      if (!record.event.has_compaction_finished()) continue;
      ++counts_.compactions;
      finished.insert(record.event.compaction_finished().artifact_digest());
    }
    const auto& shown = made_[tape.run_id];
    if (shown == finished) {
      counts_.compactions_there += finished.size();
    } else {
      problem("run " + tape.run_id + " has finished " + std::to_string(finished.size()) +
              " summaries, and its session shows " + std::to_string(shown.size()) + " of it");
    }
  }

  void branch(const std::string& label, const Branch& branch) {
    ++counts_.branches;
    const auto found = conversations_.find(branch.session);
    if (found == conversations_.end() || found->second.from != branch.turn ||
        (!branch.turn.empty() && (!found->second.branch || tree_.count(branch.turn) == 0))) {
      problem("branch " + label + " of session " + branch.source + " at turn " + branch.turn +
              " was acknowledged as " + branch.session +
              ", which is not there or begins elsewhere");
    } else {
      ++counts_.branches_there;
    }
  }

  void moved(const std::string& session_id, const std::vector<std::string>& moves) {
    counts_.moves += moves.size();
    const auto found = conversations_.find(session_id);
    const size_t missing =
        found == conversations_.end() ? moves.size() : missing_moves(found->second, moves);
    counts_.moves_there += moves.size() - missing;
    if (missing > 0) {
      problem(std::to_string(missing) + " acknowledged rewinds of session " + session_id +
              " are not on its tape");
    }
  }

  const std::map<std::string, Conversation>& conversations_;
  const std::map<std::string, Tape>& runs_;
  const TurnTree tree_;
  HistoryCounts& counts_;
  std::map<std::string, std::set<std::string>> made_;  // digests, by run
  std::vector<std::string> problems_;
};

}  // namespace

Conversation follow(const std::string& session_id, const std::vector<tape::SessionEvent>& events) {
  Reader reader(session_id);
  for (const auto& event : events) reader.read(event);
  return reader.end();
}

TurnTree tree_of(const std::map<std::string, Conversation>& all) {
  TurnTree tree;
  for (const auto& [id, conversation] : all) {
    tree.insert(conversation.parents.begin(), conversation.parents.end());
  }
  return tree;
}

std::vector<std::string> path(const TurnTree& tree, const std::string& head) {
  std::vector<std::string> turns;
  for (auto at = tree.find(head); at != tree.end() && turns.size() <= tree.size();
       at = tree.find(at->second)) {
    turns.push_back(at->first);
  }
  return turns;
}

size_t missing_moves(const Conversation& conversation, const std::vector<std::string>& moves) {
  auto from = conversation.moves.begin();
  for (size_t i = 0; i < moves.size(); ++i) {
    from = std::find(from, conversation.moves.end(), moves[i]);
    if (from == conversation.moves.end()) return moves.size() - i;
    ++from;
  }
  return 0;
}

std::vector<std::string> compare(const std::map<std::string, Conversation>& conversations,
                                 const std::map<std::string, Tape>& runs, const History& history,
                                 HistoryCounts* counts) {
  return ConversationComparison(conversations, runs, counts).run(history);
}

}  // namespace palyra::chaos
