// The parts of the command line that need no daemon.
#include "clients/cli/line_reader.h"
#include "clients/cli/public_key.h"
#include "clients/cli/settings.h"
#include "clients/cli/terminal.h"
#include "clients/cli/text.h"
#include "clients/cli/when.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sys/eventfd.h>
#include <unistd.h>

namespace palyra::cli {
namespace {

namespace fs = std::filesystem;

// The key of RFC 8032, 7.1, test 1; the PEM is what `openssl pkey -pubout` makes of it.
constexpr char kHexKey[] = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
constexpr char kPemKey[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
    "-----END PUBLIC KEY-----";

TEST(PublicKeys, AreHexOrPem) {
  EXPECT_EQ(parse_public_key(kHexKey).hex, kHexKey);
  EXPECT_EQ(parse_public_key(kPemKey).hex, kHexKey);
  EXPECT_EQ(read_public_key(kHexKey).hex, kHexKey);
}

TEST(PublicKeys, WhatIsNoneSaysWhatItIs) {
  const auto problem = [](const std::string& text) {
    const PublicKey key = parse_public_key(text);
    EXPECT_EQ(key.hex, "");
    return key.problem;
  };
  EXPECT_NE(problem("-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n").find("private key"),
            std::string::npos);
  // The beginning of an RSA key, and a key that was cut off.
  EXPECT_NE(problem("-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEF\n").find("another kind"),
            std::string::npos);
  EXPECT_NE(problem(std::string(kPemKey).substr(0, 60)).find("another kind"), std::string::npos);
  EXPECT_NE(problem("").find("palyra audit key"), std::string::npos);
  EXPECT_NE(problem(std::string(63, 'a')).find("64 hex digits"), std::string::npos);
  EXPECT_NE(read_public_key("/nowhere/key").problem.find("No such file"), std::string::npos);
}

TEST(Witnesses, AreCollectedInAFileWhoseLastLineCounts) {
  EXPECT_EQ(last_line("one\ntwo\r\n\n"), "two");
  EXPECT_EQ(last_line("one"), "one");
  EXPECT_EQ(last_line("\n \n"), "");
  EXPECT_EQ(last_line(""), "");
}

TEST(ShellWords, AreWhatTheShellGivesBack) {
  EXPECT_EQ(shell_word("/elsewhere/witness.json"), "/elsewhere/witness.json");
  EXPECT_EQ(shell_word("my file"), "'my file'");
  EXPECT_EQ(shell_word("it's $HOME"), "'it'\\''s $HOME'");
  EXPECT_EQ(shell_word(""), "''");
}

TEST(Moments, AreBeforeNowOrInUtc) {
  constexpr int64_t kNow = 1'800'000'000'000;
  EXPECT_EQ(moment_ms("90s", kNow), kNow - 90'000);
  EXPECT_EQ(moment_ms("15m", kNow), kNow - 900'000);
  EXPECT_EQ(moment_ms("24h", kNow), kNow - 86'400'000);
  EXPECT_EQ(moment_ms("7d", kNow), kNow - 7 * int64_t{86'400'000});
  EXPECT_EQ(moment_ms("2w", kNow), kNow - 14 * int64_t{86'400'000});
  EXPECT_EQ(moment_ms("2026-01-31", kNow), 1'769'817'600'000);
  EXPECT_EQ(moment_ms("2026-01-31T12:00:00Z", kNow), 1'769'817'600'000 + 12 * int64_t{3'600'000});
  for (const char* none : {"", "soon", "7", "d", "-7d", "7x", "9999999d", "2026-01-31 12:00"}) {
    EXPECT_EQ(moment_ms(none, kNow), std::nullopt) << none;
  }
}

TEST(Printable, LetsNoControlCharacterReachTheTerminal) {
  EXPECT_EQ(printable("a\x1b[2J\x1b]0;title\x07z"), "a[2J]0;titlez");
  EXPECT_EQ(printable("over\rwrite\b\x7f"), "overwrite");
  // U+009B is a one-character CSI.
  EXPECT_EQ(printable("a\xc2\x9b"
                      "2Jz"),
            "a2Jz");
  EXPECT_EQ(printable("line\n\tindented"), "line\n\tindented");
}

TEST(Printable, KeepsWhatPeopleWriteAndDropsWhatReordersIt) {
  const std::string text =
      "Gr\u00fc\u00dfe, \u4f60\u597d, \u0645\u0631\u062d\u0628\u0627 \U0001F600";
  EXPECT_EQ(printable(text), text);
  EXPECT_EQ(printable("rm \u202egpj.x\u202c \u2066y\u2069"), "rm gpj.x y");
}

TEST(Printable, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(printable("\x9b"), "\uFFFD");
  EXPECT_EQ(printable("\xc0\xaf"), "\uFFFD\uFFFD");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(printable("cut \xe4\xbd"), "cut \uFFFD\uFFFD");
}

TEST(Printable, OfRandomBytesIsUtf8WithoutControls) {
  const auto seed = std::random_device()();
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 64, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    const std::string shown = printable(bytes);
    EXPECT_TRUE(is_utf8(shown)) << "seed " << seed;
    for (const char c : shown) {
      const auto byte = static_cast<unsigned char>(c);
      EXPECT_TRUE(byte >= 0x20 || c == '\n' || c == '\t') << "seed " << seed;
      EXPECT_NE(byte, 0x7f) << "seed " << seed;
    }
    EXPECT_EQ(printable(shown), shown) << "seed " << seed;
  }
}

TEST(OneLine, CannotBeTwo) { EXPECT_EQ(one_line("allow?\n  [o]nce\tyes"), "allow?   [o]nce yes"); }

TEST(Shortened, NeverCutsACodePoint) {
  EXPECT_EQ(shortened("short", 5), "short");
  EXPECT_EQ(shortened("\u00e4\u00e4\u00e4", 3), "\u00e4 ...");
  EXPECT_EQ(shortened("abc", 0), " ...");
}

TEST(TerminalJson, SaysTheSameWithoutRawControls) {
  EXPECT_EQ(terminal_json("{\"a\": \"x\xc2\x9by\x7f\u202e\"}"),
            "{\"a\": \"x\\u009by\\u007f\\u202e\"}");
  EXPECT_EQ(terminal_json("{\"a\": \"\u00e4\"}"), "{\"a\": \"\u00e4\"}");
}

TEST(TomlQuoted, CannotEndTheStringEarly) {
  EXPECT_EQ(toml_quoted("a\"b\\c\nd\x7f"), "\"a\\\"b\\\\c\\u000Ad\\u007F\"");
}

TEST(Nearest, IsWhatWasProbablyMeant) {
  const std::vector<std::string> known = {"run", "runs", "sessions", "approvals", "doctor"};
  EXPECT_EQ(nearest("rnu", known), "run");
  EXPECT_EQ(nearest("session", known), "sessions");
  EXPECT_EQ(nearest("docter", known), "doctor");
  EXPECT_EQ(nearest("app", known), "approvals");
  EXPECT_EQ(nearest("x", known), "");
  EXPECT_EQ(nearest("", known), "");
  EXPECT_EQ(nearest("something", known), "");
}

TEST(Table, PrintsOneLineARow) {
  Table table({"ID", "TITLE"});
  table.add({"1", "two\nlines\x1b[31m"});
  testing::internal::CaptureStdout();
  table.print();
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "ID  TITLE\n1   two lines[31m\n");
}

TEST(Endpoint, OfAnotherMachineIsNotLoopback) {
  for (const char* here : {"127.0.0.1:7443", "localhost:1", "[::1]:7443", "127.1.2.3:9"}) {
    EXPECT_TRUE(is_loopback_endpoint(here)) << here;
  }
  for (const char* there : {"10.0.0.1:7443", "example.com:7443", "127.evil.com:1", "[::]:7443",
                            "localhost.example.com:1", "0.0.0.0:1", ""}) {
    EXPECT_FALSE(is_loopback_endpoint(there)) << there;
  }
}

class SettingsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "palyra-cli-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    setenv("XDG_CONFIG_HOME", (directory_ / "config").c_str(), 1);
    setenv("XDG_STATE_HOME", (directory_ / "states").c_str(), 1);
    unsetenv("PALYRA_CONFIG");
  }
  void TearDown() override { fs::remove_all(directory_); }
  std::string write(const fs::path& name, const std::string& content) {
    fs::create_directories((directory_ / name).parent_path());
    std::ofstream(directory_ / name) << content;
    return directory_ / name;
  }
  fs::path directory_;
};

TEST_F(SettingsTest, TheStateDirectoryIsRelativeToTheConfiguration) {
  GlobalOptions options;
  options.config = write("there/palyra.toml", "[daemon]\nstate_dir = \"../state\"\n");
  EXPECT_EQ(find_state_dir(options), (directory_ / "state").string());
  options.state_dir = "/elsewhere";
  EXPECT_EQ(find_state_dir(options), "/elsewhere");
}

TEST_F(SettingsTest, WithoutAConfigurationTheDefaultsServe) {
  const GlobalOptions options;
  if (find_config(options).empty()) {
    EXPECT_EQ(find_state_dir(options), (directory_ / "states/palyra").string());
    EXPECT_EQ(config_problem(options), "");
  }
  EXPECT_EQ(default_config_path(), (directory_ / "config/palyra/palyra.toml").string());
}

TEST_F(SettingsTest, TheOptionGoesBeforeTheVariableBeforeTheUsersFile) {
  GlobalOptions options;
  const std::string users = write("config/palyra/palyra.toml", "");
  EXPECT_EQ(find_config(options), users);
  const std::string variable = write("variable.toml", "");
  setenv("PALYRA_CONFIG", variable.c_str(), 1);
  EXPECT_EQ(find_config(options), variable);
  unsetenv("PALYRA_CONFIG");
  options.config = write("option.toml", "");
  EXPECT_EQ(find_config(options), options.config);
}

TEST_F(SettingsTest, AMistypedConfigurationIsSaidInsteadOfPassedOver) {
  GlobalOptions options;
  options.config = (directory_ / "absent.toml").string();
  EXPECT_NE(config_problem(options).find("No such file"), std::string::npos);
  options.config = write("bad.toml", "[daemon]\nstate_dir = \n");
  EXPECT_NE(config_problem(options).find("bad.toml:2:"), std::string::npos)
      << config_problem(options);
}

TEST_F(SettingsTest, TheLogIsTheConfiguredOne) {
  GlobalOptions options;
  options.config = write("palyra.toml", "[daemon]\nstate_dir = \"s\"\n");
  EXPECT_EQ(find_log(options), (directory_ / "s/palyrad.log").string());
  options.config = write("palyra.toml", "[log]\nfile = \"logs/p.log\"\n");
  EXPECT_EQ(find_log(options), (directory_ / "logs/p.log").string());
}

TEST_F(SettingsTest, ASmallFileComesWithoutItsNewline) {
  EXPECT_EQ(read_small_file(write("token", "abc\r\n")), "abc");
  EXPECT_EQ(read_small_file((directory_ / "absent").string()), std::nullopt);
}

// Standard input of this process is a pipe of the test.
class LineReaderTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    dup2(ends[0], 0);
    close(ends[0]);
    input_ = ends[1];
  }
  void type(const std::string& text) {
    ASSERT_EQ(::write(input_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  static int input_;
  std::string line_;
};
int LineReaderTest::input_ = -1;

TEST_F(LineReaderTest, LinesThatCameTogetherAreReadOneByOneAndTheLastNeedsNoNewline) {
  LineReader& reader = LineReader::standard_input();
  type("one\r\ntwo\nth");
  ASSERT_EQ(reader.read(&line_), LineReader::Result::kLine);
  EXPECT_EQ(line_, "one");
  ASSERT_EQ(reader.read(&line_), LineReader::Result::kLine);
  EXPECT_EQ(line_, "two");

  const int stop = eventfd(1, EFD_CLOEXEC);
  EXPECT_EQ(reader.read(&line_, stop), LineReader::Result::kStopped);
  close(stop);

  type("ree");
  close(input_);
  ASSERT_EQ(reader.read(&line_), LineReader::Result::kLine);
  EXPECT_EQ(line_, "three");
  EXPECT_EQ(reader.read(&line_), LineReader::Result::kEnd);
}

}  // namespace
}  // namespace palyra::cli
