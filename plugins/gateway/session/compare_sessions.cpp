// Where two branches part, and what each has since.
#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/gateway/session/validate.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace palyra::gateway {
namespace {

constexpr size_t kMostTurns = 100'000;
constexpr uint32_t kMostAPage = 100;
constexpr size_t kShownBytes = 4 * 1024;

// One of the two, from its head back.
struct Side {
  Side(Journal& journal, const Session& session) : walk(journal, session.head()) {}

  TurnWalk walk;
  std::vector<FoundTurn> turns;
  std::unordered_map<std::string, size_t> places;  // in `turns`, by turn id
  bool done = false;
};

// One turn further back; false if it was the first one, or more than there may be.
Task<Result<bool>> step(Side* side) {
  if (side->done) co_return false;
  auto next = co_await side->walk.next();
  if (!next.ok()) co_return next.status();
  if (!*next) {
    side->done = true;
    co_return false;
  }
  if (side->turns.size() == kMostTurns) {
    co_return Status(Code::kOutOfRange,
                     "the sessions have parted more than 100,000 turns ago, if they ever were one; "
                     "read their turns with: palyra sessions turns");
  }
  side->places.emplace((*next)->at.turn_id(), side->turns.size());
  side->turns.push_back(std::move(**next));
  co_return true;
}

// Cuts what both have; the newest of that, if there is any.
std::optional<FoundTurn> part(Side& left, Side& right, const std::string& turn_id) {
  const size_t mine = left.places.at(turn_id);
  const size_t other = right.places.at(turn_id);
  FoundTurn common = std::move(left.turns[mine]);
  left.turns.resize(mine);
  right.turns.resize(other);
  return common;
}

// Leaves each side with what only it has.
Task<Result<std::optional<FoundTurn>>> find_common(Side* left, Side* right) {
  Side* const sides[] = {left, right};
  for (;;) {
    bool more = false;
    for (Side* side : sides) {
      auto stepped = co_await step(side);
      if (!stepped.ok()) co_return stepped.status();
      if (!*stepped) continue;
      more = true;
      const Side& other = side == left ? *right : *left;
      const std::string turn_id = side->turns.back().at.turn_id();
      if (other.places.count(turn_id) != 0) co_return part(*left, *right, turn_id);
    }
    if (!more) co_return std::optional<FoundTurn>();
  }
}

std::string joined(const std::vector<service::ChatMessage>& messages, service::Role role) {
  std::string out;
  for (const auto& message : messages) {
    if (message.role() != role || message.text().empty()) continue;
    if (!out.empty()) out += "\n\n";
    out += message.text();
  }
  return out;
}

Task<Status> describe(Journal& journal, FoundTurn found, std::string head, api::ComparedTurn* out) {
  auto& info = *out->mutable_turn();
  info = turn_info(found);
  info.set_on_path(true);
  info.set_head(found.at.turn_id() == head);
  auto piece = co_await read_turn(journal, found.turn);
  if (!piece.ok()) co_return piece.status();
  const auto messages = piece->messages.parsed();
  const std::string message = joined(messages, service::ROLE_USER);
  const std::string answer = joined(messages, service::ROLE_ASSISTANT);
  out->set_message(std::string(utf8::prefix(message, kShownBytes)));
  out->set_message_bytes(static_cast<int64_t>(message.size()));
  out->set_answer(std::string(utf8::prefix(answer, kShownBytes)));
  out->set_answer_bytes(static_cast<int64_t>(answer.size()));
  co_return Status();
}

}  // namespace

Task<Result<api::CompareSessionsResponse>> GatewayImpl::compare_sessions(
    Caller caller, api::CompareSessionsRequest request) {
  Status status = check_ulid("session_id", request.session_id());
  if (status.ok()) status = check_ulid("other_session_id", request.other_session_id());
  uint32_t size = request.page_size() == 0 ? 50 : request.page_size();
  if (status.ok() && size > kMostAPage) {
    status = Status(Code::kInvalidArgument, "page_size is " + std::to_string(size) +
                                                "; at most 100 turns of each side are answered at "
                                                "once");
  }
  std::string cursor;
  if (status.ok()) status = parse_page_token(request.page_token(), cursor);
  size_t from = 0;
  if (status.ok() && !cursor.empty()) {
    const auto parsed = std::from_chars(cursor.data(), cursor.data() + cursor.size(), from);
    if (parsed.ec != std::errc() || parsed.ptr != cursor.data() + cursor.size() ||
        from > kMostTurns) {
      status = Status(Code::kInvalidArgument, "page_token is not one that this server gave");
    }
  }
  if (!status.ok()) co_return status;
  auto one = co_await open_session(caller, request.session_id());
  if (!one.ok()) co_return one.status();
  auto other = co_await open_session(caller, request.other_session_id());
  if (!other.ok()) co_return other.status();

  Journal& journal = environment_.world.journal;
  Side left(journal, **one);
  Side right(journal, **other);
  const std::string left_head = (*one)->head().turn_id();
  const std::string right_head = (*other)->head().turn_id();
  auto common = co_await find_common(&left, &right);
  if (!common.ok()) co_return common.status();
  api::CompareSessionsResponse out;
  if (*common) {
    status = co_await describe(journal, **common, left_head, out.mutable_common());
    if (!status.ok()) co_return status;
  }
  out.set_left_turns(static_cast<uint32_t>(left.turns.size()));
  out.set_right_turns(static_cast<uint32_t>(right.turns.size()));
  for (size_t i = from; i < from + size; ++i) {
    if (i < left.turns.size()) {
      const FoundTurn turn = left.turns[left.turns.size() - 1 - i];
      status = co_await describe(journal, turn, left_head, out.add_left());
      if (!status.ok()) co_return status;
    }
    if (i < right.turns.size()) {
      const FoundTurn turn = right.turns[right.turns.size() - 1 - i];
      status = co_await describe(journal, turn, right_head, out.add_right());
      if (!status.ok()) co_return status;
    }
  }
  if (from + size < std::max(left.turns.size(), right.turns.size())) {
    out.set_next_page_token(page_token(std::to_string(from + size)));
  }
  co_return out;
}

}  // namespace palyra::gateway
