// Two runs or branches beside each other, for people.
#pragma once

#include "palyra/gateway/v1/history.pb.h"
#include "palyra/gateway/v1/replay.pb.h"

#include <string>

namespace palyra::cli {

// Columns of the terminal behind `fd`; 0 if it is none.
int terminal_width(int fd);

// Two columns from 80 columns on; below, and where there is no terminal (width 0), one under the
// other with - and +. Steps that are the same take one line.
std::string render(const palyra::gateway::v1::RunComparison& comparison, int width);

// The same for two branches: the last turn that both have, then what each has since, side by side.
// `left` and `right` name them.
std::string render(const palyra::gateway::v1::CompareSessionsResponse& comparison,
                   const std::string& left, const std::string& right, int width);

}  // namespace palyra::cli
