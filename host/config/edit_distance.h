// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace palyra::host {

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
size_t edit_distance(std::string_view a, std::string_view b);

// The candidate closest to `word`; empty if there is none within a third of its length (at least
// 2).
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// ", did you mean 'x'?", or a list of all candidates if none is near, or nothing.
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace palyra::host
