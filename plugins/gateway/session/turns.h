// Walks over the turns of a conversation, from one of them back to the first.
#pragma once

#include "palyra/gateway/v1/history.pb.h"
#include "plugins/gateway/run/compile.h"
#include "plugins/gateway/session/documents.h"

#include <map>
#include <optional>
#include <string>

namespace palyra::gateway {

// A turn and where its record is.
struct FoundTurn {
  tape::TurnRef at;
  tape::TurnAdded turn;
  int64_t wall_time_ns = 0;
};

// From parent to parent by where their records are, into other sessions' streams where a session
// was branched: one read for each page of records, whatever the length of the session. Turns from
// before records said where their parents are: the nearest one of that id further back.
class TurnWalk {
 public:
  // `from` without seq is looked for from the end of its session's stream on.
  TurnWalk(Journal& journal, tape::TurnRef from);

  // The next one; none at the beginning, or where a record is gone. Errors are the journal's.
  Task<Result<std::optional<FoundTurn>>> next();

 private:
  Task<Status> read(uint64_t from_seq);
  Task<Result<std::optional<FoundTurn>>> search();

  Journal& journal_;
  tape::TurnRef wanted_;                      // empty turn = the end
  uint64_t below_ = 0;                        // search: records up to this one; 0 = from the end
  std::string page_session_;                  // whose records `page_` holds
  std::map<uint64_t, service::Record> page_;  // by sequence number
};

// What clients are told of a turn from its record; where it is on the path is left to the caller.
api::TurnInfo turn_info(const FoundTurn& found);

// The run behind a turn as one piece of context; without messages if its tape is gone or erased.
Task<Result<run::Piece>> read_turn(Journal& journal, tape::TurnAdded turn);

// Where a conversation goes on behind the first record of a session's stream: in the session that
// it was branched from. Without turn if it was not. If the record that says so is erased, its first
// turn's parent tells.
Task<Result<tape::TurnRef>> branched_from(Journal& journal, std::string session_id);

// The turn of that id in a session or one that it was branched from, whether or not the head leads
// to it; looked for backwards. NOT_FOUND.
Task<Result<FoundTurn>> find_turn(Journal& journal, std::string session_id, std::string turn_id);

}  // namespace palyra::gateway
