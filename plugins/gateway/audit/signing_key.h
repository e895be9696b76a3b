// The Ed25519 key that signs checkpoints: a file of its own, the named exception to "the journal is
// the only storage", because what it protects is the journal.
#pragma once

#include "palyra/status.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace palyra::gateway::audit {

// Immutable; any thread.
class SigningKey {
 public:
  // Reads the PEM file (PKCS#8, so that `openssl pkey -in FILE -pubout` works), or makes one with
  // mode 0600. FAILED_PRECONDITION, PERMISSION_DENIED say what to do; the key is in no message.
  static Result<SigningKey> load(const std::string& path);
  // The public key of the file, 32 bytes; makes none. Also NOT_FOUND.
  static Result<std::string> public_key_in(const std::string& path);
  // For tests: 32 bytes.
  static SigningKey of_seed(std::string_view seed);

  // 32 bytes.
  const std::string& public_key() const { return public_key_; }
  // 64 bytes.
  std::string sign(std::string_view bytes) const;

 private:
  explicit SigningKey(std::shared_ptr<void> key);

  std::shared_ptr<void> key_;
  std::string public_key_;
};

bool is_signed(std::string_view public_key, std::string_view bytes, std::string_view signature);

}  // namespace palyra::gateway::audit
