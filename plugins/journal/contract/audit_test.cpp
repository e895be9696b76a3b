// What every backend promises of heads, of the list of streams and of verification of the whole.
#include "plugins/journal/contract/backend.h"
#include "plugins/journal/contract/requests.h"
#include "plugins/journal/request_check.h"

namespace palyra::journal::contract {
namespace {

v1::HeadsRequest heads_since(uint64_t since, uint32_t limit = 0, uint64_t up_to = 0) {
  v1::HeadsRequest request;
  request.set_since(since);
  request.set_limit(limit);
  request.set_up_to(up_to);
  return request;
}

std::string names(const v1::HeadsResponse& response) {
  std::string out;
  for (const v1::Head& head : response.heads()) {
    out += head.stream() + ":" + std::to_string(head.seq()) + " ";
  }
  return out;
}

TEST_P(JournalContract, HeadsAreOfTheStreamsThatChanged) {
  ASSERT_TRUE(backend_->commit(Commit().append("b", "1").append("a", "1").append("b", "2")).ok());
  auto all = backend_->heads(heads_since(0));
  ASSERT_TRUE(all.ok()) << all.status().to_string();
  EXPECT_EQ(names(*all), "a:1 b:2 ");
  EXPECT_EQ(all->position(), 3u);
  EXPECT_EQ(all->heads(1).hash(), backend_->read(read("b"))->records(1).hash());
  EXPECT_EQ(all->heads(1).position(), 3u);
  EXPECT_EQ(all->heads(1).only_type(), "noted");

  EXPECT_EQ(names(*backend_->heads(heads_since(2))), "b:2 ");
  EXPECT_EQ(names(*backend_->heads(heads_since(3))), "");
  EXPECT_EQ(backend_->heads(heads_since(3))->position(), 3u);
  EXPECT_EQ(names(*backend_->heads(heads_since(0, 0, 1))), "b:1 ") << "as it was then";
  EXPECT_EQ(names(*backend_->heads(heads_since(99))), "");
}

TEST_P(JournalContract, HeadsOfManyStreamsComeInPagesThatMissNothing) {
  for (int i = 0; i < 7; ++i) {
    ASSERT_TRUE(backend_->commit(Commit().append("s/" + std::to_string(i % 5), "x")).ok());
  }
  const auto first = backend_->heads(heads_since(0, 3));
  EXPECT_EQ(names(*first), "s/0:1 s/1:1 s/2:1 ");
  EXPECT_EQ(first->position(), 3u);
  EXPECT_EQ(first->up_to(), 7u);
  const auto second = backend_->heads(heads_since(first->position(), 3, first->up_to()));
  EXPECT_EQ(names(*second), "s/0:2 s/3:1 s/4:1 ");
  EXPECT_EQ(second->position(), 6u);
  EXPECT_EQ(names(*backend_->heads(heads_since(6, 3, 7))), "s/1:2 ");
  EXPECT_EQ(backend_->heads(heads_since(0, 1001)).status().code(), Code::kInvalidArgument);
}

TEST_P(JournalContract, APageOfHeadsFitsIntoOneRecord) {
  Commit commit;
  for (int i = 0; i < 400; ++i) {
    const std::string number = std::to_string(i);
    commit.append(std::string(200 - number.size(), 'n') + number, "x");
  }
  ASSERT_TRUE(backend_->commit(commit).ok());
  const auto page = backend_->heads(heads_since(0));
  EXPECT_LT(page->ByteSizeLong(), size_t{64} << 10);
  EXPECT_GT(page->heads_size(), 150);
  EXPECT_EQ(page->position(), static_cast<uint64_t>(page->heads_size()));
}

TEST_P(JournalContract, HashesOfNamedRecordsAreLookedUp) {
  ASSERT_TRUE(backend_->commit(Commit().append("s", "1").append("s", "2")).ok());
  v1::HeadsRequest request;
  for (const auto& [stream, seq] :
       std::vector<std::pair<std::string, uint64_t>>{{"s", 2}, {"s", 3}, {"t", 1}, {"s", 1}}) {
    v1::StreamSeq& at = *request.add_at();
    at.set_stream(stream);
    at.set_seq(seq);
  }
  const auto found = backend_->heads(request);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(names(*found), "s:2 s:1 ");
  EXPECT_EQ(found->heads(1).hash(), backend_->read(read("s"))->records(0).hash());
}

TEST_P(JournalContract, StreamsAreListedByNameAndPrefix) {
  ASSERT_TRUE(backend_->commit(Commit().append("run/2", "x").append("audit", "x")).ok());
  ASSERT_TRUE(backend_->commit(Commit().append("run/1", "x").append("run/2", "y")).ok());
  ASSERT_TRUE(backend_->commit(Commit().append("session/1", "x")).ok());
  const auto list = [&](const std::string& prefix, const std::string& after, uint32_t limit,
                        uint64_t up_to) {
    v1::ListStreamsRequest request;
    request.set_prefix(prefix);
    request.set_after(after);
    request.set_limit(limit);
    request.set_up_to(up_to);
    const auto response = backend_->list_streams(request);
    std::string out;
    for (const v1::StreamInfo& stream : response->streams()) {
      out += stream.stream() + ":" + std::to_string(stream.last_seq()) + " ";
    }
    return out + "> " + response->next_after();
  };
  EXPECT_EQ(list("", "", 0, 0), "audit:1 run/1:1 run/2:2 session/1:1 > ");
  EXPECT_EQ(list("run/", "", 0, 0), "run/1:1 run/2:2 > ");
  EXPECT_EQ(list("run/", "run/1", 0, 0), "run/2:2 > ");
  EXPECT_EQ(list("", "", 2, 0), "audit:1 run/1:1 > run/1");
  EXPECT_EQ(list("", "run/1", 2, 0), "run/2:2 session/1:1 > ");
  EXPECT_EQ(list("", "", 0, 2), "audit:1 run/2:1 > ") << "as it was at position 2";
  EXPECT_EQ(list("none", "", 0, 0), "> ");
}

TEST_P(JournalContract, TheWholeStoreVerifies) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(backend_->commit(Commit().append("a", "1").append("b", "2")).ok());
  }
  ASSERT_TRUE(backend_->erase({"a", 2, 3, "asked to", "user:ann"}).ok());
  const auto whole = backend_->verify_store();
  ASSERT_TRUE(whole.ok()) << whole.status().to_string();
  EXPECT_EQ(whole->bad(), 0u) << whole->ShortDebugString();
  EXPECT_EQ(whole->records(), 11u);
  EXPECT_EQ(whole->erased(), 2u);
  EXPECT_EQ(whole->absent(), 0u);
  EXPECT_EQ(whole->next_position(), 0u);
  EXPECT_EQ(whole->up_to(), 11u);
  EXPECT_GT(whole->bytes(), 11u * 130);
  // A part of it stands on its own.
  const auto part = backend_->verify_store(5, 9);
  EXPECT_EQ(part->records(), 5u);
  EXPECT_EQ(part->bad(), 0u) << part->ShortDebugString();
}

