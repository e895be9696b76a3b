// One client of the load: does jobs, one after the other, whatever happens to the daemon.
#pragma once

#include "tests/chaos/arena.h"

namespace palyra::chaos {

// A message is sent again with the same key until it is acknowledged, a run is followed over any
// number of streams to its end, an approval is decided again until that is acknowledged. One
// thread.
class Client {
 public:
  Client(Arena& arena, Ledger& ledger, std::string name, uint64_t seed);
  // Returns after the job that is under way when the arena stops.
  void run();
  // One job to its end.
  void perform(Job& job);

 private:
  using Stream = grpc::ClientReaderWriter<api::RunStreamRequest, api::RunStreamEvent>;

  bool route(Job& job, uint64_t& lost);
  void follow(Job& job, uint64_t& lost);
  grpc::Status follow_once(const Access& access, Job& job);
  void begin(Stream& stream, Job& job, size_t first);
  void react(const Access& access, Stream& stream, Input& input, const api::RunStreamEvent& event);
  // Answers what the crash may have swallowed.
  void repeat(const Access& access, Input& input);
  void decide(const Access& access, const Input& input, const std::string& approval_id);
  void cancel(const Access& access, Input& input);
  void acknowledged(const Access& access, Input& input, const std::string& run_id,
                    const std::string& session_id);
  // Not OK and not the end of the daemon: a problem.
  bool gone(const grpc::Status& status, const std::string& what);
  void finish(Input& input);

  Arena& arena_;
  Ledger& ledger_;
  const std::string name_;
  Random random_;
  int jobs_ = 0;
  std::string session_id_;  // of stream jobs; empty = the next makes one
  uint64_t life_ = 0;       // of the daemon, at the last stream
  uint64_t left_ = 0;  // the life in which this client has left its stream itself; 0 = it has not
  std::set<std::string> decided_;  // approvals whose decision was acknowledged
  std::set<std::string> sent_;     // or at least sent
};

}  // namespace palyra::chaos
