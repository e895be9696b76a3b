#include "clients/cli/public_key.h"

#include "clients/cli/settings.h"

#include <cerrno>
#include <cstring>
#include <string_view>

namespace palyra::cli {
namespace {

constexpr size_t kHexKey = 64;
// RFC 8410: SubjectPublicKeyInfo of Ed25519 is these 12 bytes and the key's 32.
constexpr std::string_view kEd25519 = "302a300506032b6570032100";

bool is_hex(std::string_view text) {
  return text.size() == kHexKey &&
         text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

// Base64 to hex; blanks are passed over, anything else ends it.
std::string hex_of_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string hex;
  uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    if (c == '\r' || c == '\n' || c == ' ') continue;
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) break;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    held += 6;
    for (; held >= 4; held -= 4) hex.push_back("0123456789abcdef"[bits >> (held - 4) & 15]);
  }
  // Of half a byte there is none.
  hex.resize(hex.size() / 2 * 2);
  return hex;
}

}  // namespace

PublicKey parse_public_key(const std::string& text) {
  constexpr std::string_view kBegin = "-----BEGIN PUBLIC KEY-----";
  if (is_hex(text)) return {text, ""};
  if (text.find("PRIVATE KEY-----") != std::string::npos) {
    return {"",
            "this is a private key, which stays where it is; take what `palyra audit key` or "
            "`openssl pkey -in FILE -pubout` prints"};
  }
  const size_t begin = text.find(kBegin);
  if (begin == std::string::npos) {
    return {"",
            "holds no public key: neither 64 hex digits nor PEM (-----BEGIN PUBLIC KEY-----); see: "
            "palyra audit key"};
  }
  const std::string hex = hex_of_base64(std::string_view(text).substr(begin + kBegin.size()));
  if (hex.size() != kEd25519.size() + kHexKey || hex.rfind(kEd25519, 0) != 0) {
    return {"", "is a public key of another kind; checkpoints are signed with Ed25519"};
  }
  return {hex.substr(kEd25519.size()), ""};
}

PublicKey read_public_key(const std::string& word) {
  if (is_hex(word)) return {word, ""};
  const auto text = read_small_file(word);
  if (text) return parse_public_key(*text);
  return {"", std::string("neither 64 hex digits nor a file that can be read (") +
                  std::strerror(errno) + "); see: palyra audit key"};
}

}  // namespace palyra::cli
