// How many tokens a text is, roughly and rather too many than too few: for budgets and reservations
// before a provider has counted.
#pragma once

#include <cstdint>
#include <string_view>

namespace palyra::tokens {

// What a message costs beside its text.
constexpr int64_t kPerMessage = 4;

// Two tokens for seven ASCII bytes, three for two other code points. 0 for an empty text. Any
// bytes.
int64_t estimate(std::string_view text);

}  // namespace palyra::tokens
