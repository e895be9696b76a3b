// Search over titles and what was said, with the index and without.
#include "plugins/gateway/ports/testing/store_upkeep.h"
#include "plugins/gateway/session/keeper.h"
#include "plugins/gateway/session/tree_testing.h"

#include <algorithm>

namespace palyra::gateway::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(Search, FindsTitlesAndWhatWasSaidOfOnesOwn) {
  Talk talk;
  talk.say("Plan the garden");
  talk.house.providers.say({"Plant lavender along the wall."});
  talk.say("What goes where?");
  api::SearchSessionsRequest request;
  request.set_text("GARDEN plan");
  const auto find = [&](const std::string& who) {
    return talk.house.run(talk.house.gateway->search_sessions(House::caller(who), request)).value();
  };
  auto found = find("user:ann");
  ASSERT_GE(found.hits_size(), 2);
  EXPECT_EQ(found.hits(0).run_id(), "");
  EXPECT_EQ(found.hits(0).text(), "Plan the garden");
  request.set_text("lavender wall");
  found = find("user:ann");
  ASSERT_EQ(found.hits_size(), 1);
  EXPECT_THAT(found.hits(0).text(), HasSubstr("Plant lavender"));
  EXPECT_EQ(found.hits(0).session_id(), talk.session);
  EXPECT_EQ(find("user:bob").hits_size(), 0);
  for (const char* nothing : {" ", "(", "( *"}) {
    request.set_text(nothing);
    const auto refused =
        talk.house.run(talk.house.gateway->search_sessions(House::caller(), request)).status();
    EXPECT_EQ(refused.code(), Code::kInvalidArgument);
    EXPECT_THAT(refused.message(), HasSubstr("words of letters or digits")) << nothing;
    api::ListSessionsRequest list;
    list.set_search(nothing);
    EXPECT_EQ(
        talk.house.run(talk.house.gateway->list_sessions(House::caller(), list)).status().code(),
        Code::kInvalidArgument);
  }
}

struct Searched {
  std::vector<std::string> runs;  // of the hits, "" = a title
  uint32_t looked_at = 0;         // runs
};

// A talk whose searches use the index.
struct IndexedTalk : Talk {
  IndexedTalk() { house.gateway->index_searches(house.journal); }

