#include "tests/e2e/audit_verifier.h"

#include <nlohmann/json.hpp>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <sstream>

namespace palyra::e2e {

namespace {

std::string sha256(const std::string& bytes) {
  unsigned char out[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), out);
  return {reinterpret_cast<char*>(out), sizeof out};
}

std::string hex(const std::string& bytes) {
  const char* digits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

std::string from_hex(const std::string& text) {
  std::string out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    out += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  }
  return out;
}

std::string from_base64(const std::string& text) {
  std::string out(text.size(), '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  size_t pad = 0;
  while (pad < 2 && pad < text.size() && text[text.size() - 1 - pad] == '=') ++pad;
  out.resize(size < 0 ? 0 : static_cast<size_t>(size) - pad);
  return out;
}

std::string big_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>((value >> (8 * i)) & 255);
  return out;
}

std::string field(const std::string& bytes) { return big_endian(bytes.size(), 4) + bytes; }

}  // namespace

std::string verify_export(const std::string& ndjson, std::string* head, int* records) {
  std::string previous(32, '\0');
  uint64_t expected = 1;
  std::istringstream lines(ndjson);
  for (std::string line; std::getline(lines, line);) {
    const std::string where = "line " + std::to_string(expected) + ": ";
    const auto record = nlohmann::json::parse(line, nullptr, false);
    if (!record.is_object()) return where + "no JSON object";
    const auto text = [&](const char* name) { return record.value(name, std::string()); };
    if (text("seq") != std::to_string(expected)) return where + "seq is " + text("seq");
    if (text("prevHash") != hex(previous)) return where + "prevHash is " + text("prevHash");
    if (!record.value("erased", false)) {
      const std::string digest = sha256(from_hex(text("salt")) + from_base64(text("payload")));
      if (hex(digest) != text("payloadDigest")) return where + "the payload was altered";
    }
    const auto time = static_cast<uint64_t>(std::stoll("0" + text("timeNs")));
    const std::string hash =
        sha256(field("palyra.record.1") + field(text("stream")) + field(big_endian(expected, 8)) +
               field(previous) + field(text("type")) + field(big_endian(time, 8)) +
               field(from_hex(text("payloadDigest"))));
    if (hex(hash) != text("hash")) return where + "the record was altered";
    previous = hash;
    ++expected;
  }
  *head = hex(previous);
  *records = static_cast<int>(expected - 1);
  return "";
}

}  // namespace palyra::e2e
