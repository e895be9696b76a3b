// Bytes, hashes and signatures, as docs/audit-format.md uses them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace palyra::audit_verify {

std::optional<std::string> from_hex(std::string_view hex);
std::string to_hex(std::string_view bytes);
// RFC 4648 with padding; nothing else.
std::optional<std::string> from_base64(std::string_view text);
// Decimal, without a sign or leading spaces.
std::optional<uint64_t> to_number(std::string_view text);
std::optional<int64_t> to_signed(std::string_view text);

// Length-prefixed fields.
void put_field(std::string& out, std::string_view bytes);
void put_field(std::string& out, uint64_t number);

std::string sha256(std::string_view bytes);
// The same, in parts.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  void update(std::string_view bytes);
  // Once.
  std::string finish();

 private:
  void* context_;
};
// Ed25519; false for anything of the wrong size.
bool is_signed(std::string_view public_key, std::string_view bytes, std::string_view signature);
// 32 bytes of a public key: hex, or PEM as `openssl pkey -pubout` writes it.
std::optional<std::string> parse_key(const std::string& text);

// The fields of a protobuf message that verification needs: numbers and byte strings by field.
class Fields {
 public:
  // False if the bytes are no message.
  bool parse(std::string_view message);
  uint64_t number(unsigned field) const { return field < kFields ? numbers_[field] : 0; }
  std::string_view bytes(unsigned field) const {
    return field < kFields ? bytes_[field] : std::string_view();
  }

 private:
  static constexpr unsigned kFields = 8;
  uint64_t numbers_[kFields] = {};
  std::string_view bytes_[kFields];
};

}  // namespace palyra::audit_verify
