// What the daemon has promised and what went wrong. Any thread.
#pragma once

#include "palyra/gateway/v1/gateway.pb.h"
#include "palyra/tape/v1/run.pb.h"

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace palyra::chaos {

struct Promise {
  std::string label;
  std::string run_id;
  std::string session_id;
  uint64_t generation = 0;  // of the daemon that acknowledged first
  bool compaction = false;  // no message
};

// A session that begins where another one was.
struct Branch {
  std::string source;   // session
  std::string turn;     // empty = before the first
  std::string session;  // the new one
};

// What was acknowledged about conversations.
struct History {
  std::map<std::string, Branch> branches;                 // by label
  std::map<std::string, std::vector<std::string>> moves;  // by session: the new heads, in order
  std::map<std::string, std::string> compactions;         // run -> session; ended well
};

class Ledger {
 public:
  // The daemon answered an input; a second answer must be the first one.
  void acknowledged(const std::string& label, const std::string& run_id,
                    const std::string& session_id, uint64_t generation, bool compaction = false);
  // A branch was answered; a second answer must be the first one.
  void branched(const std::string& label, const Branch& branch);
  // A head was moved to that turn.
  void moved(const std::string& session_id, const std::string& turn_id);
  // A run was seen to sum up its session.
  void compacted(const std::string& run_id, const std::string& session_id);
  // A decision or cancellation was answered OK.
  void decided(const std::string& approval_id, palyra::tape::v1::ApprovalVerdict verdict);
  void cancelled(const std::string& run_id);
  // Seen at its end by its client.
  void ended(const std::string& run_id, std::vector<std::string> durable);
  // Milliseconds from the start of a daemon to the first event of a run that went on.
  void resumed(double ms);
  void problem(const std::string& sentence);

  std::map<std::string, Promise> promises() const;  // by label
  std::map<std::string, palyra::tape::v1::ApprovalVerdict> decisions() const;
  std::set<std::string> cancellations() const;
  History history() const;
  // By run: the durable events in order, serialised.
  std::map<std::string, std::vector<std::string>> views() const;
  std::vector<double> resume_times() const;
  std::vector<std::string> problems() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Promise> promises_;
  std::map<std::string, palyra::tape::v1::ApprovalVerdict> decisions_;
  std::set<std::string> cancellations_;
  History history_;
  std::map<std::string, std::vector<std::string>> views_;
  std::vector<double> resume_times_;
  std::vector<std::string> problems_;
};

}  // namespace palyra::chaos
