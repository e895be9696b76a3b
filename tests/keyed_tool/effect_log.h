// SPDX-License-Identifier: Apache-2.0
// A counter of effects in files: the remote system of the tests. Survives kill -9 of whoever
// writes. All functions may block; from any thread and process.
#pragma once

#include "palyra/status.hpp"

#include <cstdint>
#include <string>

namespace palyra::testtools {

// Adds `line` and a newline with one write, durable on return.
Status append_line(const std::string& path, const std::string& line);

struct KeyedOutcome {
  int64_t effects = 0;  // lines in the file afterwards
  bool first = false;   // this call added one
};

// Adds "<key> <rest>" unless a line with that key is there.
Result<KeyedOutcome> append_once(const std::string& path, const std::string& key,
                                 const std::string& rest);

}  // namespace palyra::testtools
