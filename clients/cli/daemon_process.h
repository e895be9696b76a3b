// The daemon as a process: start, stop, is it there.
#pragma once

#include "clients/cli/settings.h"

#include <string>
#include <sys/types.h>

namespace palyra::cli {

// The daemon that holds the state directory; 0 if none does. A pid left behind by a daemon that was
// killed does not count, whoever has it now.
pid_t running_daemon(const std::string& state_dir);

// Makes a directory and its parents, itself of mode 0700; errno and false on failure.
bool make_private_directory(const std::string& path);

// The palyrad beside this program, or the one of $PATH.
std::string daemon_program();

int start_daemon(const GlobalOptions& options);
int stop_daemon(const GlobalOptions& options, int seconds);
int print_logs(const GlobalOptions& options, int lines, bool follow);

}  // namespace palyra::cli
