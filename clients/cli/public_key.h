// A public key as people hand it over.
#pragma once

#include <string>

namespace palyra::cli {

struct PublicKey {
  std::string hex;      // 64 digits; empty = there is none
  std::string problem;  // why, and what to do
};

// 64 hex digits, or a file with them (palyra audit key) or with the PEM of an Ed25519 public key
// (openssl pkey -pubout).
PublicKey read_public_key(const std::string& word);
// The same of a file's content.
PublicKey parse_public_key(const std::string& text);

}  // namespace palyra::cli
