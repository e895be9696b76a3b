#include "plugins/gateway/admission/admission.h"

#include "plugins/common/digest/digest.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sys/stat.h>

namespace palyra::gateway {
namespace {

class TestClock : public Clock {
 public:
  int64_t mono_now() const override { return now; }
  int64_t wall_now() const override { return now; }
  int64_t now = kNanosPerSecond;
};

class CountingRandom : public Random {
 public:
  void fill(void* out, size_t size) override {
    for (size_t i = 0; i < size; ++i) static_cast<unsigned char*>(out)[i] = next_++;
  }

 private:
  unsigned char next_ = 1;
};

class CountingIds : public Ids {
 public:
  std::string ulid() override {
    std::string text = std::to_string(++count_);
    return std::string(26 - text.size(), '0') + text;
  }

 private:
  int count_ = 0;
};

class AdmissionTest : public testing::Test {
 protected:
  AdmissionTest() : token_(make_token(random_)), credentials_(ids_) {
    credentials_.add_local(token_, kOwnerPrincipal);
  }

  Result<Caller> ask(const std::string& authorization, RequestContext request = {}) {
    request.peer = request.peer.empty() ? "127.0.0.1" : request.peer;
    request.surface = "grpc";
    request.authorization = authorization;
    return admission_.admit(request);
  }
  std::string owner() const { return "Bearer " + token_; }

  TestClock clock_;
  CountingRandom random_;
  CountingIds ids_;
  std::string token_;
  Credentials credentials_;
  Admission admission_{clock_, credentials_, {}};
};

TEST_F(AdmissionTest, OwnerTokenGivesTheCallerOfTheRecord) {
  auto caller = ask(owner());
  ASSERT_TRUE(caller.ok()) << caller.status().to_string();
  EXPECT_EQ(caller->principal, kOwnerPrincipal);
  EXPECT_TRUE(caller->may(kScopeAdmin));
  EXPECT_EQ(caller->channel, "grpc");
}

TEST_F(AdmissionTest, PresenceOfATokenIsNothing) {
  for (const std::string& bad : std::vector<std::string>{
           "", "Bearer", "Bearer ", "Bearer x", "Basic " + token_, token_,
           "Bearer " + token_.substr(0, token_.size() - 1), "Bearer " + token_ + " "}) {
    EXPECT_EQ(ask(bad).status().code(), Code::kUnauthenticated) << bad;
  }
}

TEST_F(AdmissionTest, AHashIsNotACredential) {
  EXPECT_EQ(ask("Bearer " + digest::to_hex(digest::sha256(token_))).status().code(),
            Code::kUnauthenticated);
}

TEST_F(AdmissionTest, ClientWordsCannotChangeThePrincipal) {
  RequestContext request;
  request.principal = "user:mallory";
  EXPECT_EQ(ask(owner(), request).status().code(), Code::kPermissionDenied);
  request.principal = kOwnerPrincipal;
  EXPECT_TRUE(ask(owner(), request).ok());
}

TEST_F(AdmissionTest, ClientWordsCannotChooseTheDevice) {
  RequestContext request;
  request.device_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
  EXPECT_EQ(ask(owner(), request).status().code(), Code::kPermissionDenied);
  request.device_id = "not-a-ulid";
  EXPECT_EQ(ask(owner(), request).status().code(), Code::kPermissionDenied);
}

TEST_F(AdmissionTest, AProgramCannotSpeakForAChannelConnector) {
  RequestContext request;
  request.channel = "channel:slack:general";
  EXPECT_EQ(ask(owner(), request).status().code(), Code::kPermissionDenied);
  request.channel = "cli";
  auto caller = ask(owner(), request);
  ASSERT_TRUE(caller.ok());
  EXPECT_EQ(caller->channel, "cli");
}

TEST_F(AdmissionTest, GuessingTokensLocksTheGuesserOutAndNobodyElse) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(ask("Bearer guess").status().code(), Code::kUnauthenticated);
  }
  EXPECT_EQ(ask("Bearer guess").status().code(), Code::kResourceExhausted);
  EXPECT_TRUE(ask(owner()).ok()) << "a valid token from the same address";
  RequestContext elsewhere;
  elsewhere.peer = "127.0.0.2";
  EXPECT_EQ(ask("Bearer guess", elsewhere).status().code(), Code::kUnauthenticated);
  clock_.now += 10 * kNanosPerSecond;
  EXPECT_EQ(ask("Bearer guess").status().code(), Code::kUnauthenticated) << "the lock-out ends";
}

TEST_F(AdmissionTest, ABurstIsServedAndThenSlowedDown) {
  int served = 0;
  while (ask(owner()).ok()) ++served;
  EXPECT_EQ(served, 120);
  const Status refused = ask(owner()).status();
  EXPECT_EQ(refused.code(), Code::kResourceExhausted);
  EXPECT_TRUE(refused.retryable());
  EXPECT_NE(refused.message().find("try again in 17 ms"), std::string::npos) << refused.message();
  clock_.now += kNanosPerSecond;
  served = 0;
  while (ask(owner()).ok()) ++served;
  EXPECT_EQ(served, 60);
}

class OwnerTokenTest : public testing::Test {
 protected:
  OwnerTokenTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "palyra-token-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    path_ = directory_ + "/owner.token";
  }
  ~OwnerTokenTest() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
  std::string path_;
  CountingRandom random_;
};

TEST_F(OwnerTokenTest, IsMadeOnceAndReadableByTheOwnerOnly) {
  const mode_t before = umask(0);
  auto first = owner_token(path_, random_);
  umask(before);
  ASSERT_TRUE(first.ok()) << first.status().to_string();
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  auto second = owner_token(path_, random_);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(*first, *second);
}

TEST_F(OwnerTokenTest, AFileThatOthersCanReadIsRefused) {
  ASSERT_TRUE(owner_token(path_, random_).ok());
  chmod(path_.c_str(), 0644);
  EXPECT_EQ(owner_token(path_, random_).status().code(), Code::kPermissionDenied);
}

TEST_F(OwnerTokenTest, ASymbolicLinkIsNotFollowed) {
  std::filesystem::create_symlink("/dev/null", path_);
  EXPECT_FALSE(owner_token(path_, random_).ok());
}

TEST_F(OwnerTokenTest, GarbageInTheFileIsSaidAndNotUsed) {
  std::ofstream(path_) << "hello";
  chmod(path_.c_str(), 0600);
  const Status status = owner_token(path_, random_).status();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_EQ(status.message().find("hello"), std::string::npos);
}

}  // namespace
}  // namespace palyra::gateway
