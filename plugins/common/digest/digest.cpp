#include "plugins/common/digest/digest.h"

#include <openssl/evp.h>

#include <new>
#include <utility>

namespace palyra::digest {
namespace {

// Fetched once and kept: an implicit fetch for each digest costs more than a short digest.
const EVP_MD* algorithm() {
  static const EVP_MD* const kSha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return kSha256;
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr || EVP_DigestInit_ex2(context_, algorithm(), nullptr) != 1) {
    throw std::bad_alloc();
  }
}

Sha256::~Sha256() { EVP_MD_CTX_free(context_); }

Sha256::Sha256(Sha256&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}

Sha256& Sha256::operator=(Sha256&& other) noexcept {
  std::swap(context_, other.context_);
  return *this;
}

Sha256& Sha256::update(std::string_view data) {
  EVP_DigestUpdate(context_, data.data(), data.size());
  return *this;
}

Sha256Value Sha256::finish_value() {
  Sha256Value value;
  EVP_DigestFinal_ex(context_, value.data(), nullptr);
  EVP_DigestInit_ex2(context_, nullptr, nullptr);
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
