// Retention and erasure over a whole gateway in memory.
#include "plugins/gateway/ports/testing/store_upkeep.h"
#include "plugins/gateway/retention/storage_impl.h"
#include "plugins/gateway/session/testing.h"

#include <gmock/gmock.h>

namespace palyra::gateway::retention {
namespace {

using ::testing::HasSubstr;
using testing::House;
using ::testing::Not;

constexpr int64_t kDayMs = 86'400'000;
constexpr char kSecret[] = "the combination is 1-2-3-4-5";

TEST(RetentionPlan, AgeAndSizeDecideAndABusySessionIsNeverTouched) {
  const Rules by_age{30, 0};
  const int64_t now = 100 * kDayMs;
  EXPECT_EQ(judge(by_age, now, 0, {69 * kDayMs, false}), Verdict::kArchive);
  EXPECT_EQ(judge(by_age, now, 0, {69 * kDayMs, true}), Verdict::kSkip);
  EXPECT_EQ(judge(by_age, now, 0, {70 * kDayMs, false}), Verdict::kStop);
  const Rules by_size{0, 1000};
  EXPECT_EQ(judge(by_size, now, 1001, {now, false}), Verdict::kArchive);
  EXPECT_EQ(judge(by_size, now, 1001, {now, true}), Verdict::kSkip);
  EXPECT_EQ(judge(by_size, now, 1000, {0, false}), Verdict::kStop);
  EXPECT_EQ(judge({30, 1000}, now, 500, {1, false}), Verdict::kArchive);
  EXPECT_EQ(judge({}, now, 1u << 30, {0, false}), Verdict::kStop);
  EXPECT_TRUE(Rules().off());
}

class RetentionTest : public ::testing::Test {
 protected:
  Caller ann() { return House::caller("user:ann"); }
  Caller admin() {
    Caller caller = House::caller("user:root");
    caller.scopes.insert("admin");
    return caller;
  }
  AcceptedInput say(const std::string& text, const std::string& session = "") {
    const auto accepted = house_.send(text, session);
    EXPECT_TRUE(accepted.ok()) << accepted.status().to_string();
    house_.executor.run_until_idle();
    return accepted.ok() ? *accepted : AcceptedInput();
  }
  std::string tape(const std::string& run_id) {
    api::ReadTapeRequest request;
    request.set_run_id(run_id);
    const auto page = house_.run(house_.gateway->read_tape(ann(), request));
    if (!page.ok()) return page.status().to_string();
    std::string out;
    for (const auto& entry : page->entries()) {
      out += entry.type() + (entry.erased() ? " [erased] " : " " + entry.payload_json() + " ");
    }
    return out;
  }
  api::VerifyTapeResponse verify(const std::string& run_id) {
    api::VerifyTapeRequest request;
    request.set_run_id(run_id);
    return *house_.run(house_.gateway->verify_tape(ann(), request));
  }
  Result<api::EraseResponse> erase_session(const std::string& session, const Caller& caller) {
    api::EraseSessionRequest request;
    request.set_session_id(session);
    request.set_reason("asked to forget");
    return house_.run(storage_.erase_session(caller, request));
  }
  // Everything that the store holds in clear, archive and documents included.
  std::string all_that_is_stored(const std::string& session, const std::string& run) {
    std::string all = tape(run);
    api::ReadTapeRequest request;
    request.set_session_id(session);
    const auto page = house_.run(house_.gateway->read_tape(ann(), request));
    for (const auto& entry : page->entries()) all += entry.payload();
    api::GetRunRequest get_run;
    get_run.set_run_id(run);
    all += house_.run(house_.gateway->get_run(ann(), get_run))->ShortDebugString();
    api::GetSessionRequest get_session;
    get_session.set_session_id(session);
    all += house_.run(house_.gateway->get_session(ann(), get_session))->ShortDebugString();
    return all;
  }

