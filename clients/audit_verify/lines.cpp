#include "clients/audit_verify/lines.h"

#include "clients/audit_verify/primitives.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace palyra::audit_verify {

using Json = nlohmann::json;

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<uint64_t> number_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return {};
  if (found->is_number_unsigned()) return found->get<uint64_t>();
  return found->is_string() ? to_number(found->get<std::string>()) : std::nullopt;
}

std::optional<int64_t> signed_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  // proto3 leaves out what is 0.
  if (found == object.end()) return 0;
  if (found->is_number_integer()) return found->get<int64_t>();
  return found->is_string() ? to_signed(found->get<std::string>()) : std::nullopt;
}

std::optional<std::string> bytes_of(const Json& object, const char* key, size_t size) {
  auto bytes = from_hex(text_of(object, key));
  if (!bytes || bytes->size() != size) return {};
  return bytes;
}

int depth_of(std::string_view json) {
  int depth = 0;
  int most = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      most = std::max(most, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return most;
}

std::string Link::signed_bytes() const {
  std::string bytes;
  put_field(bytes, "palyra.checkpoint.1");
  put_field(bytes, number);
  put_field(bytes, previous);
  put_field(bytes, position);
  put_field(bytes, static_cast<uint64_t>(time_ms));
  put_field(bytes, streams);
  put_field(bytes, heads_digest);
  put_field(bytes, public_key);
  return bytes;
}

std::optional<Link> read_link(const Json& body) {
  if (!body.is_object()) return {};
  const auto number = number_of(body, "number");
  const auto previous = bytes_of(body, "previous", kHash);
  const auto position = number_of(body, "position");
  const auto time_ms = signed_of(body, "timeMs");
  const auto streams = number_of(body, "streams");
  const auto heads_digest = bytes_of(body, "headsDigest", kHash);
  const auto public_key = bytes_of(body, "publicKey", kHash);
  const auto signature = bytes_of(body, "signature", 64);
  if (!number || !previous || !position || !time_ms || !streams || !heads_digest || !public_key ||
      !signature) {
    return {};
  }
  return Link{*number,  *previous,     *position,   *time_ms,
              *streams, *heads_digest, *public_key, *signature};
}

std::optional<Link> read_witness(const std::string& line) {
  if (line.size() > kMaxLine || depth_of(line) > kMaxDepth) return {};
  const Json parsed = Json::parse(line, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("checkpoint")) return {};
  return read_link(parsed["checkpoint"]);
}

}  // namespace palyra::audit_verify
