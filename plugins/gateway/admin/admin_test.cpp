#include "plugins/common/digest/digest.h"
#include "plugins/gateway/admin/backups.h"
#include "plugins/gateway/admin/doctor.h"
#include "plugins/gateway/admin/tar.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

namespace palyra::gateway {
namespace {

namespace pb = ::palyra::service::v1;

void expect_helpful(const Check& check, const std::string& status) {
  EXPECT_EQ(check.status(), status) << check.ShortDebugString();
  EXPECT_FALSE(check.name().empty());
  EXPECT_FALSE(check.message().empty());
  EXPECT_EQ(check.fix().empty(), status == "ok") << check.ShortDebugString();
}

TEST(DoctorTest, TheHostsChecksPassThroughAndFailuresHaveAFix) {
  const auto checks = host_checks(std::string(
      R"([{"name": "config", "status": "ok", "message": "fine"},
          {"name": "plugins", "status": "warn", "message": "one is quarantined", "fix": "repair it"},
          {"name": "odd", "status": "??", "message": "what"}])"));
  ASSERT_EQ(checks.size(), 3u);
  expect_helpful(checks[0], "ok");
  expect_helpful(checks[1], "warn");
  expect_helpful(checks[2], "fail");
  expect_helpful(host_checks(std::string("{")).at(0), "fail");
  expect_helpful(host_checks(Status(Code::kInternal, "broken")).at(0), "fail");
}

TEST(DoctorTest, AJournalThatCannotWriteFails) {
  pb::InfoResponse info;
  info.set_backend("sqlite");
  info.set_location("/var/lib/palyra");
  info.set_free_bytes(kLowDisk);
  expect_helpful(journal_check(info), "ok");
  info.set_free_bytes(kLowDisk - 1);
  expect_helpful(journal_check(info), "warn");
  info.set_free_bytes(kFullDisk - 1);
  expect_helpful(journal_check(info), "fail");
  info.set_free_bytes(kLowDisk);
  info.set_write_refusal("the disk is full");
  expect_helpful(journal_check(info), "fail");
  expect_helpful(journal_check(Status(Code::kUnavailable, "not running")), "fail");
}

TEST(DoctorTest, TheStoresCheckAndTheBackupsAreTold) {
  pb::CheckResponse keeping;
  const auto expect = [&](const char* check, const char* backups) {
    const auto checks = journal_keeping_checks(keeping);
    ASSERT_EQ(checks.size(), 2u);
    expect_helpful(checks[0], check);
    expect_helpful(checks[1], backups);
  };
  expect("ok", "ok");
  keeping.mutable_check()->set_state(pb::STORE_CHECK_STATE_RUNNING);
  keeping.mutable_check()->set_records_done(37);
  keeping.mutable_check()->set_records_total(100);
  expect("ok", "ok");
  EXPECT_EQ(journal_keeping_checks(keeping)[0].message(), "running, 37 %");
  keeping.mutable_check()->set_state(pb::STORE_CHECK_STATE_OK);
  keeping.add_backups()->set_name("b");
  expect("ok", "ok");
  keeping.mutable_backup()->set_note("older ones stay");
  expect("ok", "warn");
  keeping.mutable_backup()->clear_note();
  keeping.mutable_check()->set_state(pb::STORE_CHECK_STATE_FAILED);
  keeping.set_archive_problem("the disk is full");
  expect("warn", "warn");
  keeping.mutable_check()->set_state(pb::STORE_CHECK_STATE_DAMAGED);
  keeping.mutable_check()->set_detail("record 3 of run/x: hash mismatch");
  keeping.mutable_backup()->set_error("the disk is full");
  expect("fail", "warn");
  EXPECT_NE(journal_keeping_checks(keeping)[0].message().find("record 3 of run/x"),
            std::string::npos);
  expect_helpful(journal_keeping_checks(Status(Code::kUnavailable, "gone")).at(0), "fail");
}

TEST(DoctorTest, AProviderSaysWhatIsMissing) {
  pb::ListModelsResponse models;
  models.set_state(pb::PROVIDER_STATE_READY);
  expect_helpful(provider_check("openai", models), "ok");
  for (const auto state : {pb::PROVIDER_STATE_KEY_MISSING, pb::PROVIDER_STATE_UNREACHABLE}) {
    models.set_state(state);
    expect_helpful(provider_check("openai", models), "fail");
  }
  expect_helpful(provider_check("openai", Status(Code::kUnavailable, "gone")), "fail");
  expect_helpful(default_model_check("openai/gpt-4o", {"embedded", "openai"}), "ok");
  expect_helpful(default_model_check("openai/gpt-4o", {"embedded"}), "fail");
}

TEST(DoctorTest, ATokenThatOthersCanReadFails) {
  const std::string path = ::testing::TempDir() + "owner.token." + std::to_string(::getpid());
  expect_helpful(owner_token_check(path), "fail");
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  ::close(fd);
  expect_helpful(owner_token_check(path), "ok");
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  expect_helpful(owner_token_check(path), "fail");
  ::unlink(path.c_str());
}

TEST(DoctorTest, AnAuditKeyThatIsGoneExposedOrAnotherIsTold) {
  char name[] = "/tmp/palyra-key-XXXXXX";
  const int fd = ::mkstemp(name);
  ASSERT_GE(fd, 0);
  ::close(fd);
  const std::string path = name;
  const auto check = [&](Result<std::string> in_file, const char* newest) {
    return audit_key_check({path, std::move(in_file), "aa", newest});
  };
  const std::string same = "aa";
  expect_helpful(check(same, ""), "ok");
  expect_helpful(check(same, "aa"), "ok");
  expect_helpful(check(same, "bb"), "warn");
  EXPECT_NE(check(same, "bb").fix().find("--key bb"), std::string::npos);
  expect_helpful(check(std::string("bb"), "aa"), "fail");
  AuditKeyFacts tampered{path, same, "aa", "aa"};
  tampered.tampered = "the last checkpoint was altered";
  expect_helpful(audit_key_check(tampered), "fail");
  expect_helpful(check(Status(Code::kFailedPrecondition, "holds no key"), "aa"), "fail");
  ASSERT_EQ(::chmod(name, 0640), 0);
  expect_helpful(check(same, "aa"), "fail");
  EXPECT_NE(check(same, "aa").fix().find("chmod 600"), std::string::npos);
  ::unlink(name);
  expect_helpful(check(same, "aa"), "fail");
  EXPECT_NE(check(same, "aa").fix().find("put your copy of it back"), std::string::npos);
}

// A backup of one file, which may shrink while it is read.
class FakeBackup : public JournalBackup {
 public:
  Task<Result<pb::BackupResponse>> backup(pb::BackupRequest) override {
    co_return pb::BackupResponse();
  }
  Task<Result<pb::CheckResponse>> check(pb::CheckRequest request) override {
    pb::CheckResponse response;
    pb::BackupData& data = *response.mutable_data();
    if (request.part().file().empty()) {
      pb::BackupFile& file = *data.add_files();
      file.set_name("b.sqlite");
      file.set_size(1000);
      data.add_missing("gone.ndjson.gz");
    } else if (request.part().offset() < readable) {
      data.set_data(std::string(500, 'x'));
    }
    co_return response;
  }
  uint64_t readable = 1000;
};

class BackupsTest : public testing::Test {
 protected:
  Status download(const std::string& scope) {
    Caller caller;
    caller.scopes = {scope};
    api::DownloadBackupRequest request;
    request.set_name("b");
    std::optional<Status> ended;
    TaskScope scope_of_tasks;
    Send<api::BackupChunk> send = [this](api::BackupChunk chunk) { return take(std::move(chunk)); };
    scope_of_tasks.spawn(keep(backups_.download(caller, request, send), &ended));
    return ended.value_or(Status(Code::kInternal, "it waits"));
  }
  Task<bool> take(api::BackupChunk chunk) {
    archive_ += chunk.data();
    chunks_.push_back(std::move(chunk));
    co_return room_-- > 0;
  }
  static Task<void> keep(Task<Status> task, std::optional<Status>* ended) {
    *ended = co_await std::move(task);
  }

