// What every backend promises of documents, indexes and queries.
#include "plugins/journal/contract/backend.h"
#include "plugins/journal/contract/requests.h"

namespace palyra::journal::contract {
namespace {

using Keys = std::vector<std::string>;

TEST_P(JournalContract, DocumentsHaveVersions) {
  ASSERT_TRUE(backend_->commit(Commit().put("c", "k", "one", {}, 0)).ok());
  EXPECT_EQ(backend_->commit(Commit().put("c", "k", "no", {}, 0)).status().code(),
            Code::kFailedPrecondition);
  const auto second = backend_->commit(Commit().put("c", "k", "two", {}, 1));
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->versions(0), 2u);
  EXPECT_EQ(backend_->commit(Commit().put("c", "k", "three"))->versions(0), 3u);
  const auto got = backend_->get("c", "k");
  EXPECT_EQ(got->document().value(), "three");
  EXPECT_EQ(got->document().version(), 3u);
  EXPECT_EQ(backend_->commit(Commit().remove("c", "k", 2)).status().code(),
            Code::kFailedPrecondition);
  ASSERT_TRUE(backend_->commit(Commit().remove("c", "k", 3)).ok());
  EXPECT_FALSE(backend_->get("c", "k")->has_document());
  EXPECT_TRUE(backend_->commit(Commit().remove("c", "k")).ok()) << "absent is not an error";
}

TEST_P(JournalContract, ARefusedCommitLeavesDocumentsAsTheyWere) {
  ASSERT_TRUE(backend_->commit(Commit().put("c", "a", "1").put("c", "b", "1")).ok());
  EXPECT_FALSE(backend_->commit(Commit().remove("c", "a").put("c", "b", "2", {}, 7)).ok());
  EXPECT_EQ(backend_->get("c", "a")->document().value(), "1");
  EXPECT_EQ(backend_->get("c", "b")->document().version(), 1u);
}

TEST_P(JournalContract, AnOrderedIndexGivesRangesAndPages) {
  ASSERT_TRUE(backend_->declare(declare("c", {{"at", v1::INDEX_KIND_ORDERED}})).ok());
  for (const auto& [key, at] : std::vector<std::pair<std::string, std::string>>{
           {"a", "3"}, {"b", "1"}, {"c", "2"}, {"d", "2"}, {"e", "4"}}) {
    ASSERT_TRUE(backend_->commit(Commit().put("c", key, "v" + key, {{"at", at}})).ok());
  }
  v1::QueryRequest request = query("c", "at");
  EXPECT_EQ(keys(*backend_->query(request)), (Keys{"b", "c", "d", "a", "e"}));
  request.set_from("2");
  request.set_to("4");
  EXPECT_EQ(keys(*backend_->query(request)), (Keys{"c", "d", "a"}));
  for (const bool descending : {false, true}) {
    request.set_descending(descending);
    request.set_limit(1);
    request.clear_cursor();
    Keys paged;
    for (int page = 0; page < 10; ++page) {
      const auto response = backend_->query(request);
      ASSERT_TRUE(response.ok()) << response.status().to_string();
      for (const std::string& key : keys(*response)) paged.push_back(key);
      if (response->next_cursor().empty()) break;
      request.set_cursor(response->next_cursor());
    }
    EXPECT_EQ(paged, descending ? (Keys{"a", "d", "c"}) : (Keys{"c", "d", "a"}));
  }
}

TEST_P(JournalContract, WritingADocumentReplacesItsIndexValues) {
  ASSERT_TRUE(backend_->declare(declare("c", {{"state", v1::INDEX_KIND_ORDERED}})).ok());
  ASSERT_TRUE(backend_->commit(Commit().put("c", "k", "1", {{"state", "open"}})).ok());
  ASSERT_TRUE(backend_->commit(Commit().put("c", "k", "2", {{"state", "shut"}})).ok());
  v1::QueryRequest request = query("c", "state");
  EXPECT_EQ(keys(*backend_->query(request)), Keys{"k"});
  request.set_to("p");
  EXPECT_EQ(keys(*backend_->query(request)), Keys{});
  ASSERT_TRUE(backend_->commit(Commit().remove("c", "k")).ok());
  EXPECT_EQ(keys(*backend_->query(query("c", "state"))), Keys{});
}

TEST_P(JournalContract, QueriesByKeyHaveRangesToo) {
  ASSERT_TRUE(
      backend_->commit(Commit().put("c", "a", "").put("c", "b", "").put("d", "b", "")).ok());
  ASSERT_TRUE(backend_->commit(Commit().put("c", "c", "")).ok());
  v1::QueryRequest request = query("c");
  request.set_from("b");
  EXPECT_EQ(keys(*backend_->query(request)), (Keys{"b", "c"}));
  request.set_descending(true);
  request.set_limit(1);
  const auto first = backend_->query(request);
  EXPECT_EQ(keys(*first), Keys{"c"});
  request.set_cursor(first->next_cursor());
  const auto second = backend_->query(request);
  EXPECT_EQ(keys(*second), Keys{"b"});
  EXPECT_EQ(second->next_cursor(), "");
}

TEST_P(JournalContract, APageOfLargeDocumentsEndsBeforeItIsTooLargeToSend) {
  const std::string large(600 * 1024, 'x');
  for (const char* key : {"a", "b", "c"}) {
    ASSERT_TRUE(backend_->commit(Commit().put("c", key, large)).ok());
  }
  v1::QueryRequest request = query("c");
  const auto first = backend_->query(request);
  EXPECT_EQ(keys(*first), (Keys{"a", "b"}));
  request.set_cursor(first->next_cursor());
  const auto second = backend_->query(request);
  EXPECT_EQ(keys(*second), Keys{"c"});
  EXPECT_EQ(second->next_cursor(), "");
}

TEST_P(JournalContract, AUniqueIndexRefusesASecondDocument) {
  ASSERT_TRUE(backend_->declare(declare("c", {{"name", v1::INDEX_KIND_UNIQUE}})).ok());
  ASSERT_TRUE(backend_->commit(Commit().put("c", "a", "", {{"name", "x"}})).ok());
  const auto second = backend_->commit(Commit().put("c", "b", "", {{"name", "x"}}));
  EXPECT_EQ(second.status().code(), Code::kAlreadyExists);
  EXPECT_FALSE(backend_->get("c", "b")->has_document());
  EXPECT_TRUE(backend_->commit(Commit().put("c", "a", "again", {{"name", "x"}})).ok());
  EXPECT_EQ(
      backend_
          ->commit(Commit().put("c", "p", "", {{"name", "y"}}).put("c", "q", "", {{"name", "y"}}))
          .status()
          .code(),
      Code::kAlreadyExists);
  // A value may change hands in one commit.
  EXPECT_TRUE(
      backend_
          ->commit(Commit().put("c", "b", "", {{"name", "x"}}).put("c", "a", "", {{"name", "z"}}))
          .ok());
  EXPECT_TRUE(backend_->commit(Commit().remove("c", "b").put("c", "d", "", {{"name", "x"}})).ok());
}

TEST_P(JournalContract, ATextIndexFindsWordsAndPrefixes) {
  ASSERT_TRUE(backend_->declare(declare("notes", {{"text", v1::INDEX_KIND_TEXT}})).ok());
  ASSERT_TRUE(backend_
                  ->commit(Commit()
                               .put("notes", "1", "", {{"text", "Buy milk, eggs and Käse"}})
                               .put("notes", "2", "", {{"text", "milkshake EGGS"}})
                               .put("notes", "3", "", {{"text", "東京 tower"}}))
                  .ok());
  const auto found = [&](const std::string& text) {
    v1::QueryRequest request = query("notes", "text");
    request.set_text(text);
    const auto response = backend_->query(request);
    EXPECT_TRUE(response.ok()) << response.status().to_string();
    return keys(*response);
  };
  EXPECT_EQ(found("milk"), Keys{"1"});
  EXPECT_EQ(found("MILK*"), (Keys{"1", "2"}));
  EXPECT_EQ(found("eggs milk*"), (Keys{"1", "2"}));
  EXPECT_EQ(found("eggs tower"), Keys{});
  EXPECT_EQ(found("KÄSE"), Keys{"1"});
  EXPECT_EQ(found("京"), Keys{"3"});
  v1::QueryRequest paged = query("notes", "text");
  paged.set_text("e* milk*");
  paged.set_limit(1);
  paged.set_descending(true);
  const auto first = backend_->query(paged);
  EXPECT_EQ(keys(*first), Keys{"2"});
  paged.set_cursor(first->next_cursor());
  EXPECT_EQ(keys(*backend_->query(paged)), Keys{"1"});
}

TEST_P(JournalContract, BadQueriesAreRefusedWithAReason) {
  ASSERT_TRUE(
      backend_
          ->declare(declare("c", {{"at", v1::INDEX_KIND_ORDERED}, {"text", v1::INDEX_KIND_TEXT}}))
          .ok());
  const auto refused = [&](v1::QueryRequest request) {
    EXPECT_EQ(backend_->query(request).status().code(), Code::kInvalidArgument);
  };
  refused(query("c", "unknown"));
  refused(query("c", "text"));
  v1::QueryRequest request = query("c", "at");
  request.set_text("word");
  refused(request);
  request = query("c");
  request.set_cursor("rubbish");
  refused(request);
  request = query("c");
  request.set_limit(1001);
  refused(request);
}

TEST_P(JournalContract, DeclarationsGrowAndDoNotChange) {
  ASSERT_TRUE(backend_->declare(declare("c", {{"a", v1::INDEX_KIND_ORDERED}})).ok());
  EXPECT_TRUE(backend_->declare(declare("c", {{"a", v1::INDEX_KIND_ORDERED}})).ok());
  EXPECT_TRUE(backend_->declare(declare("c", {{"b", v1::INDEX_KIND_UNIQUE}})).ok());
  EXPECT_EQ(backend_->declare(declare("c", {{"a", v1::INDEX_KIND_TEXT}})).status().code(),
            Code::kFailedPrecondition);
  EXPECT_TRUE(backend_->commit(Commit().put("c", "k", "", {{"a", "1"}, {"b", "2"}})).ok());
  EXPECT_EQ(backend_->commit(Commit().put("c", "k", "", {{"nope", "1"}})).status().code(),
            Code::kFailedPrecondition);
}

TEST_P(JournalContract, AnAuditedCollectionIsNotChangedWithoutARecord) {
  ASSERT_TRUE(backend_->declare(declare("policy", {}, true)).ok());
  EXPECT_EQ(backend_->commit(Commit().put("policy", "k", "v")).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(backend_->commit(Commit().remove("policy", "k")).status().code(),
            Code::kFailedPrecondition);
  EXPECT_TRUE(backend_->commit(Commit().put("policy", "k", "v").append("audit", "why")).ok());
}

}  // namespace
}  // namespace palyra::journal::contract
