// Retention and erasure over a whole gateway in memory.
#include "plugins/common/digest/digest.h"
#include "plugins/gateway/ports/testing/store_upkeep.h"
#include "plugins/gateway/retention/storage_impl.h"
#include "plugins/gateway/session/testing.h"

#include <gmock/gmock.h>

#include <memory>
#include <utility>

namespace palyra::gateway::retention {
namespace {

using ::testing::HasSubstr;
using testing::House;
using ::testing::Not;

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

// One life of a gateway and its upkeep after another, over one store.
class Lives {
 public:
  explicit Lives(uint64_t seed) : house(seed) { begin(); }
  ~Lives() { storage_.reset(); }
  void begin() {
    upkeep_ = std::make_unique<testing::StoreUpkeep>(house.store);
    storage_ = std::make_unique<StorageImpl>(
        World{house.clock, house.executor, house.ids, house.journal, house.providers, house.tools},
        *house.gateway, *upkeep_, Rules{});
  }
  void crash() {
    house.crash();
    storage_.reset();
    house.start();
    begin();
  }
  StorageImpl& storage() { return *storage_; }
  std::vector<api::Erasure> unfinished() {
    return *house.run(Keeper(*house.gateway, *upkeep_).unfinished());
  }
  // Everything the store can be asked for about this run and its session, files included.
  std::string all(const AcceptedInput& said) {
    std::string out;
    for (const std::string& stream : {"run/" + said.run_id, "session/" + said.session_id}) {
      service::ReadRequest read;
      read.set_stream(stream);
      const auto page = house.run(house.journal.read(read));
      EXPECT_TRUE(page.ok()) << page.status().to_string();
      for (const auto& record : page->records()) out += record.payload();
      service::VerifyRequest verify;
      verify.set_stream(stream);
      const auto verdict = house.run(house.journal.verify(verify));
      EXPECT_TRUE(verdict->ok()) << verdict->reason();
    }
    for (const auto& [collection, key] :
         {std::pair("runs", said.run_id), std::pair("sessions", said.session_id),
          std::pair("views", said.session_id)}) {
      service::GetRequest get;
      get.set_collection(collection);
      get.set_key(key);
      out += house.run(house.journal.get(get))->document().value();
    }
    return out;
  }

  House house;

