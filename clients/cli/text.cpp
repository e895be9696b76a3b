#include "clients/cli/text.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

namespace palyra::cli {

namespace {

// The code point at `at` and its bytes; size 0 if there is no valid one (RFC 3629).
struct CodePoint {
  uint32_t value = 0;
  size_t size = 0;
};

CodePoint decode(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return {lead, 1};
  const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || at + size > text.size()) return {};
  uint32_t value = lead & (0xFFu >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return {};
    value = (value << 6) | (byte(at + i) & 0x3Fu);
  }
  const bool overlong = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
  if (overlong || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return {};
  return {value, size};
}

bool reorders(uint32_t point) {
  return (point >= 0x202A && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
}

bool is_control(uint32_t point) { return point < 0x20 || (point >= 0x7F && point <= 0x9F); }

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    if (point.size == 0) {
      out += "\xEF\xBF\xBD";
      ++at;
      continue;
    }
    const bool kept = point.value == '\n' || point.value == '\t' ||
                      (!is_control(point.value) && !reorders(point.value));
    if (kept) out.append(text, at, point.size);
    at += point.size;
  }
  return out;
}

std::string one_line(std::string_view text) {
  std::string out = printable(text);
  for (char& c : out) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return out;
}

std::string shortened(std::string_view text, size_t limit) {
  std::string line = one_line(text);
  if (line.size() <= limit) return line;
  size_t size = limit;
  while (size > 0 && (static_cast<unsigned char>(line[size]) & 0xC0) == 0x80) --size;
  return line.substr(0, size) + " ...";
}

std::vector<std::string> wrapped(std::string_view text, size_t width) {
  width = std::max<size_t>(width, 8);
  std::vector<std::string> lines;
  if (text.empty()) return lines;
  const std::string clean = printable(text);
  std::string line;
  size_t points = 0;
  size_t blank = 0;  // bytes of the line up to its last blank
  const auto end_line = [&](std::string rest) {
    lines.push_back(std::move(line));
    line = std::move(rest);
    points = static_cast<size_t>(std::count_if(
        line.begin(), line.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
    blank = 0;
  };
  for (const char c : clean) {
    if (c == '\n') {
      end_line({});
      continue;
    }
    const bool begins = (static_cast<uint8_t>(c) & 0xC0) != 0x80;
    if (begins && points == width) {
      if (c == ' ') {
        end_line({});
        continue;
      }
      std::string rest = line.substr(blank == 0 ? line.size() : blank);
      if (blank > 0) line.resize(blank - 1);
      end_line(std::move(rest));
    }
    line += c == '\t' ? ' ' : c;
    if (begins) ++points;
    if (c == ' ' || c == '\t') blank = line.size();
  }
  if (!line.empty()) lines.push_back(std::move(line));
  return lines;
}

std::string padded(std::string text, size_t width) {
  const auto points = static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
  if (points < width) text.append(width - points, ' ');
  return text;
}

std::string terminal_json(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (size_t at = 0; at < json.size();) {
    const CodePoint point = decode(json, at);
    const size_t size = point.size == 0 ? 1 : point.size;
    // Outside of strings JSON has no code points of these kinds.
    if ((point.value >= 0x7F && point.value <= 0x9F) || reorders(point.value)) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(point.value));
      out += escape;
    } else {
      out.append(json, at, size);
    }
    at += size;
  }
  return out;
}

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    if (point.size == 0) return false;
    at += point.size;
  }
  return true;
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  // Optimal string alignment.
  const auto distance = [&](std::string_view other) {
    const size_t width = other.size() + 1;
    std::vector<size_t> cost((word.size() + 1) * width);
    for (size_t i = 0; i <= word.size(); ++i) {
      for (size_t j = 0; j <= other.size(); ++j) {
        size_t& best = cost[i * width + j];
        if (i == 0 || j == 0) {
          best = i + j;
          continue;
        }
        const size_t change = word[i - 1] == other[j - 1] ? 0 : 1;
        best = std::min({cost[(i - 1) * width + j] + 1, cost[i * width + j - 1] + 1,
                         cost[(i - 1) * width + j - 1] + change});
        if (i > 1 && j > 1 && word[i - 1] == other[j - 2] && word[i - 2] == other[j - 1]) {
          best = std::min(best, cost[(i - 2) * width + j - 2] + 1);
        }
      }
    }
    return cost.back();
  };
  std::string found;
  size_t best = 3;
  for (const std::string& name : known) {
    // A short word is close to everything.
    const size_t away = distance(name);
    if (away < best && away < name.size() - 1) {
      best = away;
      found = name;
    }
  }
  if (!found.empty() || word.empty()) return found;
  int candidates = 0;
  for (const std::string& name : known) {
    if (name.rfind(word, 0) != 0) continue;
    found = name;
    ++candidates;
  }
  return candidates == 1 ? found : "";
}

std::string_view last_line(std::string_view text) {
  const size_t last = text.find_last_not_of("\r\n \t");
  if (last == std::string_view::npos) return {};
  text = text.substr(0, last + 1);
  return text.substr(text.rfind('\n') + 1);
}

std::string shell_word(std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=:,@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(text);
  }
  std::string quoted = "'";
  for (const char each : text) quoted += each == '\'' ? std::string("'\\''") : std::string(1, each);
  return quoted + "'";
}

std::string toml_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04X", static_cast<unsigned>(byte));
      out += escape;
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace palyra::cli
