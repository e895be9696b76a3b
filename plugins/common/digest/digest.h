// SHA-256 and hex, for whoever names content by its digest.
#pragma once

#include <openssl/sha.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace palyra::digest {

constexpr size_t kSha256Size = 32;
using Sha256Value = std::array<uint8_t, kSha256Size>;

// Incremental; may be used again after finish(). A value, without memory elsewhere. Not
// thread-safe.
class Sha256 {
 public:
  Sha256();

  Sha256& update(std::string_view data);
  // The digest of all since the beginning or the last finish().
  Sha256Value finish_value();
  // The same as 32 bytes in a string.
  std::string finish();

 private:
  SHA256_CTX context_;
};

// 32 bytes. [any thread]
std::string sha256(std::string_view data);
Sha256Value sha256_value(std::string_view data);

inline std::string_view view(const Sha256Value& value) {
  return {reinterpret_cast<const char*>(value.data()), value.size()};
}

// Lower case.
std::string to_hex(std::string_view data);
// Either case; nullopt for an odd length or another character.
std::optional<std::string> from_hex(std::string_view hex);

}  // namespace palyra::digest