 private:
  std::unique_ptr<testing::StoreUpkeep> upkeep_;
  std::unique_ptr<StorageImpl> storage_;
};

// kill -9 after each step of an erasure: it has not begun, or the next start finishes it.
void erase_with_crashes(bool of_run) {
  bool finished = false;
  int begun = 0;
  for (int steps = 0; !finished; ++steps) {
    ASSERT_LT(steps, 5000);
    SCOPED_TRACE("crash after step " + std::to_string(steps));
    Lives lives(7);
    House& house = lives.house;
    const auto said = house.send(kSecret);
    house.executor.run_until_idle();
    const auto second = house.send("something harmless", said->session_id);
    house.executor.run_until_idle();
    // The tape of the run is in a file.
    service::ArchiveRequest archive;
    archive.set_stream("run/" + said->run_id);
    house.store.archive(archive, [](const auto&) {});
    house.executor.run_until_idle();
    ASSERT_THAT(lives.all(*said), HasSubstr(kSecret));

    std::shared_ptr<std::optional<Result<api::EraseResponse>>> answer;
    if (of_run) {
      api::EraseRunRequest request;
      request.set_run_id(said->run_id);
      request.set_reason("a slip");
      answer = house.begin(lives.storage().erase_run(House::caller(), request));
    } else {
      api::EraseSessionRequest request;
      request.set_session_id(said->session_id);
      request.set_reason("asked to forget");
      answer = house.begin(lives.storage().erase_session(House::caller(), request));
    }
    for (int i = 0; i < steps && house.executor.run_one(); ++i) {
    }
    finished = answer->has_value();
    if (finished) {
      EXPECT_TRUE((*answer)->ok()) << (*answer)->status().to_string();
    }
    lives.crash();
    const bool noted = !lives.unfinished().empty();
    begun += noted;
    const Status status = house.run(lives.storage().finish_erasures());
    ASSERT_TRUE(status.ok()) << status.to_string();
    EXPECT_TRUE(lives.unfinished().empty());
    const std::string all = lives.all(*said);
    // Begun, or so far that the note is gone again.
    if (begun > 0) {
      EXPECT_THAT(all, Not(HasSubstr(kSecret)));
      for (const auto& [name, bytes] : house.store.files().files) {
        EXPECT_EQ(name, digest::to_hex(digest::sha256(bytes)) + ".ndjson.gz");
      }
      EXPECT_LE(house.store.files().files.size(), 1u);
    } else {
      EXPECT_THAT(all, HasSubstr(kSecret)) << "half erased, and nobody knows";
    }
    if (of_run) {
      EXPECT_THAT(lives.all(*second), HasSubstr("something harmless"));
    }
    ASSERT_TRUE(house.send("on it goes", said->session_id).ok());
    house.executor.run_until_idle();
  }
  EXPECT_GT(begun, 3) << "no crash hit an erasure that had begun";
}

TEST(ErasureCrash, ASessionsErasureThatHasBegunIsFinishedAfterACrashAnywhere) {
  erase_with_crashes(false);
}

TEST(ErasureCrash, ARunsErasureThatHasBegunIsFinishedAfterACrashAnywhere) {
  erase_with_crashes(true);
}

TEST(ErasureCrash, OneThatCannotBeFinishedIsTriedAgainAndTold) {
  Lives lives(3);
  House& house = lives.house;
  const auto said = house.send(kSecret);
  house.executor.run_until_idle();
  service::ArchiveRequest archive;
  archive.set_stream("run/" + said->run_id);
  house.store.archive(archive, [](const auto&) {});
  house.executor.run_until_idle();
  auto& files = house.store.files().files;
  const auto kept = std::exchange(files, {});
  std::vector<Status> failures;
  lives.storage().on_work([&] {
    house.scope.spawn(lives.storage().run(
        3600 * kNanosPerSecond, [&](const Status& status) { failures.push_back(status); }));
  });
  api::EraseSessionRequest request;
  request.set_session_id(said->session_id);
  request.set_reason("asked to forget");
  EXPECT_EQ(house.run(lives.storage().erase_session(House::caller(), request)).status().code(),
            Code::kNotFound);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_THAT(failures[0].message(), HasSubstr("is missing; put it back"));
  Caller admin = House::caller("user:root");
  admin.scopes.insert("admin");
  auto status = house.run(lives.storage().status(admin, {}));
  EXPECT_EQ(status->pending_erasures(), 1u);
  EXPECT_THAT(status->erasure_problem(), HasSubstr("session/" + said->session_id));
  house.advance_ms(61'000);
  EXPECT_EQ(failures.size(), 2u);
  files = kept;
  house.advance_ms(61'000);
  EXPECT_EQ(failures.size(), 2u);
  status = house.run(lives.storage().status(admin, {}));
  EXPECT_EQ(status->pending_erasures(), 0u);
  EXPECT_THAT(lives.all(*said), Not(HasSubstr(kSecret)));
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

TEST_F(RetentionTest, ASessionOfBeforeTheClockWasSetBackIsArchivedInItsTime) {
  say("one");
  house_.advance_ms(40 * kDayMs);
  ASSERT_TRUE(house_.run(storage_.pass()).ok());
  house_.clock.jump_wall(-60 * kDayMs * kNanosPerMilli);
  const AcceptedInput again = say("two");
  ASSERT_TRUE(house_.run(storage_.pass()).ok());
  house_.advance_ms(31 * kDayMs);
  ASSERT_TRUE(house_.run(storage_.pass()).ok());
  EXPECT_THAT(tape(again.run_id), HasSubstr("segment_closed"));
}

TEST_F(RetentionTest, ADamagedSessionDoesNotKeepTheOthersFromTheArchive) {
  const AcceptedInput damaged = say("one");
  house_.advance_ms(1000);
  const AcceptedInput sound = say("two");
  house_.advance_ms(31 * kDayMs);
  auto& record = *house_.store.stored("run/" + damaged.run_id, 2);
  const std::string before = record.payload();
  record.set_payload("forged");
  const Status first = house_.run(storage_.pass());
  EXPECT_EQ(first.code(), Code::kDataLoss);
  EXPECT_THAT(first.message(), HasSubstr(damaged.session_id));
  EXPECT_EQ(storage_.problem(), first.message());
  EXPECT_THAT(tape(sound.run_id), HasSubstr("segment_closed"));
  const auto by_hand = house_.run(storage_.archive(admin(), {}));
  ASSERT_TRUE(by_hand.ok()) << by_hand.status().to_string();
  EXPECT_EQ(by_hand->failed(), 1u);
  EXPECT_EQ(by_hand->problem(), first.message());
  // Brought back from a backup, say: it comes again.
  record.set_payload(before);
  EXPECT_TRUE(house_.run(storage_.pass()).ok());
  EXPECT_THAT(tape(damaged.run_id), HasSubstr("segment_closed"));
  EXPECT_EQ(storage_.problem(), "");
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
