// Questions to a living daemon: is everything there that was promised?
#pragma once

#include "tests/chaos/arena.h"
#include "tests/chaos/conversation.h"
#include "tests/chaos/tape.h"

#include <map>
#include <set>

namespace palyra::chaos {

// One thread. A daemon that dies meanwhile is a problem: nobody kills it then.
class Inspector {
 public:
  Inspector(Ledger& ledger, std::chrono::seconds patience) : ledger_(ledger), patience_(patience) {}

  // After each start: every acknowledged input is a run of the list, every acknowledged branch,
  // rewind and compaction is there, and the chains of all runs and sessions that have changed since
  // the last time verify.
  void after_start(const Access& access);
  // After the load: all of that for all, and what each tape, session and fresh reader says.
  void at_the_end(const Access& access);

  const std::map<std::string, Tape>& tapes() const { return tapes_; }
  const std::vector<Evidence>& evidence() const { return evidence_; }
  const HistoryCounts& history() const { return history_; }
  size_t promised() const { return promised_; }
  size_t present() const { return present_; }
  size_t verified() const { return verified_; }

 private:
  std::map<std::string, api::Run> list(const Access& access);
  void check_promises(const std::map<std::string, Promise>& promises,
                      const std::map<std::string, api::Run>& runs);
  void verify(const Access& access, const std::string& run_id, const std::string& session_id);
  std::vector<api::TapeEntry> read(const Access& access, const std::string& run_id,
                                   const std::string& session_id);
  void check_run(const Access& access, const api::Run& run);
  // inspect_history.cpp
  Conversation conversation(const Access& access, const std::string& session_id);
  void check_history(const Access& access);
  void check_conversations(const Access& access, std::set<std::string> sessions);
  void check_session(const Access& access, const Conversation& conversation, const TurnTree& tree);
  void check_summaries(const Access& access, const Tape& tape);
  void check_reader(const Access& access, const api::Run& run);
  void check_decisions();

  Ledger& ledger_;
  const std::chrono::seconds patience_;
  std::set<std::string> settled_;  // runs verified after their end
  std::map<std::string, Tape> tapes_;
  std::vector<Evidence> evidence_;
  std::map<std::string, std::vector<std::string>> views_;
  std::map<std::string, std::string> labels_;  // label -> run, from the tapes
  HistoryCounts history_;
  std::set<std::string> branches_seen_;       // labels, after a start
  std::map<std::string, size_t> moves_seen_;  // by session: so many of the acknowledged ones
  std::set<std::string> compactions_seen_;    // runs
  size_t promised_ = 0;
  size_t present_ = 0;
  size_t verified_ = 0;
};

}  // namespace palyra::chaos
