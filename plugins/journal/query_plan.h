// A QueryRequest made ready for a backend: which index, which bounds, where the page begins.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "palyra/status.hpp"
#include "plugins/journal/catalogue.h"
#include "plugins/journal/words.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace palyra::journal {

// A place in an index: after the document `key` under `value`. For queries by key and by text the
// value is empty.
struct Place {
  std::string value;
  std::string key;
};

struct QueryPlan {
  enum class By { kKey, kIndex, kText };
  By by = By::kKey;
  std::string collection;
  int64_t index_id = 0;
  // Bounds on the key or the index value; empty = open.
  std::string from;
  std::string to;
  // All must match; at least one if by text.
  std::vector<QueryWord> words;
  bool descending = false;
  uint32_t limit = 100;
  // The page begins behind this.
  std::optional<Place> after;
};

// INVALID_ARGUMENT for an undeclared index, a damaged cursor, bounds on a text index or words on
// another one.
Result<QueryPlan> plan_query(const v1::QueryRequest& request, const Catalogue& catalogue);

std::string encode_cursor(const Place& place);

}  // namespace palyra::journal
