// Long histories in little time: a run that a daemon really made, copied many times into its store.
#pragma once

#include "palyra/gateway/v1/gateway.pb.h"
#include "palyra/service/v1/journal.pb.h"

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace palyra::bench {

// One finished run of a session of its own, with its records and documents. The daemon is stopped
// while this is used.
class TapeLoader {
 public:
  // Reads the run from the store of a daemon with this state directory.
  TapeLoader(std::string state_dir, std::string session_id, std::string run_id);

  // A new session with `runs` copies of the run, one turn after the other; its id.
  std::string long_session(int runs);
  // `count` sessions with one run each whose daemon died under its first model turn.
  void unfinished(int count);

 private:
  struct Store;
  using Ids = std::vector<std::pair<std::string, std::string>>;

  std::string fresh_id(const std::string& like);
  // Bytes with all ids replaced: they are of one length, so messages stay messages.
  static std::string renamed(std::string bytes, const Ids& ids);
  void load(const std::function<void(Store&)>& fn);

  const std::string path_;
  const std::string session_id_;
  const std::string run_id_;
  std::string input_id_;
  std::vector<palyra::service::v1::Record> session_records_;
  std::vector<palyra::service::v1::Record> run_records_;
  palyra::gateway::v1::Session session_;
  palyra::gateway::v1::Run run_;
  uint64_t last_id_ = 0;
};

}  // namespace palyra::bench
