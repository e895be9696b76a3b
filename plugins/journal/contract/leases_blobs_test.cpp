// What every backend promises of leases and blobs.
#include "plugins/common/digest/digest.h"
#include "plugins/journal/contract/backend.h"
#include "plugins/journal/contract/requests.h"

namespace palyra::journal::contract {
namespace {

using digest::sha256;

uint64_t token_of(const Result<v1::CommitResponse>& result) {
  return result.ok() ? result->lease_tokens(0) : 0;
}

TEST_P(JournalContract, ALiveLeaseKeepsOthersOut) {
  const uint64_t token = token_of(backend_->commit(Commit().take("s/1", "one", 1000)));
  ASSERT_GT(token, 0u);
  EXPECT_EQ(backend_->commit(Commit().take("s/1", "two", 1000)).status().code(), Code::kAborted);
  backend_->clock.advance(900 * kNanosPerMilli);
  EXPECT_EQ(token_of(backend_->commit(Commit().take("s/1", "one", 1000, token))), token);
  backend_->clock.advance(900 * kNanosPerMilli);
  EXPECT_EQ(backend_->commit(Commit().take("s/1", "two", 1000)).status().code(), Code::kAborted);
  backend_->clock.advance(200 * kNanosPerMilli);
  EXPECT_GT(token_of(backend_->commit(Commit().take("s/1", "two", 1000))), token);
}

TEST_P(JournalContract, AnOldTokenNeverWritesAgain) {
  const uint64_t first = token_of(backend_->commit(Commit().take("s/1", "one", 10)));
  EXPECT_TRUE(backend_->commit(Commit().append("s", "x").fence("s/1", first)).ok());
  backend_->clock.advance(kNanosPerSecond);
  EXPECT_TRUE(backend_->commit(Commit().append("s", "x").fence("s/1", first)).ok())
      << "until somebody takes it, safety rests on the token, not on the clock";
  const uint64_t second = token_of(backend_->commit(Commit().take("s/1", "two", 10)));
  EXPECT_EQ(backend_->commit(Commit().append("s", "x").fence("s/1", first)).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(backend_->commit(Commit().take("s/1", "one", 10, first)).status().code(),
            Code::kFailedPrecondition);
  EXPECT_TRUE(backend_->commit(Commit().append("s", "x").fence("s/1", second)).ok());
  EXPECT_EQ(backend_->commit(Commit().append("s", "x").fence("never", 1)).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(backend_->commit(Commit().append("s", "x").fence("never", 0)).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(backend_->read(read("s"))->head_seq(), 3u);
}

TEST_P(JournalContract, AReleasedLeaseIsFreeAndItsTokenDead) {
  const uint64_t first = token_of(backend_->commit(Commit().take("l", "one", 10'000)));
  EXPECT_TRUE(backend_->commit(Commit().release("l", first + 1)).ok()) << "an old token is ignored";
  EXPECT_EQ(backend_->commit(Commit().take("l", "two", 10)).status().code(), Code::kAborted);
  ASSERT_TRUE(backend_->commit(Commit().release("l", first)).ok());
  EXPECT_EQ(backend_->commit(Commit().fence("l", first)).status().code(),
            Code::kFailedPrecondition);
  EXPECT_GT(token_of(backend_->commit(Commit().take("l", "two", 10))), first);
}

TEST_P(JournalContract, ABlobArrivesInPartsAndIsReadInParts) {
  const std::string data = std::string(1u << 20, 'a') + std::string(1000, 'b');
  const std::string name = sha256(data);
  ASSERT_TRUE(backend_->put_blob(blob_part(name, 0, data.substr(0, 1u << 20), false)).ok());
  v1::GetBlobRequest get;
  get.set_digest(name);
  EXPECT_EQ(backend_->get_blob(get).status().code(), Code::kNotFound) << "not complete yet";
  ASSERT_TRUE(backend_->put_blob(blob_part(name, 1u << 20, data.substr(1u << 20), true)).ok());
  const auto first = backend_->get_blob(get);
  ASSERT_TRUE(first.ok()) << first.status().to_string();
  EXPECT_EQ(first->size(), data.size());
  EXPECT_EQ(first->data(), data.substr(0, 1u << 20));
  get.set_offset((1u << 20) - 5);
  get.set_limit(10);
  EXPECT_EQ(backend_->get_blob(get)->data(), "aaaaabbbbb");
  get.set_offset(data.size());
  EXPECT_EQ(backend_->get_blob(get)->data(), "");
  EXPECT_TRUE(backend_->put_blob(blob_part(name, 0, "", false))->exists());
}

TEST_P(JournalContract, ABlobWithAnotherDigestIsRefusedAndForgotten) {
  const std::string name = sha256("right");
  EXPECT_EQ(backend_->put_blob(blob_part(name, 0, "wrong", true)).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(backend_->put_blob(blob_part(name, 5, "x", true)).status().code(),
            Code::kFailedPrecondition);
  EXPECT_TRUE(backend_->put_blob(blob_part(name, 0, "right", true)).ok());
  EXPECT_EQ(backend_->put_blob(blob_part("short", 0, "", true)).status().code(),
            Code::kInvalidArgument);
  EXPECT_TRUE(backend_->put_blob(blob_part(sha256(""), 0, "", true)).ok());
}

TEST_P(JournalContract, UploadsOfTwoUploadersDoNotMix) {
  const std::string name = sha256("right");
  ASSERT_TRUE(backend_->put_blob(blob_part(name, 0, "wr", false), "mallory").ok());
  ASSERT_TRUE(backend_->put_blob(blob_part(name, 0, "ri", false), "alice").ok());
  EXPECT_TRUE(backend_->put_blob(blob_part(name, 2, "ght", true), "alice").ok());
}

TEST_P(JournalContract, UnnamedBlobsAreSweptAndNamedOnesStay) {
  constexpr int64_t kDay = 24 * 3600 * kNanosPerSecond;
  for (const std::string data : {"raw", "hex", "document", "nobody", "young"}) {
    if (data == "young") backend_->clock.advance(kDay);
    ASSERT_TRUE(backend_->put_blob(blob_part(sha256(data), 0, data, true)).ok());
  }
  ASSERT_TRUE(backend_
                  ->commit(Commit()
                               .append("s", "x" + sha256("raw") + "y")
                               .append("s", "{\"blob\":\"" + digest::to_hex(sha256("hex")) + "\"}")
                               .put("c", "k", sha256("document")))
                  .ok());
  const auto swept = backend_->sweep(kDay);
  ASSERT_TRUE(swept.ok()) << swept.status().to_string();
  EXPECT_EQ(*swept, 1u);
  for (const std::string data : {"raw", "hex", "document", "nobody", "young"}) {
    v1::GetBlobRequest get;
    get.set_digest(sha256(data));
    EXPECT_EQ(backend_->get_blob(get).ok(), data != "nobody") << data;
  }
}

}  // namespace
}  // namespace palyra::journal::contract
