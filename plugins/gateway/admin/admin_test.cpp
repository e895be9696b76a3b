#include "plugins/gateway/admin/doctor.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
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
  expect_helpful(check(Status(Code::kFailedPrecondition, "holds no key"), "aa"), "fail");
  ASSERT_EQ(::chmod(name, 0640), 0);
  expect_helpful(check(same, "aa"), "fail");
  EXPECT_NE(check(same, "aa").fix().find("chmod 600"), std::string::npos);
  ::unlink(name);
  expect_helpful(check(same, "aa"), "fail");
  EXPECT_NE(check(same, "aa").fix().find("put your copy of it back"), std::string::npos);
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
  expect_helpful(clock_check(int64_t{1'790'000'000} * 1'000'000'000), "ok");
  expect_helpful(clock_check(0), "fail");
  expect_helpful(clock_check(int64_t{5'000'000'000} * 1'000'000'000), "fail");
}

}  // namespace
}  // namespace palyra::gateway
