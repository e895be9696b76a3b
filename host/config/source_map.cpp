// SPDX-License-Identifier: Apache-2.0
#include "host/config/source_map.h"

#include <algorithm>
#include <cctype>

namespace palyra::host {

std::string Problem::to_string() const {
  std::string text = file;
  if (where.line != 0) {
    text += ':' + std::to_string(where.line) + ':' + std::to_string(where.column);
  }
  if (!text.empty()) text += ": ";
  return text + message;
}

Position SourceMap::find(std::string_view pointer) const {
  std::string key(pointer);
  for (;;) {
    if (auto it = at_.find(key); it != at_.end()) return it->second;
    const size_t slash = key.rfind('/');
    if (slash == std::string::npos) return {};
    key.resize(slash);
  }
}

void SourceMap::graft(const SourceMap& other, std::string_view from, std::string_view to) {
  for (const auto& [pointer, where] : other.at_) {
    const std::string_view view(pointer);
    if (!view.starts_with(from)) continue;
    const std::string_view rest = view.substr(from.size());
    if (!rest.empty() && rest.front() != '/') continue;
    at_[std::string(to).append(rest)] = where;
  }
}

std::string join_pointer(std::string_view base, std::string_view key) {
  std::string out(base);
  out += '/';
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

std::string dotted(std::string_view pointer) {
  std::string out;
  size_t at = 0;
  while (at < pointer.size()) {
    const size_t end = std::min(pointer.find('/', at + 1), pointer.size());
    std::string part;
    for (size_t i = at + 1; i < end; ++i) {
      if (pointer[i] == '~' && i + 1 < end) {
        part += pointer[++i] == '1' ? '/' : '~';
      } else {
        part += pointer[i];
      }
    }
    const bool index = !part.empty() && std::all_of(part.begin(), part.end(), [](unsigned char c) {
      return std::isdigit(c) != 0;
    });
    if (index) {
      out += '[' + part + ']';
    } else {
      if (!out.empty()) out += '.';
      const bool bare = part.find_first_of(". \"'") == std::string::npos && !part.empty();
      out += bare ? part : '"' + part + '"';
    }
    at = end;
  }
  return out;
}

}  // namespace palyra::host
