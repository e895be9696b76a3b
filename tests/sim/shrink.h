// Shrink: the shortest history that breaks the same promise.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace palyra::sim {

// Leaves out, zeroes and lowers choices as long as `invariant` is still what breaks first; at most
// `tries` histories are told. What comes back breaks it too.
std::vector<uint32_t> shrink(std::vector<uint32_t> choices, const std::string& invariant,
                             uint64_t tries);

// A file of choices: numbers with spaces between them. Empty if it cannot be read.
bool write_choices(const std::string& path, const std::vector<uint32_t>& choices);
std::vector<uint32_t> read_choices(const std::string& path);

}  // namespace palyra::sim
