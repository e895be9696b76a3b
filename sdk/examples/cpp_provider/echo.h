// What the echo model answers. Knows no host.
#pragma once

#include <string>
#include <string_view>
#include <vector>

// The words of `text`, each with the white space that follows it.
std::vector<std::string> words_of(std::string_view text);
