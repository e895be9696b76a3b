// One client of the load: does jobs, one after the other, whatever happens to the daemon.
#pragma once

#include "palyra/gateway/v1/sessions.grpc.pb.h"
#include "tests/chaos/arena.h"

#include <functional>
#include <set>
#include <string>

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
  // What becomes of the last stream's conversation.
  void tidy(Job::Then then, const std::string& label);

 private:
  using Stream = grpc::ClientReaderWriter<api::RunStreamRequest, api::RunStreamEvent>;

  bool route(Job& job, uint64_t& lost);
  void follow(Job& job, uint64_t& lost);
  grpc::Status follow_once(const Access& access, Job& job);
  void begin(Stream& stream, Job& job, size_t first);
  void react(const Access& access, Stream& stream, Input& input, const api::RunStreamEvent& event);
  // client_history.cpp
  using Question = std::function<grpc::Status(const Access&, grpc::ClientContext&)>;
  void tidy(Job::Then then, const std::string& label, uint64_t& lost);
  bool ask(const Input& what, uint64_t& lost, const Question& question);
  grpc::Status look(const Access& access, api::Session* session);
  bool any_turn(const Input& what, uint64_t& lost, std::string* turn_id);
  void branch(const Input& what, uint64_t& lost);
  void rewind(const Input& what, bool undo, uint64_t& lost);
  bool move(const Input& what, const api::RewindSessionRequest& request, const std::string& head,
            uint64_t& lost, api::Session* moved);
  void compact(Input what, uint64_t& lost);
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
