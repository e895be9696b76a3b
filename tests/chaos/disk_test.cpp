// A disk that is full or fails under the real daemon: what was accepted stays, reads go on, new
// messages are refused with a sentence, runs wait and go on by themselves.
#include "tests/chaos/fault_vfs/control.h"
#include "tests/chaos/fault_vfs/environment.h"
#include "tests/e2e/run_client.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace palyra::chaos {
namespace {

using e2e::RunClient;
using grpc::StatusCode;
using testing::HasSubstr;
namespace api = palyra::gateway::v1;
namespace tape = palyra::tape::v1;

grpc::Status route(const e2e::Daemon& daemon, const std::string& text,
                   api::RouteMessageResponse* response) {
  grpc::ClientContext context;
  daemon.authenticate(context);
  api::RouteMessageRequest request;
  request.set_text(text);
  return daemon.gateway()->RouteMessage(&context, request, response);
}

api::Run run_of(const e2e::Daemon& daemon, const std::string& run_id) {
  grpc::ClientContext context;
  daemon.authenticate(context);
  api::GetRunRequest request;
  request.set_run_id(run_id);
  api::Run run;
  const grpc::Status status = daemon.gateway()->GetRun(&context, request, &run);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return run;
}

bool verifies(const e2e::Daemon& daemon, const std::string& run_id) {
  grpc::ClientContext context;
  daemon.authenticate(context);
  api::VerifyTapeRequest request;
  request.set_run_id(run_id);
  api::VerifyTapeResponse response;
  const auto status = daemon.gateway()->VerifyTape(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response.ok()) << response.reason();
  return status.ok() && response.ok();
}

e2e::DaemonOptions with_faults(const std::string& control) {
  e2e::DaemonOptions options;
  options.environment = fault_environment(control);
  return options;
}

class DiskTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(faults_, nullptr);
    ASSERT_TRUE(daemon_.start()) << daemon_.log();
    api::RouteMessageResponse before;
    ASSERT_TRUE(route(daemon_, "before", &before).ok());
    before_ = before.run_id();
    // A run in the middle of its work: it asks whether it may write.
    waiting_ = std::make_unique<RunClient>(daemon_);
    ASSERT_TRUE(waiting_->start(
        R"(/tool fs.write {"path": "out.txt", "expected": "absent", "content": "x"})"));
    ASSERT_TRUE(waiting_->until([](const auto& event) { return event.has_approval_request(); }));
    approval_ = waiting_->event.approval_request().approval_id();
  }

  // The answer comes when the decision is durable.
  grpc::Status approve() {
    grpc::ClientContext context;
    daemon_.authenticate(context);
    api::ApprovalDecision decision;
    decision.set_approval_id(approval_);
    decision.set_verdict(tape::APPROVAL_VERDICT_ALLOW);
    api::Approval approval;
    return daemon_.approvals()->DecideApproval(&context, decision, &approval);
  }
  void await_refused(uint64_t operations) const {
    const uint64_t enough = faults_->refused + operations;
    while (faults_->refused < enough) std::this_thread::yield();
  }
  void expect_reads_go_on() {
    EXPECT_EQ(run_of(daemon_, before_).run_id(), before_);
    EXPECT_TRUE(verifies(daemon_, before_));
    EXPECT_TRUE(verifies(daemon_, waiting_->run_id));
  }
  void expect_the_run_ends_well() {
    EXPECT_TRUE(waiting_->finish().ok());
    EXPECT_EQ(waiting_->status.state(), api::RUN_STATE_COMPLETED);
    EXPECT_TRUE(waiting_->problems.empty());
    EXPECT_TRUE(verifies(daemon_, waiting_->run_id));
    EXPECT_TRUE(std::ifstream(daemon_.workspace() + "/out.txt").good());
  }
  // While `fault` lasts: reads, refusals, and a decision that is made and waits for the disk.
  void outage(Fault fault, StatusCode refusal, const std::string& sentence) {
    faults_->fault = fault;
    api::RouteMessageResponse refused;
    const grpc::Status status = route(daemon_, "now?", &refused);
    EXPECT_EQ(status.error_code(), refusal) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(sentence));
    expect_reads_go_on();
    std::thread decider([this] { EXPECT_TRUE(approve().ok()); });
    await_refused(3);
    EXPECT_FALSE(std::ifstream(daemon_.workspace() + "/out.txt").good())
        << "no effect before its intent is durable";
    faults_->fault = Fault::kNone;
    decider.join();
    expect_the_run_ends_well();
    api::RouteMessageResponse after;
    EXPECT_TRUE(route(daemon_, "after", &after).ok());
    EXPECT_EQ(daemon_.stop(), 0) << daemon_.log();
  }

  e2e::TempDir directory_;
  FaultControl* const faults_ = map_control(directory_.path() + "/faults");
  e2e::Daemon daemon_{with_faults(directory_.path() + "/faults")};
  std::unique_ptr<RunClient> waiting_;
  std::string before_;
  std::string approval_;
};

TEST_F(DiskTest, AFullDiskRefusesNewMessagesAndHoldsRunsUntilThereIsSpace) {
  outage(Fault::kFull, StatusCode::RESOURCE_EXHAUSTED, "the disk is full");
}

