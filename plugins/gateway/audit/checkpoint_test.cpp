#include "plugins/gateway/audit/checkpoint.h"

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/audit/signing_key.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <vector>

namespace palyra::gateway::audit {
namespace {

tape::Checkpoint example() {
  tape::Checkpoint checkpoint;
  checkpoint.set_number(1);
  checkpoint.set_previous(std::string(32, '\0'));
  checkpoint.set_position(42);
  checkpoint.set_time_ms(1'700'000'000'500);
  tape::StreamHead& head = *checkpoint.add_heads();
  head.set_stream("run/01JD0000000000000000000000");
  head.set_seq(2);
  head.set_hash(
      *digest::from_hex("21de82b06f505bcecde99d24ee4c898432a8702590a7644d719a67ae85e76a2f"));
  const SigningKey key = SigningKey::of_seed(
      *digest::from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
  checkpoint.set_public_key(key.public_key());
  checkpoint.set_signature(key.sign(signed_bytes(link_of(checkpoint))));
  return checkpoint;
}

std::string page() {
  std::ifstream file(std::string(std::getenv("PALYRA_SOURCE_DIR")) + "/docs/audit-format.md");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(Checkpoint, TheWorkedExampleOfTheDocumentationIsRight) {
  const tape::Checkpoint checkpoint = example();
  const Link link = link_of(checkpoint);
  EXPECT_TRUE(check_signature(link).ok());
  const std::string text = page();
  for (const std::string& value :
       {to_line(link, &checkpoint), digest::to_hex(link.public_key),
        digest::to_hex(link.heads_digest), digest::to_hex(hash_of(link)),
        digest::to_hex(signed_bytes(link)), digest::to_hex(link.signature)}) {
    EXPECT_NE(text.find(value), std::string::npos) << "docs/audit-format.md lacks\n" << value;
  }
}

TEST(Checkpoint, EverySignedFieldChangesTheBytes) {
  const Link link = link_of(example());
  std::vector<Link> others(7, link);
  others[0].number = 2;
  others[1].previous[0] = 'x';
  others[2].position = 43;
  others[3].time_ms = -1;
  others[4].streams = 2;
  others[5].heads_digest[31] = 'x';
  others[6].public_key[0] = static_cast<char>(others[6].public_key[0] ^ 1);
  for (const Link& other : others) {
    EXPECT_NE(signed_bytes(other), signed_bytes(link));
    EXPECT_FALSE(check_signature(other).ok());
  }
}

TEST(Checkpoint, EveryFieldOfAHeadChangesTheDigest) {
  const std::string digest = heads_digest(example());
  tape::Checkpoint other = example();
  other.mutable_heads(0)->set_stream("run/x");
  EXPECT_NE(heads_digest(other), digest);
  other = example();
  other.mutable_heads(0)->set_seq(3);
  EXPECT_NE(heads_digest(other), digest);
  other = example();
  other.mutable_heads(0)->set_hash(std::string(32, 'h'));
  EXPECT_NE(heads_digest(other), digest);
}

TEST(Checkpoint, ALineGoesThereAndBack) {
  const Link link = link_of(example());
  const auto back = parse_line(to_line(link));
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  EXPECT_EQ(signed_bytes(*back), signed_bytes(link));
  EXPECT_EQ(back->signature, link.signature);
  for (const std::string& bad :
       std::vector<std::string>{"", "{}", "[1]", "{\"checkpoint\":7}", "{\"checkpoint\":{}}",
                                to_line(link).substr(0, 100), std::string(100'000, '[')}) {
    EXPECT_EQ(parse_line(bad).status().code(), Code::kInvalidArgument) << bad.substr(0, 50);
  }
}

class AuditKeyFile : public ::testing::Test {
 protected:
  AuditKeyFile() {
    char name[] = "/tmp/palyra-audit-XXXXXX";
    directory_ = ::mkdtemp(name);
    path_ = directory_ + "/audit.key";
  }
  ~AuditKeyFile() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
  std::string path_;
};

TEST_F(AuditKeyFile, IsMadeOnceForItsOwnerOnly) {
  const auto first = SigningKey::load(path_);
  ASSERT_TRUE(first.ok()) << first.status().to_string();
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
  const auto again = SigningKey::load(path_);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->public_key(), first->public_key());
  EXPECT_TRUE(is_signed(first->public_key(), "words", again->sign("words")));
  EXPECT_FALSE(is_signed(first->public_key(), "other words", again->sign("words")));
}

TEST_F(AuditKeyFile, AStartThatWasCutOffLeavesNoHalfKey) {
  std::ofstream(path_ + ".new") << "half";
  EXPECT_TRUE(SigningKey::load(path_).ok());
  EXPECT_TRUE(SigningKey::load(path_).ok());
}

TEST_F(AuditKeyFile, IsRefusedIfOthersCanReadIt) {
  ASSERT_TRUE(SigningKey::load(path_).ok());
  ::chmod(path_.c_str(), 0640);
  const Status status = SigningKey::load(path_).status();
  EXPECT_EQ(status.code(), Code::kPermissionDenied);
  EXPECT_NE(status.message().find("chmod 600"), std::string::npos) << status.message();
}

TEST_F(AuditKeyFile, IsNotReplacedWhenDamaged) {
  std::ofstream(path_) << "-----BEGIN PRIVATE KEY-----\nnonsense\n";
  ::chmod(path_.c_str(), 0600);
  EXPECT_EQ(SigningKey::load(path_).status().code(), Code::kFailedPrecondition);
  std::filesystem::remove(path_);
  std::filesystem::create_symlink("/etc/hostname", path_);
  EXPECT_FALSE(SigningKey::load(path_).ok()) << "a link is not followed";
}

}  // namespace
}  // namespace palyra::gateway::audit
