// The daemon as a process: start, stop, is it there.
#pragma once

#include "clients/cli/settings.h"

#include <string>
#include <sys/types.h>

namespace palyra::cli {

// The pid in the state directory's pid file if that process lives; 0 otherwise.
pid_t running_daemon(const std::string& state_dir);

// The palyrad beside this program, or the one of $PATH.
std::string daemon_program();

int start_daemon(const GlobalOptions& options);
int stop_daemon(const GlobalOptions& options, int seconds);
int print_logs(const GlobalOptions& options, int lines, bool follow);

}  // namespace palyra::cli
