// Promises: the sentences of docs/effects.md that the checks enforce, word for word.
#pragma once

#include <string>

namespace palyra::sim {

// The sentence behind an invariant; empty if it has none there.
std::string sentence(const std::string& invariant);

// Empty if every sentence is in the document; otherwise one line for each that is not.
std::string missing_from(const std::string& document);

}  // namespace palyra::sim
