#include "plugins/journal/service.h"

#include "palyra/services.h"
#include "palyra/testing/fake_host.hpp"
#include "plugins/journal/config.h"
#include "plugins/journal/contract/requests.h"
#include "plugins/journal/memory/store.h"

#include <gtest/gtest.h>

namespace palyra::journal {
namespace {

using contract::Commit;

// What a caller's sink got.
struct Answer {
  std::vector<std::string> items;
  std::string result;
  int done = 0;
  Status status;
  const palyra_buffers* buffers = nullptr;

  std::string take(palyra_buffer* buffer) const {
    return std::string(Buffer(buffers, buffer).view());
  }
};

class JournalServiceTest : public ::testing::Test {
 protected:
  JournalServiceTest() { service_.open(store_); }

  // Starts a call as `caller`; "" = the gateway.
  Status start(uint32_t method, const google::protobuf::MessageLite& request,
               const std::string& caller, Answer& answer, uint32_t credits = 0,
               palyra_handle* op = nullptr) {
    answer.buffers = host_.buffers();
    palyra_call_options options{};
    options.struct_size = sizeof options;
    options.deadline = PALYRA_NO_DEADLINE;
    options.credits = credits;
    options.caller = to_str(caller);
    options.caller_flags = caller.empty() ? uint32_t{PALYRA_CALLER_HUB} : 0u;
    const palyra_sink sink{
        sizeof(palyra_sink), 0, &answer,
        [](void* ctx, palyra_buffer* item) {
          auto& self = *static_cast<Answer*>(ctx);
          self.items.push_back(self.take(item));
        },
        [](void* ctx, palyra_status status, palyra_buffer* result, const palyra_error* error) {
          auto& self = *static_cast<Answer*>(ctx);
          ++self.done;
          self.status = Status::from_abi(status, error);
          self.result = self.take(result);
        }};
    const std::string bytes = request.SerializeAsString();
    palyra_handle unused = 0;
    palyra_error error{};
    error.struct_size = sizeof error;
    const palyra_status status =
        service_.table()->start(service_.self(), method, to_bytes(bytes), &options, &sink,
                                op != nullptr ? op : &unused, &error);
    return Status::from_abi(status, &error);
  }
  Status call(uint32_t method, const google::protobuf::MessageLite& request,
              const std::string& caller) {
    Answer answer;
    if (Status status = start(method, request, caller, answer); !status.ok()) return status;
    fake_.executor.run_until_idle();
    EXPECT_EQ(answer.done, 1);
    return answer.status;
  }
  Status commit(const v1::CommitRequest& request, const std::string& caller) {
    return call(PALYRA_JOURNAL_COMMIT, request, caller);
  }