  // Each in a session of its own, "say<n>.".
  void say_apart(int count) {
    for (int i = 1; i <= count; ++i) {
      EXPECT_TRUE(house.send("say" + std::to_string(i) + ".").ok());
      house.executor.run_until_idle();
    }
  }
  void restart() {
    house.crash();
    house.start();
    house.gateway->index_searches(house.journal);
  }
  Searched find(const std::string& text, uint32_t page_size = 0,
                const Caller& who = House::caller()) {
    Searched out;
    api::SearchSessionsRequest request;
    request.set_text(text);
    request.set_page_size(page_size);
    do {
      const auto page = house.run(house.gateway->search_sessions(who, request));
      EXPECT_TRUE(page.ok()) << page.status().to_string();
      if (!page.ok()) return out;
      for (const auto& hit : page->hits()) out.runs.push_back(hit.run_id());
      out.looked_at += page->runs_searched();
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return out;
  }
  // Runs that the index has for a word, whoever's.
  int indexed(const std::string& word) {
    service::QueryRequest query;
    query.set_collection(kSaid);
    query.set_index("words");
    query.set_text(word);
    return house.run(house.journal.query(query)).value().documents_size();
  }
};

TEST(Search, OfManyRunsLooksOnlyAtThoseThatHaveTheWords) {
  IndexedTalk talk;
  const std::string first = talk.say("first");
  talk.house.providers.say({"Plant lavender along the wall."});
  const std::string lavender = talk.say("What goes where?");
  talk.say_apart(1'010);
  Caller admin = House::caller("user:admin");
  admin.scopes.insert("admin");
  // Too many for the index to be of use: they are looked at, and it is built behind.
  auto found = talk.find("lavender wall");
  EXPECT_THAT(found.runs, ElementsAre(lavender));
  EXPECT_EQ(found.looked_at, 1'012U);
  EXPECT_LT(talk.indexed("echo"), 100);
  talk.house.advance_ms(60'000);
  for (const bool restarted : {false, true}) {
    if (restarted) talk.restart();
    found = talk.find("wall LAVENDER");
    EXPECT_THAT(found.runs, ElementsAre(lavender));
    EXPECT_EQ(found.looked_at, 1U);
    EXPECT_THAT(talk.find("lav* wall").runs, ElementsAre(lavender)) << "the beginning of a word";
    EXPECT_THAT(talk.find("lav* wal*").runs, ElementsAre(lavender));
    for (const char* part : {"lavende", "avender", "avender*"}) {
      EXPECT_THAT(talk.find(part).runs, IsEmpty()) << part;
    }
    EXPECT_THAT(talk.find("lav*", 0, House::caller("user:bob")).runs, IsEmpty());
    EXPECT_THAT(talk.find("lavender", 0, House::caller("user:bob")).runs, IsEmpty());
    EXPECT_THAT(talk.find("lavender", 0, admin).runs, ElementsAre(lavender));
    EXPECT_THAT(talk.find("first").runs, ElementsAre("", first)) << "a title, and what was said";
  }
  // What came since is found at once, by the same words.
  const std::string again = talk.say("More lavender, please.");
  EXPECT_THAT(talk.find("lavender").runs, ElementsAre(again, lavender));
  for (const char* part : {"lavende", "avender", "avender*"}) {
    EXPECT_THAT(talk.find(part).runs, IsEmpty()) << part;
  }
  EXPECT_THAT(talk.find("lav*").runs, ElementsAre(again, lavender));
  // All, page by page, newest first, each once.
  found = talk.find("echo", 100);
  EXPECT_THAT(found.runs, SizeIs(1'012));
  EXPECT_TRUE(std::is_sorted(found.runs.rbegin(), found.runs.rend()));
  EXPECT_EQ(std::adjacent_find(found.runs.begin(), found.runs.end()), found.runs.end());
}

TEST(Search, GoesThroughAllTitlesAndThenThroughWhatWasSaid) {
  IndexedTalk talk;
  std::vector<std::string> runs;
  for (int i = 0; i < 7; ++i) {
    const auto sent = talk.house.send("garden " + std::to_string(i));
    ASSERT_TRUE(sent.ok());
    runs.insert(runs.begin(), sent->run_id);
  }
  for (const bool indexed : {false, true}) {
    if (indexed) talk.house.advance_ms(60'000);
    for (const uint32_t page : {1U, 2U, 3U, 7U, 8U, 50U}) {
      auto found = talk.find("garden", page).runs;
      ASSERT_THAT(found, SizeIs(14)) << page << " a page";
      EXPECT_THAT(std::vector<std::string>(found.begin(), found.begin() + 7), Each(""));
      EXPECT_THAT(std::vector<std::string>(found.begin() + 7, found.end()), runs) << page;
    }
  }
  api::SearchSessionsRequest request;
  request.set_text("garden");
  request.set_page_size(3);
  const auto page = talk.house.run(talk.house.gateway->search_sessions(House::caller(), request));
  ASSERT_TRUE(page.ok());
  EXPECT_THAT(page->hits(), SizeIs(3));
  EXPECT_EQ(page->runs_searched(), 0U) << "a page that is full of titles looks at no runs";
  for (const char* token : {"74", "7377", "77", "72", "78"}) {
    request.set_page_token(token);
    EXPECT_EQ(talk.house.run(talk.house.gateway->search_sessions(House::caller(), request))
                  .status()
                  .code(),
              Code::kInvalidArgument)
        << token;
  }
}

TEST(Search, DoesNotMindTheCaseOfLettersOfOtherAlphabets) {
  IndexedTalk talk;
  talk.say("first");
  const std::string run = talk.say("Über ПРИВЕТ Ωmega, 東京 café");
  for (const bool indexed : {false, true}) {
    if (indexed) talk.house.advance_ms(60'000);
    for (const char* words : {"über", "ÜBER привет", "ωMEGA", "Привет", "東", "CAFÉ", "прив*"}) {
      EXPECT_THAT(talk.find(words).runs, ElementsAre(run)) << words << indexed;
    }
    for (const char* part : {"caf", "риве*", "ber"}) {
      EXPECT_THAT(talk.find(part).runs, IsEmpty()) << part << indexed;
    }
  }
}

TEST(Search, TheIndexOutlivesACrashAnywhereAndOneThatIsGoneIsBuiltAnew) {
  for (int steps = 0; steps < 40; steps += 9) {
    SCOPED_TRACE("crash after " + std::to_string(steps) + " steps");
    IndexedTalk talk;
    talk.say_apart(130);
    const auto answer = talk.house.begin(talk.house.gateway->search_sessions(House::caller(), [] {
      api::SearchSessionsRequest request;
      request.set_text("echo say7.");
      return request;
    }()));
    for (int i = 0; i < steps; ++i) talk.house.executor.run_one();
    talk.restart();
    EXPECT_THAT(talk.find("echo say7.").runs, SizeIs(1));
    talk.house.advance_ms(60'000);
    EXPECT_EQ(talk.indexed("echo"), 100) << "a page of the query";
    EXPECT_THAT(talk.find("echo say7.").runs, SizeIs(1));
    EXPECT_THAT(talk.find("echo say*").runs, SizeIs(130));
  }
  IndexedTalk talk;
  talk.say_apart(130);
  talk.find("x");
  talk.house.advance_ms(60'000);
  EXPECT_EQ(talk.find("echo say7.").looked_at, 1U);
  service::CommitRequest commit;
  auto& gone = *commit.add_deletes();
  gone.set_collection(kSaid);
  gone.set_key("covered");
  ASSERT_TRUE(talk.house.run(talk.house.journal.commit(commit)).ok());
  talk.restart();
  EXPECT_EQ(talk.find("echo say7.").looked_at, 130U);
  talk.house.advance_ms(60'000);
  EXPECT_EQ(talk.find("echo say7.").looked_at, 1U);
}

TEST(Search, WhatIsErasedLeavesTheIndexEvenWhileItIsWritten) {
  for (int steps = 0; steps < 120; steps += 13) {
    SCOPED_TRACE("erased after " + std::to_string(steps) + " steps");
    IndexedTalk talk;
    const std::string run = talk.say("my secret word");
    talk.say_apart(120);
    StoreUpkeep upkeep(talk.house.store);
    Keeper keeper(*talk.house.gateway, upkeep);
    api::SearchSessionsRequest request;
    request.set_text("secret");
    const auto searched =
        talk.house.begin(talk.house.gateway->search_sessions(House::caller(), request));
    for (int i = 0; i < steps; ++i) talk.house.executor.run_one();
    const auto erased = talk.house.begin(keeper.erase_run(House::caller(), run, "asked to forget"));
    talk.house.advance_ms(60'000);
    ASSERT_TRUE(erased->has_value());
    ASSERT_TRUE((*erased)->ok()) << (*erased)->status().to_string();
    EXPECT_EQ(talk.indexed("secret"), 0);
    EXPECT_THAT(talk.find("secret").runs, IsEmpty());
    EXPECT_THAT(talk.find("echo say7.").runs, SizeIs(1));
    talk.house.advance_ms(60'000);
    EXPECT_EQ(talk.indexed("secret"), 0);
    talk.house.scope.clear();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace palyra::gateway::testing
