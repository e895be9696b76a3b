#include "plugins/journal/record_hash.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>

namespace palyra::journal {
namespace {

// The lines of the worked example in docs/audit-format.md, which stand between ```ndjson and ```.
std::vector<nlohmann::json> example() {
  const char* const root = std::getenv("PALYRA_SOURCE_DIR");
  std::ifstream file(std::string(root != nullptr ? root : ".") + "/docs/audit-format.md");
  std::vector<nlohmann::json> lines;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("```", 0) == 0) {
      inside = line == "```ndjson";
    } else if (inside) {
      auto json = nlohmann::json::parse(line);
      if (json.contains("stream")) lines.push_back(std::move(json));
    }
  }
  return lines;
}

std::string base64(const std::string& text) {
  static const std::string kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == std::string::npos) break;
    bits = (bits << 6) | static_cast<unsigned>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>(bits >> count));
      bits &= (1u << count) - 1;
    }
  }
  return out;
}

TEST(AuditFormat, TheWorkedExampleIsRight) {
  RecordHasher hasher;
  std::string prev(digest::view(kNoHash));
  const auto lines = example();
  ASSERT_EQ(lines.size(), 2u);
  uint64_t seq = 0;
  for (const auto& line : lines) {
    const auto bytes = [&](const char* field) {
      return digest::from_hex(line.at(field).get<std::string>()).value_or("not hex");
    };
    const std::string payload = base64(line.at("payload").get<std::string>());
    const Hash payload_digest = hasher.payload_digest(bytes("salt"), payload);
    const std::string stream = line.at("stream");
    const std::string type = line.at("type");
    const Hash hash =
        hasher.record_hash({.stream = stream,
                            .seq = ++seq,
                            .prev_hash = prev,
                            .type = type,
                            .wall_time_ns = std::stoll(line.at("timeNs").get<std::string>()),
                            .payload_digest = digest::view(payload_digest)});
    EXPECT_EQ(line.at("seq"), std::to_string(seq));
    EXPECT_EQ(line.at("prevHash"), digest::to_hex(prev));
    EXPECT_EQ(line.at("payloadDigest"), digest::to_hex(digest::view(payload_digest)));
    EXPECT_EQ(line.at("hash"), digest::to_hex(digest::view(hash)));
    prev = std::string(digest::view(hash));
  }
}

TEST(RecordHash, FieldsCannotRunIntoEachOther) {
  RecordHasher hasher;
  const std::string zeros(32, '\0');
  const auto hash = [&](std::string_view stream, std::string_view type) {
    return hasher.record_hash({.stream = stream,
                               .seq = 1,
                               .prev_hash = zeros,
                               .type = type,
                               .wall_time_ns = 1,
                               .payload_digest = zeros});
  };
  EXPECT_NE(hash("ab", "c"), hash("a", "bc"));
  EXPECT_EQ(hash("ab", "c"), hash("ab", "c"));
}

}  // namespace
}  // namespace palyra::journal
