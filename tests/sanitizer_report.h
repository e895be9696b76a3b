// What a daemon under test said about itself: a sanitizer's report fails the test that started it,
// whatever the daemon's exit code was.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace palyra::testing {

// Ends the test program with the report if there is one in `log`. For destructors of harnesses.
inline void refuse_sanitizer_report(const std::string& log) {
  for (const char* report : {"ERROR: AddressSanitizer", "ERROR: LeakSanitizer",
                             "WARNING: ThreadSanitizer", "runtime error: "}) {
    const size_t at = log.find(report);
    if (at == std::string::npos) continue;
    std::fprintf(stderr, "A sanitizer's report in the daemon's log:\n%s\n",
                 log.substr(log.rfind('\n', at) + 1).c_str());
    std::abort();
  }
}

}  // namespace palyra::testing
