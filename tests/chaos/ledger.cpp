#include "tests/chaos/ledger.h"

#include <cstdio>
#include <utility>

namespace palyra::chaos {

void Ledger::acknowledged(const std::string& label, const std::string& run_id,
                          const std::string& session_id, uint64_t generation, bool compaction) {
  std::string broken;
  {
    const std::lock_guard lock(mutex_);
    const auto [known, fresh] =
        promises_.try_emplace(label, Promise{label, run_id, session_id, generation, compaction});
    if (!fresh && known->second.run_id != run_id) {
      broken = "input " + label + " was acknowledged as run " + known->second.run_id +
               " and, with the same key, as run " + run_id;
    }
  }
  if (!broken.empty()) problem(broken);
}

void Ledger::branched(const std::string& label, const Branch& branch) {
  std::string broken;
  {
    const std::lock_guard lock(mutex_);
    const auto [known, fresh] = history_.branches.try_emplace(label, branch);
    if (!fresh && known->second.session != branch.session) {
      broken = "branch " + label + " was acknowledged as session " + known->second.session +
               " and, with the same key, as session " + branch.session;
    }
  }
  if (!broken.empty()) problem(broken);
}

void Ledger::moved(const std::string& session_id, const std::string& turn_id) {
  const std::lock_guard lock(mutex_);
  history_.moves[session_id].push_back(turn_id);
}

void Ledger::compacted(const std::string& run_id, const std::string& session_id) {
  const std::lock_guard lock(mutex_);
  history_.compactions[run_id] = session_id;
}

void Ledger::decided(const std::string& approval_id, palyra::tape::v1::ApprovalVerdict verdict) {
  const std::lock_guard lock(mutex_);
  decisions_[approval_id] = verdict;
}

void Ledger::cancelled(const std::string& run_id) {
  const std::lock_guard lock(mutex_);
  cancellations_.insert(run_id);
}

void Ledger::ended(const std::string& run_id, std::vector<std::string> durable) {
  const std::lock_guard lock(mutex_);
  views_[run_id] = std::move(durable);
}

void Ledger::resumed(double ms) {
  const std::lock_guard lock(mutex_);
  resume_times_.push_back(ms);
}

void Ledger::problem(const std::string& sentence) {
  const std::lock_guard lock(mutex_);
  problems_.push_back(sentence);
  std::fprintf(stderr, "PROBLEM: %s\n", sentence.c_str());
}

std::map<std::string, Promise> Ledger::promises() const {
  const std::lock_guard lock(mutex_);
  return promises_;
}
std::map<std::string, palyra::tape::v1::ApprovalVerdict> Ledger::decisions() const {
  const std::lock_guard lock(mutex_);
  return decisions_;
}
std::set<std::string> Ledger::cancellations() const {
  const std::lock_guard lock(mutex_);
  return cancellations_;
}
History Ledger::history() const {
  const std::lock_guard lock(mutex_);
  return history_;
}
std::map<std::string, std::vector<std::string>> Ledger::views() const {
  const std::lock_guard lock(mutex_);
  return views_;
}
std::vector<double> Ledger::resume_times() const {
  const std::lock_guard lock(mutex_);
  return resume_times_;
}
std::vector<std::string> Ledger::problems() const {
  const std::lock_guard lock(mutex_);
  return problems_;
}

}  // namespace palyra::chaos
