// SPDX-License-Identifier: Apache-2.0
#include "host/config/edit_distance.h"

#include <algorithm>

namespace palyra::host {

size_t edit_distance(std::string_view a, std::string_view b) {
  constexpr size_t kLongest = 128;  // longer words are not typing errors
  a = a.substr(0, kLongest);
  b = b.substr(0, kLongest);
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> now(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        now[j] = std::min(now[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(now);
  }
  return last[b.size()];
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  size_t best = std::max<size_t>(2, word.size() / 3) + 1;
  std::string found;
  for (const auto& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  if (candidates.empty()) return "";
  if (const auto near = nearest(word, candidates); !near.empty()) {
    return "; did you mean '" + near + "'?";
  }
  constexpr size_t kMostListed = 12;
  std::string text = "; known here: ";
  for (size_t i = 0; i < candidates.size() && i < kMostListed; ++i) {
    if (i > 0) text += ", ";
    text += candidates[i];
  }
  if (candidates.size() > kMostListed) text += ", ...";
  return text;
}

}  // namespace palyra::host
