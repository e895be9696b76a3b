// SPDX-License-Identifier: Apache-2.0
// Walks a directory tree by descriptors: entries sorted by name, symbolic links reported and never
// followed. May block. [pool]
#pragma once

#include "palyra/status.hpp"
#include "plugins/tools/workspace.h"

#include <functional>
#include <string>

namespace palyra::tools {

struct Entry {
  std::string path;  // below where the walk began
  char type;         // 'f' file, 'd' directory, 'l' symbolic link, 'o' other
  int64_t size = 0;  // bytes, of files
  int directory;     // open, holds the entry; valid during the visit
  std::string name;
};

struct WalkLimits {
  int depth = 1;                    // 1: only the directory itself
  size_t entries_of_one = 100'000;  // of one directory; the rest is left out
};

// Calls `visit` for each entry, a directory before what is in it; `visit` returns false to end. The
// result says whether everything was seen.
Result<bool> walk(Fd directory, const WalkLimits& limits,
                  const std::function<bool(const Entry&)>& visit);

}  // namespace palyra::tools
