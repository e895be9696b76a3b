// What one client asks of the daemon: a job is one or more messages on one session. Pure.
#pragma once

#include "tests/chaos/plan.h"
#include "tests/chaos/view.h"

#include <string>
#include <vector>

namespace palyra::chaos {

// One message, which becomes one run.
struct Input {
  std::string label;  // unique; part of the text and the idempotency key
  std::string text;
  std::string model;                 // "instance/model"
  ToolKind tool = ToolKind::kMixed;  // of all its calls
  std::string value;                 // of its first test.keyed or test.opaque call
  std::string path;                  // of its first fs.write, in the workspace
  size_t text_bytes = 0;             // of its answer, if the message says so; 0 = it does not
  bool deny = false;                 // what its approvals become
  bool cancel = false;               // cancelled while its tool runs
  bool may_fail = false;             // its model fails, once in every life of the daemon or always
  bool behind = false;               // another message of its stream is answered first
  bool compaction = false;           // no message: older turns are summed up

  RunView view;  // what its client saw
  bool cancel_acknowledged = false;
};

struct Job {
  enum class Way { kStream, kRoute };
  Way way = Way::kStream;
  std::string conversation;  // of a route; shared with other clients if it begins with "shared"
  std::vector<Input> inputs;
  // What becomes of the conversation of a stream when they are answered.
  enum class Then { kNothing, kBranch, kRewind, kUndo, kCompact };
  Then then = Then::kNothing;
};

// `label` is unique. Two thirds of all jobs serve the aim, the others are anything.
Job make_job(const std::string& label, Aim aim, Random& random);

// One message with a call of each effect class, one of which is asked about.
Job make_full_job(const std::string& label, Random& random);

// Messages that are answered at once, on one stream.
Job make_talk(const std::string& label, int64_t messages);

// The steps of the instance "scripted".
const char* script();

}  // namespace palyra::chaos
