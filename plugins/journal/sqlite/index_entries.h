// The index entries of a document as they lie beside it, so that a change of the document knows
// which of them go without an index to find them by.
#pragma once

#include "plugins/journal/apply.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>

struct sqlite3;

namespace palyra::journal::sqlite {

// Each entry: index id, length of the value, value; numbers as base-128 varints, low bits first. In
// the order of (index id, value bytes), which `entries` have.
void pack_entries(std::span<const IndexEntry> entries, std::string& out);

// Reads what was packed; ends at the first thing that is not an entry. Borrows the bytes.
class PackedEntries {
 public:
  explicit PackedEntries(std::string_view bytes) : rest_(bytes) {}
  std::optional<IndexEntry> next();

 private:
  std::string_view rest_;
};

// Gives the connection the SQL aggregate pack_entries(index_id, value) for migrations. Rows must
// come in order.
void add_pack_function(sqlite3* db);

}  // namespace palyra::journal::sqlite
