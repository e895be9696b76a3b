// SPDX-License-Identifier: Apache-2.0
// Where in the file each value of the configuration stands, by JSON pointer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace palyra::host {

// Line and column count from 1; 0 = unknown.
struct Position {
  uint32_t line = 0;
  uint32_t column = 0;
};

// One thing that is wrong with the configuration, said so that a person can fix it.
struct Problem {
  std::string file;
  Position where;
  std::string message;

  // "palyra.toml:3:1: unknown key ..."; without the numbers if they are unknown.
  std::string to_string() const;
};

class SourceMap {
 public:
  void set(std::string pointer, Position where) { at_[std::move(pointer)] = where; }
  // The position of `pointer`, or of its nearest ancestor that has one.
  Position find(std::string_view pointer) const;
  // Takes every position below `from` of `other` over, as if it stood below `to` here.
  void graft(const SourceMap& other, std::string_view from, std::string_view to);

 private:
  std::unordered_map<std::string, Position> at_;
};

// The pointer of `key` below `base`, escaped as RFC 6901 says.
std::string join_pointer(std::string_view base, std::string_view key);

// "gateway.policy.rules[2].tool" for people, from "/gateway/policy/rules/2/tool".
std::string dotted(std::string_view pointer);

}  // namespace palyra::host