  palyra::testing::FakeHost fake_;
  Host host_ = fake_.host();
  std::shared_ptr<MemoryStore> store_ =
      std::make_shared<MemoryStore>(fake_.clock, fake_.executor, host_.random());
  JournalService service_{host_};
};

TEST_F(JournalServiceTest, ACommitIsWrittenAndAnswered) {
  Answer answer;
  ASSERT_TRUE(
      start(PALYRA_JOURNAL_COMMIT, v1::CommitRequest(Commit().append("s", "x")), "", answer).ok());
  EXPECT_EQ(answer.done, 0) << "not inside start";
  fake_.executor.run_until_idle();
  v1::CommitResponse response;
  ASSERT_TRUE(response.ParseFromString(answer.result));
  EXPECT_EQ(response.position(), 1u);
}

TEST_F(JournalServiceTest, AThirdPartyIsConfinedToItsOwnNames) {
  const auto denied = [](const Status& status) { return status.code() == Code::kPermissionDenied; };
  EXPECT_TRUE(
      commit(Commit().append("bot/in", "x").put("bot/c", "k", "v").take("bot/l", "a", 1), "bot")
          .ok());
  EXPECT_TRUE(denied(commit(Commit().append("run/1", "x"), "bot")));
  EXPECT_TRUE(denied(commit(Commit().append("bot2/in", "x"), "bot")));
  EXPECT_TRUE(denied(commit(Commit().append("bot", "x"), "bot")));
  EXPECT_TRUE(denied(commit(Commit().put("sessions", "k", "v"), "bot")));
  EXPECT_TRUE(denied(commit(Commit().remove("sessions", "k"), "bot")));
  EXPECT_TRUE(denied(commit(Commit().take("session/1", "me", 1), "bot")));
  EXPECT_TRUE(denied(commit(Commit().fence("session/1", 1), "bot")));
  EXPECT_TRUE(denied(commit(Commit().release("session/1", 1), "bot")));
  EXPECT_TRUE(denied(call(PALYRA_JOURNAL_READ, contract::read("run/1"), "bot")));
  EXPECT_TRUE(denied(call(PALYRA_JOURNAL_QUERY, contract::query("sessions"), "bot")));
  EXPECT_TRUE(denied(call(PALYRA_JOURNAL_DECLARE, contract::declare("sessions", {}), "bot")));
  v1::GetRequest get;
  get.set_collection("sessions");
  get.set_key("k");
  EXPECT_TRUE(denied(call(PALYRA_JOURNAL_GET, get, "bot")));
  v1::VerifyRequest verify;
  verify.set_stream("audit");
  EXPECT_TRUE(denied(call(PALYRA_JOURNAL_VERIFY, verify, "bot")));
  v1::WatchRequest watch;
  watch.set_stream_prefix("run/");
  EXPECT_TRUE(denied(call(PALYRA_JOURNAL_WATCH, watch, "bot")));
}

TEST_F(JournalServiceTest, AThirdPartyCannotLookAtTheWholeStore) {
  for (const char* const prefix : {"", "bot/"}) {
    v1::ListStreamsRequest list;
    list.set_prefix(prefix);
    EXPECT_EQ(call(PALYRA_JOURNAL_LIST_STREAMS, list, "bot").code(), Code::kPermissionDenied);
  }
  EXPECT_EQ(call(PALYRA_JOURNAL_HEADS, v1::HeadsRequest(), "bot").code(), Code::kPermissionDenied);
  EXPECT_EQ(call(PALYRA_JOURNAL_VERIFY_STORE, v1::VerifyStoreRequest(), "bot").code(),
            Code::kPermissionDenied);
  EXPECT_TRUE(call(PALYRA_JOURNAL_HEADS, v1::HeadsRequest(), "").ok());
  EXPECT_TRUE(call(PALYRA_JOURNAL_VERIFY_STORE, v1::VerifyStoreRequest(), "").ok());
  EXPECT_TRUE(call(PALYRA_JOURNAL_LIST_STREAMS, v1::ListStreamsRequest(), "").ok());
}

TEST_F(JournalServiceTest, OnlyTheHubMayArchiveEraseAndMaintain) {
  const auto denied = [](const Status& status) { return status.code() == Code::kPermissionDenied; };
  ASSERT_TRUE(commit(Commit().append("bot/in", "x"), "bot").ok());
  v1::EraseRecordsRequest erase;
  erase.set_stream("bot/in");
  v1::ArchiveRequest archive;
  archive.set_stream("bot/in");
  EXPECT_TRUE(denied(call(PALYRA_JOURNAL_ERASE, erase, "bot")));
  EXPECT_TRUE(denied(call(PALYRA_JOURNAL_ARCHIVE, archive, "bot")));
  EXPECT_TRUE(denied(call(PALYRA_JOURNAL_MAINTAIN, v1::MaintainRequest(), "bot")));
  EXPECT_TRUE(call(PALYRA_JOURNAL_ARCHIVE, archive, "").ok());
  EXPECT_TRUE(call(PALYRA_JOURNAL_ERASE, erase, "").ok());
  EXPECT_TRUE(call(PALYRA_JOURNAL_MAINTAIN, v1::MaintainRequest(), "").ok());
}

class FakeKeeper : public Keeper {
 public:
  Result<v1::BackupResponse> backup(const v1::BackupRequest& request) override {
    v1::BackupResponse response;
    response.set_name(request.name());
    return response;
  }
  Result<v1::CheckResponse> check(const v1::CheckRequest&) override { return v1::CheckResponse(); }
};

TEST_F(JournalServiceTest, AThirdPartyCannotMakeOrListBackups) {
  v1::BackupRequest request;
  request.set_name("mine");
  EXPECT_EQ(call(PALYRA_JOURNAL_BACKUP, request, "").code(), Code::kUnimplemented)
      << "a backend without a keeper";
  service_.open(store_, std::make_shared<FakeKeeper>());
  EXPECT_EQ(call(PALYRA_JOURNAL_BACKUP, request, "bot").code(), Code::kPermissionDenied);
  EXPECT_EQ(call(PALYRA_JOURNAL_CHECK, v1::CheckRequest(), "bot").code(), Code::kPermissionDenied);
  EXPECT_TRUE(call(PALYRA_JOURNAL_BACKUP, request, "").ok());
  EXPECT_TRUE(call(PALYRA_JOURNAL_CHECK, v1::CheckRequest(), "").ok());
}

TEST_F(JournalServiceTest, AThirdPartysWatchSeesItsOwnStreamsOnly) {
  ASSERT_TRUE(commit(Commit().append("run/1", "secret").append("bot/in", "mine"), "").ok());
  Answer answer;
  palyra_handle op = 0;
  ASSERT_TRUE(start(PALYRA_JOURNAL_WATCH, v1::WatchRequest(), "bot", answer, 5, &op).ok());
  fake_.executor.run_until_idle();
  ASSERT_EQ(answer.items.size(), 1u);
  v1::WatchItem item;
  ASSERT_TRUE(item.ParseFromString(answer.items[0]));
  ASSERT_EQ(item.records_size(), 1);
  EXPECT_EQ(item.records(0).payload(), "mine");
  service_.table()->cancel(service_.self(), op);
  service_.table()->cancel(service_.self(), op);
  EXPECT_EQ(answer.done, 1);
  EXPECT_EQ(answer.status.code(), Code::kCancelled);
}

TEST_F(JournalServiceTest, AWatchSendsNoMoreThanItsCredits) {
  Answer answer;
  palyra_handle op = 0;
  ASSERT_TRUE(start(PALYRA_JOURNAL_WATCH, v1::WatchRequest(), "", answer, 1, &op).ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(commit(Commit().append("s", "x"), "").ok());
  EXPECT_EQ(answer.items.size(), 1u);
  service_.table()->grant(service_.self(), op, 1);
  fake_.executor.run_until_idle();
  EXPECT_EQ(answer.items.size(), 2u);
  service_.table()->cancel(service_.self(), op);
}

TEST_F(JournalServiceTest, BadCallsAreRefused) {
  EXPECT_EQ(call(99, v1::InfoRequest(), "").code(), Code::kUnimplemented);
  Answer answer;
  palyra_sink sink{sizeof(palyra_sink), 0, &answer, nullptr, nullptr};
  palyra_handle op = 0;
  EXPECT_EQ(service_.table()->start(service_.self(), PALYRA_JOURNAL_COMMIT,
                                    to_bytes("\xff\xff\xff"), nullptr, &sink, &op, nullptr),
            PALYRA_INVALID_ARGUMENT);
  service_.close();
  EXPECT_EQ(call(PALYRA_JOURNAL_INFO, v1::InfoRequest(), "").code(), Code::kUnavailable);
}

TEST(JournalConfig, DefaultsAndLimits) {
  EXPECT_EQ(parse_config("{}")->group_commit_max, 256u);
  EXPECT_EQ(parse_config(R"({"path": "/x/y", "readers": 4})")->path, "/x/y");
  for (const char* bad :
       {R"({"readers": 0})", R"({"group_commit_max": 1001})", R"({"path": "relative"})",
        R"({"segments_dir": "relative"})", R"({"max_bytes": 1000})", R"({"path": 7})", "["}) {
    EXPECT_EQ(parse_config(bad).status().code(), Code::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace palyra::journal
