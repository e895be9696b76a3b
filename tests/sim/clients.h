// Clients: people and programs that send, cancel, approve and watch, over all lives of the daemon.
#pragma once

#include "tests/sim/daemon.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace palyra::sim {

namespace api = palyra::gateway::v1;

// A message, and what its sender was told about it.
struct Message {
  std::string text;
  std::string key;
  std::string session_id;    // empty = a new one, or the conversation's
  std::string conversation;  // not empty: by RouteMessage
  bool follow_up = false;
  tape::QueueMode mode = tape::QUEUE_MODE_UNSPECIFIED;
  uint32_t coalesce_ms = 0;  // of a conversation's message
  bool acknowledged = false;
  std::string accepted_session;
  std::string run_id;
};

// Somebody who follows one run over all lives of the daemon.
struct Watcher {
  std::string run_id;
  uint64_t next_seq = 1;
  uint32_t turn = 0;
  uint32_t attempt = 0;
  std::string text;
  uint64_t reasoning = 0;
  int daemon = 0;  // attached to; 0 = to none
  gateway::Subscription* subscription = nullptr;
  bool leaves = false;  // has closed its subscription
  bool ended = false;
};

// All functions act on the daemon that is given; what they begin ends with it.
class Clients {
 public:
  Clients(Scene& scene, Observer& observer);

  // One more message, of a kind that the dice choose.
  void send(Daemon& daemon);
  // Of this text in a session of its own or in one that is there.
  void send(Daemon& daemon, bool fresh);
  // A client that does not know whether it was heard, or is just nervous.
  void send_again(Daemon& daemon);
  void cancel_one(Daemon& daemon);
  void watch_one(Daemon& daemon);
  void leave_one(Daemon& daemon);
  void approve_one(Daemon& daemon);
  // Renames, archives or resets a session.
  void change_session(Daemon& daemon);
  // Branches, rewinds, pins, unpins, compacts or expands a conversation.
  void tidy_one(Daemon& daemon);
  // One more message of `size` bytes in the oldest conversation that is known.
  void go_on(Daemon& daemon, size_t size);
  // Compares what the daemon tells of conversations with what is on their tapes.
  void read_back(Daemon& daemon);

  // Whatever is left to do: unanswered messages, watchers of runs that have not ended, questions.
  void finish(Daemon& daemon, bool approve, bool resend);
  void daemon_gone(int number);

  bool all_acknowledged() const;
  bool all_ended() const;
  size_t sent() const { return messages_.size(); }
  size_t runs() const { return watchers_.size(); }
  const std::vector<std::shared_ptr<Message>>& messages() const { return messages_; }
  bool cancelled(const std::string& run_id) const { return cancelled_.count(run_id) != 0; }
  // While two daemons share the sessions, either may refuse what the other holds.
  bool contended = false;

 private:
  Task<void> deliver(Daemon& daemon, std::shared_ptr<Message> message);
  Task<void> cancel(Daemon& daemon, std::string run_id);
  Task<void> approve(Daemon& daemon, bool all);
  Task<void> watch(Daemon& daemon, std::shared_ptr<Watcher> watcher);
  Task<void> change(Daemon& daemon, std::string session_id, int64_t what);
  void see(Watcher& watcher, const api::RunStreamEvent& event);
  Task<void> pin(Daemon& daemon, std::string session_id);
  Task<void> unpin(Daemon& daemon, std::string session_id);
  Task<void> compact(Daemon& daemon, std::string session_id);
  Task<void> expand(Daemon& daemon, std::string session_id);
  Task<void> branch(Daemon& daemon, std::string session_id);
  Task<void> rewind(Daemon& daemon, std::string session_id);
  Task<std::string> some_turn(Daemon& daemon, std::string session_id);
  Task<void> compare(Daemon& daemon, std::string session_id);
  bool heard(const Daemon& daemon, const char* what, const Status& status);
  void know_talk(const std::string& session_id);
  // A watcher of the run, unless it has one.
  void follow(const std::string& run_id);
  bool excused(const Daemon& daemon, Code code) const;
  template <typename T>
  T& any(std::vector<T>& from) {
    return from[static_cast<size_t>(scene_.dice.pick(0, static_cast<int64_t>(from.size()) - 1))];
  }

  Scene& scene_;
  Observer& observer_;
  gateway::Caller caller_;
  std::vector<std::shared_ptr<Message>> messages_;
  std::vector<std::shared_ptr<Watcher>> watchers_;  // the first of each run is never left out
  std::set<std::string> known_runs_;
  std::set<std::string> cancelled_;
  std::set<std::string> archived_;
  std::vector<std::string> talks_;  // sessions, oldest first
  uint64_t facts_ = 0;
  uint64_t compactions_ = 0;
  uint64_t branches_ = 0;
};

}  // namespace palyra::sim
