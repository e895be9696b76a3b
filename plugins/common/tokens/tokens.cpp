#include "plugins/common/tokens/tokens.h"

namespace palyra::tokens {

int64_t estimate(std::string_view text) {
  int64_t ascii = 0;
  int64_t others = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    ascii += byte < 0x80 ? 1 : 0;
    others += byte >= 0xC0 ? 1 : 0;
  }
  // Continuation bytes without a start are garbage; a provider counts them all the same.
  const auto size = static_cast<int64_t>(text.size());
  if (size - ascii > others * 3) others = (size - ascii + 2) / 3;
  return (ascii * 2 + 6) / 7 + (others * 3 + 1) / 2;
}

}  // namespace palyra::tokens