TEST_P(JournalContract, VerificationGoesOnWhereAPageEnded) {
  const std::string big(3u << 20, 'x');
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(backend_->commit(Commit().append("s", big)).ok());
  auto page = backend_->verify_store();
  uint64_t records = page->records();
  EXPECT_GT(page->next_position(), 0u);
  while (page->next_position() != 0) {
    page = backend_->verify_store(page->next_position(), page->up_to());
    records += page->records();
    EXPECT_EQ(page->bad(), 0u) << page->ShortDebugString();
  }
  EXPECT_EQ(records, 5u);
}

TEST_P(JournalContract, WhatIsAlteredInTheStoreIsToldWhereItIs) {
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(backend_->commit(Commit().append("a", "1").append("b", "2")).ok());
  }
  backend_->alter_payload("a", 2, "other");
  backend_->lose_payload("b", 3);
  const auto whole = backend_->verify_store();
  ASSERT_EQ(whole->bad(), 2u) << whole->ShortDebugString();
  EXPECT_EQ(whole->first_bad(0).stream(), "a");
  EXPECT_EQ(whole->first_bad(0).seq(), 2u);
  EXPECT_EQ(whole->first_bad(0).reason(), "payload does not match its digest");
  EXPECT_EQ(whole->first_bad(1).stream(), "b");
  EXPECT_EQ(whole->first_bad(1).seq(), 3u);
  EXPECT_EQ(whole->first_bad(1).reason(), "payload is missing and no erased record says why");
}

TEST_P(JournalContract, AnEmptyStoreVerifies) {
  const auto whole = backend_->verify_store();
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->records() + whole->bad() + whole->absent() + whole->next_position(), 0u);
}

}  // namespace
}  // namespace palyra::journal::contract
