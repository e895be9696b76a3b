// Search over titles and over what was said.
#include "plugins/common/utf8/letters.h"
#include "plugins/common/utf8/utf8.h"
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/gateway/session/validate.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace palyra::gateway {
namespace {

// One page looks at so many runs at most.
constexpr uint32_t kRunsAPage = 2'000;
constexpr uint32_t kRunsAQuery = 200;
constexpr size_t kSnippetBytes = 200;
// A search goes through titles, then through what was said: by the index, or else run by run.
// Tokens begin with what their page goes on with; one behind all titles with nothing but the
// second.
constexpr char kTitlesToken = 't';
constexpr char kSaidToken = 's';
constexpr char kRunsToken = 'r';
constexpr char kWordsToken = 'w';
// So many runs that the index does not cover are no reason to write it.
constexpr size_t kFewUncovered = 100;
constexpr size_t kMostWords = 16;

// A word, or the beginning of one: "lav*".
struct Word {
  std::string text;
  bool prefix = false;
};

// As the text indexes fold them. What has no letter and no digit is no word.
std::vector<Word> words_of(const std::string& text) {
  std::vector<Word> words;
  Word word;
  for (const char c : utf8::folded(text) + " ") {
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
      word.text += c;
      continue;
    }
    while (!word.text.empty() && word.text.back() == '*') {
      word.prefix = true;
      word.text.pop_back();
    }
    if (has_word(word.text)) words.push_back(word);
    word = Word();
  }
  return words;
}

// Whether a word goes on from the character before to the one here.
bool goes_on(const std::string& low, size_t at) {
  if (at == 0 || at >= low.size()) return false;
  size_t before = at - 1;
  while (before > 0 && (static_cast<unsigned char>(low[before]) & 0xC0U) == 0x80U) --before;
  const char32_t left = utf8::decode(low, before).value;
  const char32_t right = utf8::decode(low, at).value;
  return utf8::is_word(left) && utf8::is_word(right) && !utf8::is_single(left) &&
         !utf8::is_single(right);
}

// Where `low` has the word; npos if it has not.
size_t find_word(const std::string& low, const Word& word) {
  size_t at = low.find(word.text);
  while (at != std::string::npos &&
         (goes_on(low, at) || (!word.prefix && goes_on(low, at + word.text.size())))) {
    at = low.find(word.text, at + 1);
  }
  return at;
}

// Where the first word is if all are there; npos otherwise.
size_t find_words(const std::string& low, const std::vector<Word>& words) {
  for (const Word& word : words) {
    if (find_word(low, word) == std::string::npos) return std::string::npos;
  }
  return words.empty() ? std::string::npos : find_word(low, words.front());
}

// For the index, which goes through all that has the first whole word, or the first word: the
// longest is likely to be rare, and that of the owner is not.
std::string index_query(std::vector<Word> words, const std::string& owner) {
  std::stable_sort(words.begin(), words.end(), [](const Word& one, const Word& other) {
    return one.prefix != other.prefix ? !one.prefix : one.text.size() > other.text.size();
  });
  const bool whole = !words.front().prefix;
  std::string text;
  for (const Word& word : words) text += word.text + (word.prefix ? "* " : " ");
  return whole && !owner.empty() ? text + "o" + owner : text;
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

// One page of a search.
struct GatewayImpl::Search {
  Caller caller;
  api::SearchSessionsRequest request;
  uint32_t size = 0;
  std::vector<Word> words;
  std::string owner;
  std::string cursor;                 // of the list or query that goes on
  std::map<std::string, bool> shown;  // whether sessions of what was found are
  std::set<std::string> looked_at;    // runs, before the index is asked
  api::SearchSessionsResponse out;

  bool full() const {
    return out.hits_size() >= static_cast<int>(size) || out.runs_searched() >= kRunsAPage;
  }
};

Task<Status> GatewayImpl::look_at(std::shared_ptr<Search> search, api::Run run) {
  auto& out = search->out;
  out.set_runs_searched(out.runs_searched() + 1);
  if (!owns(search->caller, run.principal())) co_return Status();
  const std::string said = said_in(run);
  const size_t at = find_words(utf8::folded(said), search->words);
  if (at == std::string::npos) co_return Status();
  auto session = search->shown.find(run.session_id());
  if (session == search->shown.end()) {
    const bool show = search->request.include_replays() || !co_await is_replay(run.session_id());
    session = search->shown.emplace(run.session_id(), show).first;
  }
  if (!session->second) co_return Status();
  auto& hit = *out.add_hits();
  hit.set_session_id(run.session_id());
  hit.set_run_id(run.run_id());
  hit.set_time_ms(run.created_at_ms());
  hit.set_text(around(said, at));
  co_return Status();
}

Task<Status> GatewayImpl::search_titles(std::shared_ptr<Search> search) {
  api::ListSessionsRequest titles;
  titles.set_search(search->request.text());
  titles.set_page_size(search->size);
  titles.set_include_archived(true);
  titles.set_include_replays(search->request.include_replays());
  titles.set_page_token(page_token(search->cursor));
  auto found = co_await list_sessions(search->caller, std::move(titles));
  if (!found.ok()) co_return found.status();
  for (const auto& session : found->sessions()) {
    auto& hit = *search->out.add_hits();
    hit.set_session_id(session.session_id());
    hit.set_time_ms(session.updated_at_ms());
    hit.set_text(session.title());
  }
  co_return parse_page_token(found->next_page_token(), search->cursor);
}

Task<Result<bool>> GatewayImpl::search_uncovered(std::shared_ptr<Search> search) {
  auto runs = co_await search_index_->uncovered();
  if (!runs.ok()) co_return runs.status();
  const bool few = runs->has_value();
  if (!few || (*runs)->size() > kFewUncovered) {
    environment_.tasks.spawn(search_index_->catch_up());
  }
  if (!few) co_return false;
  // Newest first: ids are in the order of their making.
  std::sort((*runs)->rbegin(), (*runs)->rend());
  for (const std::string& run_id : **runs) {
    auto run = co_await gateway::load<api::Run>(environment_.world.journal, kRuns, run_id,
                                                "run " + run_id);
    if (!run.ok() && run.status().code() != Code::kNotFound) co_return run.status();
    search->looked_at.insert(run_id);
    if (!run.ok()) continue;
    const Status status = co_await look_at(search, std::move(*run));
    if (!status.ok()) co_return status;
  }
  co_return true;
}

Task<Status> GatewayImpl::search_words(std::shared_ptr<Search> search) {
  const std::string text =
      index_query(search->words, search->caller.may("admin") ? std::string() : search->owner);
  do {
    service::QueryRequest query;
    query.set_collection(kSaid);
    query.set_index("words");
    query.set_text(text);
    query.set_descending(true);
    query.set_limit(std::min(search->size, kRunsAQuery));
    query.set_cursor(search->cursor);
    auto page = co_await environment_.world.journal.query(std::move(query));
    if (!page.ok()) co_return page.status();
    search->cursor = page->next_cursor();
    for (const auto& document : page->documents()) {
      if (search->looked_at.count(document.key()) != 0) continue;
      auto run = co_await gateway::load<api::Run>(environment_.world.journal, kRuns, document.key(),
                                                  "run " + document.key());
      if (!run.ok() && run.status().code() != Code::kNotFound) co_return run.status();
      if (!run.ok()) continue;
      const Status status = co_await look_at(search, std::move(*run));
      if (!status.ok()) co_return status;
    }
  } while (!search->cursor.empty() && !search->full());
  co_return Status();
}

Task<Status> GatewayImpl::search_runs(std::shared_ptr<Search> search) {
  do {
    service::QueryRequest query;
    query.set_collection(kRuns);
    query.set_descending(true);
    query.set_limit(kRunsAQuery);
    query.set_cursor(search->cursor);
    if (!search->caller.may("admin")) {
      query.set_index("owner");
      query.set_from(search->owner);
      query.set_to(search->owner + '\0');
    }
    auto page = co_await environment_.world.journal.query(std::move(query));
    if (!page.ok()) co_return page.status();
    search->cursor = page->next_cursor();
    for (const auto& document : page->documents()) {
      api::Run run;
      if (!run.ParseFromString(document.value())) continue;
      const Status status = co_await look_at(search, std::move(run));
      if (!status.ok()) co_return status;
    }
  } while (!search->cursor.empty() && !search->full());
  co_return Status();
}

Task<Result<api::SearchSessionsResponse>> GatewayImpl::search_sessions(
    Caller caller, api::SearchSessionsRequest request) {
  const auto search = std::make_shared<Search>();
  search->size = request.page_size();
  Status status = check_text("text", request.text(), 1, 200);
  if (status.ok()) status = check_page_size(search->size);
  if (status.ok()) status = parse_page_token(request.page_token(), search->cursor);
  if (!status.ok()) co_return status;
  search->words = words_of(request.text());
  if (search->words.empty() || search->words.size() > kMostWords) {
    co_return Status(Code::kInvalidArgument,
                     "text must have 1 to 16 words of letters or digits to look for");
  }
  search->owner = owner_key(caller.principal);
  search->caller = std::move(caller);
  search->request = std::move(request);
  char kind = kTitlesToken;
  if (!search->cursor.empty()) {
    kind = search->cursor.front();
    search->cursor.erase(0, 1);
    const bool begins = search->cursor.empty();
    if (kind == kSaidToken ? !begins
                           : begins || (kind != kTitlesToken && kind != kRunsToken &&
                                        (kind != kWordsToken || !search_index_))) {
      co_return Status(Code::kInvalidArgument, "page_token is not one that this server gave");
    }
  }
  if (kind == kTitlesToken) {
    status = co_await search_titles(search);
    if (!status.ok()) co_return status;
    if (search->cursor.empty()) kind = kSaidToken;
    if (kind == kTitlesToken || search->full()) {
      search->out.set_next_page_token(page_token(kind + search->cursor));
      co_return std::move(search->out);
    }
  }
  if (kind == kSaidToken) {
    bool covers = false;
    if (search_index_) {
      auto covered = co_await search_uncovered(search);
      if (!covered.ok()) co_return covered.status();
      covers = *covered;
    }
    kind = covers ? kWordsToken : kRunsToken;
  }
  auto found = kind == kWordsToken ? search_words(search) : search_runs(search);
  status = co_await std::move(found);
  if (!status.ok()) co_return status;
  if (!search->cursor.empty()) {
    search->out.set_next_page_token(page_token(kind + search->cursor));
  }
  co_return std::move(search->out);
}

}  // namespace palyra::gateway
