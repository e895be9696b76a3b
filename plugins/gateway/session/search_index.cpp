#include "plugins/gateway/session/search_index.h"

#include "plugins/common/utf8/utf8.h"

#include <charconv>
#include <utility>

namespace palyra::gateway {
namespace {

// Of this document the value says how far the index is; it has no words.
constexpr char kCovered[] = "covered";
// One search looks at so many runs itself.
constexpr size_t kMostUncovered = 1'000;
// Of one commit; a text index takes 64 KiB of one document.
constexpr uint32_t kStreamsACommit = 64;
constexpr size_t kIndexedBytes = 32 * 1024;
// Others write first.
constexpr int64_t kRestNs = 20 * kNanosPerMilli;

// Empty if the stream is none of a run.
std::string run_of(const std::string& stream) {
  const std::string begin = run_stream("");
  return stream.rfind(begin, 0) == 0 ? stream.substr(begin.size()) : std::string();
}

}  // namespace

std::string said_in(const api::Run& run) {
  return run.text().empty() ? run.input_preview() : run.input_preview() + "\n" + run.text();
}

void forget_said(service::CommitRequest& commit, const std::string& run_id) {
  auto& removed = *commit.add_deletes();
  removed.set_collection(kSaid);
  removed.set_key(run_id);
}

SearchIndex::SearchIndex(World& world, JournalAudit& heads)
    : world_(world), heads_(heads), mutex_(world.executor) {}

Task<Result<uint64_t>> SearchIndex::covered() {
  if (covered_) co_return *covered_;
  service::GetRequest get;
  get.set_collection(kSaid);
  get.set_key(kCovered);
  auto got = co_await world_.journal.get(std::move(get));
  if (!got.ok()) co_return got.status();
  uint64_t position = 0;
  const std::string& text = got->document().value();
  static_cast<void>(std::from_chars(text.data(), text.data() + text.size(), position));
  covered_ = position;
  co_return position;
}

Task<Result<std::optional<std::vector<std::string>>>> SearchIndex::uncovered() {
  auto since = co_await covered();
  if (!since.ok()) co_return since.status();
  std::vector<std::string> runs;
  service::HeadsRequest request;
  request.set_since(*since);
  request.set_limit(kMostUncovered);
  size_t streams = 0;
  for (;;) {
    auto page = co_await heads_.heads(request);
    if (!page.ok()) co_return page.status();
    for (const auto& head : page->heads()) {
      std::string run_id = run_of(head.stream());
      if (!run_id.empty()) runs.push_back(std::move(run_id));
    }
    streams += static_cast<size_t>(page->heads_size());
    if (streams > 2 * kMostUncovered || runs.size() > kMostUncovered) {
      co_return std::optional<std::vector<std::string>>();
    }
    if (page->position() >= page->up_to()) break;
    request.set_since(page->position());
    request.set_up_to(page->up_to());
  }
  co_return std::optional<std::vector<std::string>>(std::move(runs));
}

Task<Result<bool>> SearchIndex::cover_more() {
  const Mutex::Guard guard = co_await mutex_.lock();
  auto since = co_await covered();
  if (!since.ok()) co_return since.status();
  service::HeadsRequest request;
  request.set_since(*since);
  request.set_limit(kStreamsACommit);
  auto page = co_await heads_.heads(std::move(request));
  if (!page.ok()) co_return page.status();
  if (page->position() <= *since) co_return false;
  service::CommitRequest commit;
  for (const auto& head : page->heads()) {
    const std::string run_id = run_of(head.stream());
    if (run_id.empty()) continue;
    const auto run = co_await load<api::Run>(world_.journal, kRuns, run_id, "run " + run_id);
    if (!run.ok() && run.status().code() != Code::kNotFound) co_return run.status();
    // One that goes on is behind again when it has ended.
    if (!run.ok() || !ended(run->state())) continue;
    auto& put = *commit.add_puts();
    put.set_collection(kSaid);
    put.set_key(run_id);
    auto& words = *put.add_index_values();
    words.set_index("words");
    words.set_value("o" + owner_key(run->principal()) + " " +
                    std::string(utf8::prefix(said_in(*run), kIndexedBytes)));
  }
  auto& state = *commit.add_puts();
  state.set_collection(kSaid);
  state.set_key(kCovered);
  state.set_value(std::to_string(page->position()));
  const bool more = page->position() < page->up_to();
  auto written = co_await world_.journal.commit(std::move(commit));
  if (!written.ok()) co_return written.status();
  covered_ = page->position();
  co_return more;
}

Task<void> SearchIndex::catch_up() {
  if (std::exchange(catching_up_, true)) co_return;
  for (;;) {
    const auto more = co_await cover_more();
    // What failed is tried again by the next search.
    if (!more.ok() || !*more) break;
    co_await sleep_until(world_.executor, world_.clock.mono_now() + kRestNs);
  }
  catching_up_ = false;
}

}  // namespace palyra::gateway
