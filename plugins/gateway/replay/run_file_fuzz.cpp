// libFuzzer: tests/compat/README.md says how it is run.
#include "plugins/gateway/replay/run_file_probe.h"

#include <google/protobuf/stubs/logging.h>

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const google::protobuf::LogSilencer silence;
  palyra::gateway::replay::probe_run_file({reinterpret_cast<const char*>(data), size});
  return 0;
}