TEST_F(DiskTest, ADiskThatCannotWriteForAWhileLosesNothing) {
  outage(Fault::kWriteError, StatusCode::UNAVAILABLE, "I/O error");
}

// What a disk kept of a failed sync is unknown, so nothing is written until a restart has read it.
TEST_F(DiskTest, AFailedSyncStopsWritesUntilARestart) {
  faults_->fault = Fault::kSyncError;
  api::RouteMessageResponse refused;
  grpc::Status status = route(daemon_, "now?", &refused);
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE) << status.error_message();
  faults_->fault = Fault::kNone;
  status = route(daemon_, "now?", &refused);
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE) << status.error_message();
  EXPECT_THAT(status.error_message(), HasSubstr("restart"));
  expect_reads_go_on();
  const std::string run_id = waiting_->run_id;
  waiting_->disconnect();
  EXPECT_EQ(daemon_.stop(), 0) << daemon_.log();
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  auto again = std::make_unique<RunClient>(daemon_);
  ASSERT_TRUE(again->attach(run_id, waiting_.get()));
  waiting_ = std::move(again);
  EXPECT_TRUE(approve().ok());
  expect_the_run_ends_well();
  EXPECT_EQ(daemon_.stop(), 0) << daemon_.log();
}

TEST_F(DiskTest, ReadsThatFailAreSaidAndNotTakenForAnEmptyStore) {
  EXPECT_TRUE(verifies(daemon_, before_));
  EXPECT_EQ(daemon_.stop(), 0);
  faults_->fault = Fault::kReadError;
  EXPECT_TRUE(daemon_.start()) << "administration is served";
  api::RouteMessageResponse refused;
  const grpc::Status status = route(daemon_, "now?", &refused);
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE) << status.error_message();
  faults_->fault = Fault::kNone;
  EXPECT_EQ(daemon_.stop(), 0);
  ASSERT_TRUE(daemon_.start()) << daemon_.log();
  EXPECT_EQ(run_of(daemon_, before_).run_id(), before_);
  EXPECT_EQ(daemon_.stop(), 0);
}

// A mount namespace of its own; a user who may not have one gets it with a user namespace, where
// the system allows them and this process has one thread.
bool own_mounts() {
  const uid_t user = ::getuid();
  const gid_t group = ::getgid();
  if (::unshare(CLONE_NEWNS) == 0) return true;
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  std::ofstream("/proc/self/setgroups") << "deny";
  std::ofstream("/proc/self/uid_map") << "0 " << user << " 1";
  std::ofstream("/proc/self/gid_map") << "0 " << group << " 1";
  return true;
}

// A file system of a few MiB, filled by messages.
TEST(SmallDiskTest, AFullFileSystemIsRefusedClearlyAndUsedAgainOnceThereIsRoom) {
  if (!own_mounts()) GTEST_SKIP() << "this system allows no mounts to this user";
  e2e::TempDir directory;
  const std::string disk = directory.path() + "/disk";
  ASSERT_EQ(::mkdir(disk.c_str(), 0700), 0);
  ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=24m,mode=0700") != 0) {
    GTEST_SKIP() << "this system allows no mounts to this user";
  }
  {
    e2e::DaemonOptions options;
    options.extra = "[storage]\npath = \"" + disk + "/journal.sqlite\"\nmin_free_bytes = 1048576\n";
    e2e::Daemon daemon(std::move(options));
    ASSERT_TRUE(daemon.start()) << daemon.log();
    const std::string ballast = disk + "/ballast";
    std::ofstream(ballast) << std::string(8u << 20, 'b');
    std::vector<std::string> accepted;
    grpc::Status status;
    for (int i = 0; i < 200 && status.ok(); ++i) {
      api::RouteMessageResponse response;
      status = route(daemon, std::string(200'000, 'm'), &response);
      if (status.ok()) accepted.push_back(response.run_id());
    }
    EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr("disk"));
    ASSERT_FALSE(accepted.empty());
    for (const auto& run_id : accepted) EXPECT_TRUE(verifies(daemon, run_id));
    EXPECT_EQ(::unlink(ballast.c_str()), 0);
    for (const auto& run_id : accepted) {
      grpc::ClientContext context;
      daemon.authenticate(context);
      api::WaitRunRequest request;
      request.set_run_id(run_id);
      request.set_timeout_ms(60'000);
      api::WaitRunResponse response;
      EXPECT_TRUE(daemon.gateway()->WaitRun(&context, request, &response).ok());
      EXPECT_FALSE(response.timed_out()) << run_id << " does not go on by itself";
    }
    // The refusal says that it may be tried again; the daemon looks for room every few seconds.
    const auto patience = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    do {
      api::RouteMessageResponse response;
      status = route(daemon, "and on", &response);
    } while (status.error_code() == StatusCode::RESOURCE_EXHAUSTED &&
             std::chrono::steady_clock::now() < patience);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(daemon.stop(), 0) << daemon.log();
  }
  EXPECT_EQ(::umount2(disk.c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace palyra::chaos