  House house_;
  testing::StoreUpkeep upkeep_{house_.store};
  StorageImpl storage_{World{house_.clock, house_.executor, house_.ids, house_.journal,
                             house_.providers, house_.tools},
                       *house_.gateway, upkeep_, Rules{30, 0}};
};

TEST_F(RetentionTest, AnOldSessionIsArchivedAndReadsAsBefore) {
  const AcceptedInput old = say("hello");
  const std::string before = tape(old.run_id);
  house_.advance_ms(31 * kDayMs);
  const AcceptedInput young = say("hello again");
  ASSERT_TRUE(house_.run(storage_.pass()).ok());
  EXPECT_EQ(tape(old.run_id).substr(0, before.size()), before);
  EXPECT_THAT(tape(old.run_id), HasSubstr("segment_closed"));
  EXPECT_THAT(tape(young.run_id), Not(HasSubstr("segment_closed")));
  EXPECT_TRUE(verify(old.run_id).ok());
  const auto status = house_.run(storage_.status(admin(), {}));
  ASSERT_TRUE(status.ok()) << status.status().to_string();
  EXPECT_EQ(status->retention().sessions(), 1u);
  EXPECT_GT(status->archived_records(), 0u);
  // The next pass finds nothing to do; the session goes on.
  ASSERT_TRUE(house_.run(storage_.pass()).ok());
  EXPECT_EQ(house_.run(storage_.status(admin(), {}))->retention().sessions(), 1u);
  say("and on", old.session_id);
}

TEST_F(RetentionTest, ASessionIsErasedFromTapeArchiveDocumentsAndContext) {
  const AcceptedInput first = say(kSecret);
  house_.advance_ms(31 * kDayMs);
  ASSERT_TRUE(house_.run(storage_.pass()).ok());
  ASSERT_THAT(all_that_is_stored(first.session_id, first.run_id), HasSubstr(kSecret));
  const auto erased = erase_session(first.session_id, ann());
  ASSERT_TRUE(erased.ok()) << erased.status().to_string();
  EXPECT_EQ(erased->runs(), 1u);
  EXPECT_THAT(all_that_is_stored(first.session_id, first.run_id), Not(HasSubstr(kSecret)));
  for (const auto& [name, bytes] : house_.store.files().files) {
    EXPECT_THAT(bytes, Not(HasSubstr(kSecret))) << name;
  }
  EXPECT_THAT(tape(first.run_id), HasSubstr("run_created [erased]"));
  EXPECT_TRUE(verify(first.run_id).ok()) << verify(first.run_id).reason();
  EXPECT_GT(verify(first.run_id).erased(), 0u);
  // The conversation goes on without it.
  const AcceptedInput next = say("what is the combination?", first.session_id);
  EXPECT_THAT(tape(next.run_id), HasSubstr("run_completed"));
  EXPECT_THAT(tape(next.run_id), Not(HasSubstr("SEGMENT_KIND_HISTORY")));
  EXPECT_TRUE(erase_session(first.session_id, ann()).ok()) << "asking again is no error";
}

TEST_F(RetentionTest, ARunIsErasedAndTheOthersOfItsSessionStay) {
  const AcceptedInput first = say(kSecret);
  const AcceptedInput second = say("something harmless", first.session_id);
  api::EraseRunRequest request;
  request.set_run_id(first.run_id);
  request.set_reason("a slip");
  const auto erased = house_.run(storage_.erase_run(ann(), request));
  ASSERT_TRUE(erased.ok()) << erased.status().to_string();
  EXPECT_THAT(all_that_is_stored(first.session_id, first.run_id), Not(HasSubstr(kSecret)));
  EXPECT_THAT(tape(second.run_id), HasSubstr("something harmless"));
  EXPECT_TRUE(verify(first.run_id).ok());
  say("go on", first.session_id);
}

TEST_F(RetentionTest, AnotherPrincipalErasesNothingAndNeitherDoesARunInFlight) {
  const AcceptedInput first = say(kSecret);
  EXPECT_EQ(erase_session(first.session_id, House::caller("user:bob")).status().code(),
            Code::kPermissionDenied);
  EXPECT_EQ(house_.run(storage_.status(ann(), {})).status().code(), Code::kPermissionDenied);
  EXPECT_EQ(house_.run(storage_.archive(ann(), {})).status().code(), Code::kPermissionDenied);
  EXPECT_EQ(house_.run(storage_.vacuum(ann(), {})).status().code(), Code::kPermissionDenied);
  api::EraseSessionRequest silent;
  silent.set_session_id(first.session_id);
  EXPECT_EQ(house_.run(storage_.erase_session(ann(), silent)).status().code(),
            Code::kInvalidArgument)
      << "without a reason";
  EXPECT_THAT(tape(first.run_id), HasSubstr(kSecret));
}

TEST_F(RetentionTest, ArchivingByHandSaysWhatItWouldDoFirst) {
  const AcceptedInput first = say("one");
  api::ArchiveSessionsRequest request;
  request.set_dry_run(true);
  house_.advance_ms(1000);
  EXPECT_EQ(house_.run(storage_.archive(admin(), request))->sessions(), 1u);
  EXPECT_THAT(tape(first.run_id), Not(HasSubstr("segment_closed")));
  request.set_dry_run(false);
  const auto done = house_.run(storage_.archive(admin(), request));
  ASSERT_TRUE(done.ok()) << done.status().to_string();
  EXPECT_EQ(done->sessions(), 1u);
  EXPECT_GT(done->records(), 0u);
  EXPECT_EQ(house_.run(storage_.archive(admin(), request))->records(), 0u);
  request.set_older_than_days(1);
  say("two");
  EXPECT_EQ(house_.run(storage_.archive(admin(), request))->sessions(), 0u);
}

}  // namespace
}  // namespace palyra::gateway::retention
