#include "plugins/journal/sqlite/index_entries.h"

#include <sqlite3.h>

#include <cstdint>
#include <new>

namespace palyra::journal::sqlite {
namespace {

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

std::optional<uint64_t> take_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    value |= uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

void pack(int64_t index_id, std::string_view value, std::string& out) {
  put_varint(out, static_cast<uint64_t>(index_id));
  put_varint(out, value.size());
  out.append(value);
}

// The aggregate's memory is zeroed by SQLite: a pointer that is null until the first row.
std::string** packed(sqlite3_context* context, int size) {
  return static_cast<std::string**>(sqlite3_aggregate_context(context, size));
}

void pack_step(sqlite3_context* context, int, sqlite3_value** row) {
  std::string** const out = packed(context, sizeof(std::string*));
  if (out == nullptr) return sqlite3_result_error_nomem(context);
  try {
    if (*out == nullptr) *out = new std::string;
    const auto* const bytes = static_cast<const char*>(sqlite3_value_blob(row[1]));
    const auto size = static_cast<size_t>(sqlite3_value_bytes(row[1]));
    pack(sqlite3_value_int64(row[0]), std::string_view(bytes, bytes == nullptr ? 0 : size), **out);
  } catch (const std::bad_alloc&) {
    sqlite3_result_error_nomem(context);
  }
}

void pack_final(sqlite3_context* context) {
  std::string** const out = packed(context, 0);
  if (out == nullptr || *out == nullptr) return sqlite3_result_zeroblob(context, 0);
  sqlite3_result_blob64(context, (*out)->data(), (*out)->size(), SQLITE_TRANSIENT);
  delete *out;
}

}  // namespace

void pack_entries(std::span<const IndexEntry> entries, std::string& out) {
  out.clear();
  for (const IndexEntry& entry : entries) pack(entry.index_id, entry.value, out);
}

std::optional<IndexEntry> PackedEntries::next() {
  const std::optional<uint64_t> id = take_varint(rest_);
  const std::optional<uint64_t> size = id ? take_varint(rest_) : std::nullopt;
  if (!size || *size > rest_.size()) return std::nullopt;
  const IndexEntry entry{static_cast<int64_t>(*id), rest_.substr(0, static_cast<size_t>(*size))};
  rest_.remove_prefix(static_cast<size_t>(*size));
  return entry;
}

void add_pack_function(sqlite3* db) {
  sqlite3_create_function_v2(db, "pack_entries", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr,
                             nullptr, &pack_step, &pack_final, nullptr);
}

}  // namespace palyra::journal::sqlite
