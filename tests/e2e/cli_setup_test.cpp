// palyra setup: the first minutes of a new user.
#include "tests/e2e/cli_fixture.h"

#include <sys/stat.h>

namespace palyra::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class SetupTest : public testing::Test {
 protected:
  Finished palyra(const Words& words, const std::string& input = "") {
    return run_program(
        with({build_dir() + "/bin/palyra"}, words), input,
        {"NO_COLOR=1", "XDG_CONFIG_HOME=" + home_.path() + "/config",
         "XDG_STATE_HOME=" + home_.path() + "/state", "HOME=" + home_.path(), "PALYRA_CONFIG="});
  }
  std::string config() const { return home_.path() + "/config/palyra/palyra.toml"; }
  TempDir home_;
};

TEST_F(SetupTest, OfflineItWritesAPrivateFileThatIsValid) {
  const Finished made =
      palyra({"setup", "--provider", "openai", "--base-url", "http://127.0.0.1:1/v1", "--api-key",
              "env:MY_KEY", "--model", "m", "--offline"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  struct stat info = {};
  ASSERT_EQ(stat(config().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_THAT(slurp(config()), HasSubstr("api_key = \"env:MY_KEY\""));
  const Finished checked = palyra({"config", "check"});
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  const Finished again = palyra({"setup", "--provider", "embedded", "--offline"});
  EXPECT_EQ(again.exit_code, 73);
  EXPECT_THAT(again.err, HasSubstr("--force"));
  EXPECT_EQ(palyra({"setup", "--provider", "embedded", "--offline", "--force"}).exit_code, 0);
  EXPECT_THAT(slurp(config() + ".before"), HasSubstr("env:MY_KEY"));
}

TEST_F(SetupTest, ALiteralKeyIsRefusedAndInNoFile) {
  const Finished refused =
      palyra({"setup", "--provider", "openai", "--api-key", "sk-secret-thing", "--offline"});
  EXPECT_EQ(refused.exit_code, 64);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("env:NAME"), Not(HasSubstr("sk-secret"))));
  EXPECT_FALSE(std::filesystem::exists(config()));
  EXPECT_EQ(palyra({"setup", "--provider", "oracle"}).exit_code, 64);
}

TEST_F(SetupTest, WithATestCallItStartsTheDaemonAndTalks) {
  const Finished made = palyra({"setup", "--provider", "embedded", "--listen", "127.0.0.1:0"});
  EXPECT_EQ(made.exit_code, 0) << made.out << made.err;
  EXPECT_THAT(made.out, HasSubstr("It works."));
  EXPECT_EQ(palyra({"run", "hello"}).exit_code, 0);
  EXPECT_EQ(palyra({"daemon", "stop"}).exit_code, 0);
}

TEST_F(SetupTest, AKeyThatIsNotThereFailsTheTestCallWithWhatToDo) {
  const Finished made =
      palyra({"setup", "--provider", "openai", "--base-url", "http://127.0.0.1:1/v1", "--api-key",
              "env:PALYRA_ABSENT_KEY", "--model", "m", "--listen", "127.0.0.1:0"});
  EXPECT_EQ(made.exit_code, 1) << made.out << made.err;
  EXPECT_THAT(made.out, HasSubstr("edit " + config()));
  EXPECT_THAT(made.err, HasSubstr("PALYRA_ABSENT_KEY"));
  EXPECT_EQ(palyra({"daemon", "stop"}).exit_code, 0);
}

}  // namespace
}  // namespace palyra::e2e
