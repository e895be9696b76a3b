// What is read of a line: nothing of it is trusted.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace palyra::audit_verify {

constexpr size_t kHash = 32;
// More costs more than it is worth, and is refused.
constexpr size_t kMaxLine = size_t{32} << 20;
constexpr int kMaxDepth = 16;

// Fields of an object: nothing, or an empty text, if it is missing or has another form.
std::string text_of(const nlohmann::json& object, const char* key);
// A 64-bit integer: a decimal string, or a number that a careless tool made of it.
std::optional<uint64_t> number_of(const nlohmann::json& object, const char* key);
// 0 if it is missing.
std::optional<int64_t> signed_of(const nlohmann::json& object, const char* key);
// Of so many bytes, in hex.
std::optional<std::string> bytes_of(const nlohmann::json& object, const char* key, size_t size);
// Depth of brackets outside of strings.
int depth_of(std::string_view json);

// A checkpoint without its heads. Bytes, not hex.
struct Link {
  uint64_t number = 0;
  std::string previous;
  uint64_t position = 0;
  int64_t time_ms = 0;
  uint64_t streams = 0;
  std::string heads_digest;
  std::string public_key;
  std::string signature;

  std::string signed_bytes() const;
};
// From the object behind "checkpoint"; nothing if a field is missing or has the wrong form.
std::optional<Link> read_link(const nlohmann::json& body);
// From a line {"checkpoint": {...}}.
std::optional<Link> read_witness(const std::string& line);

}  // namespace palyra::audit_verify
