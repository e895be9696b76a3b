#include "plugins/journal/query_plan.h"

#include <string_view>

namespace palyra::journal {
namespace {

constexpr char kCursorVersion = 1;

Status invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message), PALYRA_ERROR_USER_FAULT};
}

// One byte version, two bytes length of the value, value, key.
std::optional<Place> decode_cursor(std::string_view cursor) {
  if (cursor.size() < 3 || cursor[0] != kCursorVersion) return std::nullopt;
  const size_t size =
      static_cast<size_t>(static_cast<uint8_t>(cursor[1])) * 256 + static_cast<uint8_t>(cursor[2]);
  if (cursor.size() < 3 + size) return std::nullopt;
  return Place{std::string(cursor.substr(3, size)), std::string(cursor.substr(3 + size))};
}

}  // namespace

std::string encode_cursor(const Place& place) {
  std::string cursor(1, kCursorVersion);
  cursor.push_back(static_cast<char>(place.value.size() >> 8));
  cursor.push_back(static_cast<char>(place.value.size() & 0xFF));
  return cursor + place.value + place.key;
}

Result<QueryPlan> plan_query(const v1::QueryRequest& request, const Catalogue& catalogue) {
  QueryPlan plan;
  plan.collection = request.collection();
  plan.from = request.from();
  plan.to = request.to();
  plan.descending = request.descending();
  if (request.limit() != 0) plan.limit = request.limit();
  if (!request.cursor().empty()) {
    plan.after = decode_cursor(request.cursor());
    if (!plan.after) return invalid("query: the cursor is not one that this journal gave out");
  }
  if (request.index().empty()) {
    if (!request.text().empty()) return invalid("query: words need a text index");
    return plan;
  }
  const Index* const index = catalogue.find_index(request.collection(), request.index());
  if (index == nullptr) {
    return invalid("query: collection " + request.collection() + " declares no index " +
                   request.index());
  }
  plan.index_id = index->id;
  if (index->kind != v1::INDEX_KIND_TEXT) {
    if (!request.text().empty()) {
      return invalid("query: index " + request.index() + " is not a text index");
    }
    plan.by = QueryPlan::By::kIndex;
    return plan;
  }
  if (!request.from().empty() || !request.to().empty()) {
    return invalid("query: text index " + request.index() + " has no range; give words");
  }
  plan.by = QueryPlan::By::kText;
  plan.words = query_words(request.text());
  if (plan.words.empty()) return invalid("query: text has no word to look for");
  if (plan.words.size() > 32) return invalid("query: text has more than 32 words");
  return plan;
}

}  // namespace palyra::journal
