// libFuzzer: any bytes, split anywhere, give the same events as in one piece, within the limit.
#include "plugins/common/sse/parser.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

std::vector<std::string> parse(std::string_view bytes, size_t portion) {
  std::vector<std::string> events;
  palyra::sse::Parser parser(
      [&events](const palyra::sse::Event& event) {
        if (event.data.size() > 256) std::abort();
        events.push_back(std::string(event.type) + "|" + std::string(event.data) + "|" +
                         std::string(event.id));
        return true;
      },
      256);
  for (size_t at = 0; at < bytes.size(); at += portion) {
    if (!parser.feed(bytes.substr(at, portion)).ok()) break;
  }
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t portion = data[0] % 7 + 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  if (bytes.empty()) return 0;
  if (parse(bytes, portion) != parse(bytes, bytes.size())) std::abort();
  return 0;
}
