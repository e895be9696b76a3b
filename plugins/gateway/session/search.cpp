// Search over titles and over what was said.
#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/gateway/session/validate.h"

#include <algorithm>
#include <map>
#include <utility>

namespace palyra::gateway {
namespace {

// One page looks at so many runs at most.
constexpr uint32_t kRunsAPage = 2'000;
constexpr uint32_t kRunsAQuery = 200;
constexpr size_t kSnippetBytes = 200;
// The first page begins with titles; tokens of later ones with this byte.
constexpr char kRunsToken = 'r';

// ASCII only: other letters are found as they are written.
std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : lower(text) + " ") {
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  return words;
}

// Where the first word is if all are there; npos otherwise.
size_t find_words(const std::string& low, const std::vector<std::string>& words) {
  for (const auto& word : words) {
    if (low.find(word) == std::string::npos) return std::string::npos;
  }
  return words.empty() ? std::string::npos : low.find(words.front());
}

std::string around(const std::string& text, size_t at) {
  size_t begin = at > kSnippetBytes / 3 ? at - kSnippetBytes / 3 : 0;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U) --begin;
  return std::string(utf8::prefix(std::string_view(text).substr(begin), kSnippetBytes));
}

}  // namespace

Task<bool> GatewayImpl::is_replay(std::string session_id) {
  const auto known = sessions_.find(session_id);
  if (known != sessions_.end()) co_return known->second->doc().channel() == kReplayChannel;
  const auto doc = co_await gateway::load<api::Session>(environment_.world.journal, kSessions,
                                                        session_id, "session " + session_id);
  co_return doc.ok() && doc->channel() == kReplayChannel;
}

Task<Result<api::SearchSessionsResponse>> GatewayImpl::search_sessions(
    Caller caller, api::SearchSessionsRequest request) {
  uint32_t size = request.page_size();
  std::string cursor;
  Status status = check_text("text", request.text(), 1, 200);
  if (status.ok()) status = check_page_size(size);
  if (status.ok()) status = parse_page_token(request.page_token(), cursor);
  if (!status.ok()) co_return status;
  const std::vector<std::string> words = words_of(request.text());
  if (words.empty()) {
    co_return Status(Code::kInvalidArgument, "text must have a word to look for");
  }
  api::SearchSessionsResponse out;
  if (cursor.empty()) {
    api::ListSessionsRequest titles;
    titles.set_search(request.text());
    titles.set_page_size(size);
    titles.set_include_archived(true);
    titles.set_include_replays(request.include_replays());
    auto found = co_await list_sessions(caller, std::move(titles));
    if (!found.ok()) co_return found.status();
    for (const auto& session : found->sessions()) {
      auto& hit = *out.add_hits();
      hit.set_session_id(session.session_id());
      hit.set_time_ms(session.updated_at_ms());
      hit.set_text(session.title());
    }
  } else if (cursor.front() != kRunsToken) {
    co_return Status(Code::kInvalidArgument, "page_token is not one that this server gave");
  } else {
    cursor.erase(0, 1);
  }
  const std::string owner = owner_key(caller.principal);
  std::map<std::string, bool> shown;  // sessions of what was found
  do {
    service::QueryRequest query;
    query.set_collection(kRuns);
    query.set_descending(true);
    query.set_limit(kRunsAQuery);
    query.set_cursor(cursor);
    if (!caller.may("admin")) {
      query.set_index("owner");
      query.set_from(owner);
      query.set_to(owner + '\0');
    }
    auto page = co_await environment_.world.journal.query(std::move(query));
    if (!page.ok()) co_return page.status();
    for (const auto& document : page->documents()) {
      api::Run run;
      out.set_runs_searched(out.runs_searched() + 1);
      if (!run.ParseFromString(document.value()) || !owns(caller, run.principal())) continue;
      const std::string said =
          run.text().empty() ? run.input_preview() : run.input_preview() + "\n" + run.text();
      const size_t at = find_words(lower(said), words);
      if (at == std::string::npos) continue;
      auto session = shown.find(run.session_id());
      if (session == shown.end()) {
        const bool show = request.include_replays() || !co_await is_replay(run.session_id());
        session = shown.emplace(run.session_id(), show).first;
      }
      if (!session->second) continue;
      auto& hit = *out.add_hits();
      hit.set_session_id(run.session_id());
      hit.set_run_id(run.run_id());
      hit.set_time_ms(run.created_at_ms());
      hit.set_text(around(said, at));
    }
    cursor = page->next_cursor();
  } while (!cursor.empty() && out.hits_size() < static_cast<int>(size) &&
           out.runs_searched() < kRunsAPage);
  if (!cursor.empty()) out.set_next_page_token(page_token(kRunsToken + cursor));
  co_return out;
}

}  // namespace palyra::gateway