  FakeBackup journal_;
  Backups backups_{journal_};
  std::string archive_;
  std::vector<api::BackupChunk> chunks_;
  int room_ = 100;
};

TEST_F(BackupsTest, ADownloadIsWholeOnlyWithItsDigest) {
  ASSERT_TRUE(download("admin").ok());
  EXPECT_EQ(archive_.size(), 512u + 1024 + 1024);
  EXPECT_EQ(archive_.size(), chunks_.front().total_bytes());
  EXPECT_EQ(chunks_.front().missing_segments_size(), 1);
  EXPECT_TRUE(chunks_.front().sha256().empty());
  EXPECT_EQ(chunks_.back().sha256(), digest::to_hex(digest::sha256(archive_)));
}

TEST_F(BackupsTest, ABackupThatChangesWhileItIsReadIsNotWhole) {
  journal_.readable = 500;
  EXPECT_EQ(download("admin").code(), Code::kDataLoss);
  for (const auto& chunk : chunks_) EXPECT_TRUE(chunk.sha256().empty());
}

TEST_F(BackupsTest, NobodyElseDownloadsAndWhoLeavesEndsIt) {
  EXPECT_EQ(download("runs.read").code(), Code::kPermissionDenied);
  EXPECT_TRUE(chunks_.empty());
  room_ = 0;
  EXPECT_EQ(download("admin").code(), Code::kCancelled);
  EXPECT_EQ(chunks_.size(), 1u);
}

TEST(Tar, SizesAndNamesHaveTheirForms) {
  std::string block = tar::header("dir", "file", 1000, 0);
  ASSERT_EQ(block.size(), 512u);
  EXPECT_EQ(block.substr(0, 5), std::string("file\0", 5));
  EXPECT_EQ(block.substr(124, 12), std::string("00000001750\0", 12));
  EXPECT_EQ(block.substr(257, 8), std::string("ustar\00000", 8));
  EXPECT_EQ(block.substr(345, 4), std::string("dir\0", 4));
  // 8 GiB and above do not fit into eleven octal digits.
  block = tar::header("", "f", uint64_t{1} << 33, 0);
  EXPECT_EQ(block.substr(124, 12), std::string("\x80\0\0\0\0\0\0\2\0\0\0\0", 12));
  EXPECT_EQ(tar::header("", "f", (uint64_t{1} << 33) - 1, 0).substr(124, 11), "77777777777");
  // The sum is made with blanks in its own place.
  unsigned sum = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
  }
  EXPECT_EQ(std::stoul(block.substr(148, 6), nullptr, 8), sum);
  EXPECT_EQ(tar::padding(0).size() + tar::padding(512).size(), 0u);
  EXPECT_EQ(tar::padding(1).size(), 511u);
}

TEST(DoctorTest, APublicAddressFails) {
  for (const char* endpoint : {"127.0.0.1:7443", "[::1]:7443", "localhost:7443"}) {
    expect_helpful(exposure_check(endpoint), "ok");
  }
  for (const char* endpoint : {"0.0.0.0:7443", "[::]:7443", "192.168.1.4:7443", ""}) {
    expect_helpful(exposure_check(endpoint), "fail");
  }
}

TEST(DoctorTest, AClockOfAnotherCenturyFails) {
  const int64_t now_s = 1'790'000'000;
  expect_helpful(clock_check(now_s * 1'000'000'000, 0), "ok");
  expect_helpful(clock_check(now_s * 1'000'000'000, (now_s + 30) * 1000), "ok");
  expect_helpful(clock_check(now_s * 1'000'000'000, (now_s + 86'400) * 1000), "warn");
  expect_helpful(clock_check(0, 0), "fail");
  expect_helpful(clock_check(int64_t{5'000'000'000} * 1'000'000'000, 0), "fail");
}

}  // namespace
}  // namespace palyra::gateway
