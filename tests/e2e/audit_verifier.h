// A verifier of exported tapes, written from docs/audit-format.md alone: it shares no code with
// Palyra.
#pragma once

#include <string>

namespace palyra::e2e {

// Empty if the NDJSON verifies; else what is wrong, with its line. `head` gets the last hash.
std::string verify_export(const std::string& ndjson, std::string* head, int* records);

}  // namespace palyra::e2e
