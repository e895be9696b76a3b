#include "tests/chaos/fault_vfs/environment.h"

#include "tests/chaos/fault_vfs/control.h"
#include "tests/e2e/daemon.h"

#include <cstdlib>

namespace palyra::chaos {

std::vector<std::string> fault_environment(const std::string& control) {
  const char* const options = std::getenv("ASAN_OPTIONS");
  return {"LD_PRELOAD=" + e2e::build_dir() + "/tests/libpalyra_fault_vfs.so",
          std::string(kControlVariable) + "=" + control,
          // The preloaded library comes before the sanitizer's and replaces nothing of it.
          "ASAN_OPTIONS=" + (options != nullptr ? std::string(options) + ":" : std::string()) +
              "verify_asan_link_order=0"};
}

}  // namespace palyra::chaos
