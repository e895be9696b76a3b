// The functions without EVP: deprecated, but EVP allocates and looks its algorithm up, which costs
// more than hashing 200 bytes, and most of what is hashed here is shorter.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "plugins/common/digest/digest.h"

namespace palyra::digest {

Sha256::Sha256() { SHA256_Init(&context_); }

Sha256& Sha256::update(std::string_view data) {
  SHA256_Update(&context_, data.data(), data.size());
  return *this;
}

Sha256Value Sha256::finish_value() {
  Sha256Value value;
  SHA256_Final(value.data(), &context_);
  SHA256_Init(&context_);
  return value;
}

std::string Sha256::finish() { return std::string(view(finish_value())); }

Sha256Value sha256_value(std::string_view data) { return Sha256().update(data).finish_value(); }

std::string sha256(std::string_view data) { return std::string(view(sha256_value(data))); }

std::string to_hex(std::string_view data) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(data.size() * 2);
  for (const char c : data) {
    const auto byte = static_cast<unsigned char>(c);
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

std::optional<std::string> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  const auto nibble = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string data;
  data.reserve(hex.size() / 2);
  for (size_t i = 0; i < hex.size(); i += 2) {
    const int high = nibble(hex[i]);
    const int low = nibble(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    data.push_back(static_cast<char>(high * 16 + low));
  }
  return data;
}

}  // namespace palyra::digest
