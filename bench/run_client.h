// Runs against the real daemon, as rows need them.
#pragma once

#include "tests/e2e/daemon.h"

#include <cstdint>
#include <functional>
#include <string>

namespace palyra::bench {

// A daemon that answers with its offline model and refuses no pace.
e2e::DaemonOptions unhindered();
// Throws with the daemon's log if it does not start.
void start(e2e::Daemon& daemon);

struct RunEnds {
  std::string session_id;
  std::string run_id;
  double first_token_seconds = 0;
};
// One run to its end; empty session: a new one. Throws if it fails.
RunEnds run_once(e2e::Daemon& daemon, const std::string& text, const std::string& session,
                 const std::string& agent);

// `clients` at once, each one run after the other while another(runs so far) says so: a new session
// after `runs_per_session` runs, 0 = never. Throws if a run fails. The number of runs.
uint64_t run_many(e2e::Daemon& daemon, int clients, const std::string& text,
                  uint64_t runs_per_session, const std::function<bool(uint64_t)>& another);

// Seconds of processor time a process ("self" or a number) has had, all threads.
double processor_seconds(const std::string& process);

}  // namespace palyra::bench
