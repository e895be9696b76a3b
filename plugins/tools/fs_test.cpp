// SPDX-License-Identifier: Apache-2.0
// The file tools on a real directory.
#include "palyra/testing/executor.hpp"
#include "plugins/common/digest/digest.h"
#include "plugins/common/tool/tool_set.h"
#include "plugins/tools/glob.h"
#include "plugins/tools/tools.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

namespace palyra::tools {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

std::string sha(const std::string& text) { return digest::to_hex(digest::sha256(text)); }

class FsTest : public ::testing::Test {
 protected:
  FsTest() {
    std::string pattern = (fs::temp_directory_path() / "palyra-fs-XXXXXX").string();
    base_ = ::mkdtemp(pattern.data());
    root_ = base_ / "workspace";
    fs::create_directory(root_);
    put("../secret.txt", "outside");
    Config config;
    config.max_file_bytes = 100'000;
    tools_ = std::make_unique<tool::ToolSet>(*tool::ToolSet::create(
        {make_time_now(clock_), make_fs_read(executor_, config), make_fs_list(executor_),
         make_fs_search(executor_, clock_, config), make_fs_write(executor_, config)}));
  }
  ~FsTest() override { fs::remove_all(base_); }

  void put(const std::string& path, const std::string& text) {
    std::ofstream(root_ / path, std::ios::binary) << text;
  }
  std::string get(const std::string& path) {
    std::ifstream in(root_ / path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::vector<std::string> names(const std::string& path = ".") {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(root_ / path)) {
      all.push_back(entry.path().filename().string());
    }
    std::sort(all.begin(), all.end());
    return all;
  }

  service::v1::InvokeResult invoke(const std::string& name, const json& arguments) {
    service::v1::InvokeRequest request;
    request.set_name(name);
    request.set_arguments_json(arguments.dump());
    request.set_idempotency_key("key-1");
    request.mutable_context()->add_workspace_roots(root_.string());
    std::optional<Result<service::v1::InvokeResult>> out;
    spawn([](const tool::ToolSet& set, service::v1::InvokeRequest r, auto& result) -> Task<void> {
      result = co_await set.invoke(std::move(r), {});
    }(*tools_, std::move(request), out));
    EXPECT_TRUE(name == "time.now" || !out) << "the work was done on the lane";
    executor_.run_until_idle();
    EXPECT_TRUE(out && out->ok()) << (out ? out->status().to_string() : "no answer");
    return out && out->ok() ? **out : service::v1::InvokeResult();
  }
  json ok(const std::string& name, const json& arguments) {
    const auto result = invoke(name, arguments);
    EXPECT_FALSE(result.is_error()) << result.content();
    return result.is_error() ? json::object() : json::parse(result.content());
  }
  std::string refused(const std::string& name, const json& arguments) {
    const auto result = invoke(name, arguments);
    EXPECT_TRUE(result.is_error()) << name << arguments.dump() << " -> " << result.content();
    return result.content();
  }
  service::v1::VerifyCallResponse verify(const json& arguments) {
    service::v1::VerifyCallRequest request;
    request.set_name("fs.write");
    request.set_arguments_json(arguments.dump());
    request.set_idempotency_key("key-1");
    request.mutable_context()->add_workspace_roots(root_.string());
    std::optional<Result<service::v1::VerifyCallResponse>> out;
    spawn(
        [](const tool::ToolSet& set, service::v1::VerifyCallRequest r, auto& result) -> Task<void> {
          result = co_await set.verify(std::move(r), {});
        }(*tools_, std::move(request), out));
    executor_.run_until_idle();
    EXPECT_TRUE(out && out->ok());
    return **out;
  }

  fs::path base_, root_;
  palyra::testing::ManualClock clock_;
  palyra::testing::DeterministicExecutor executor_{clock_};
  std::unique_ptr<tool::ToolSet> tools_;
};

TEST_F(FsTest, TellsTheTime) {
  const json now = ok("time.now", json::object());
  EXPECT_EQ(now["utc"], "2026-01-01T00:00:00Z");
  EXPECT_EQ(now["weekday"], "Thursday");
}

// ---- reading

TEST_F(FsTest, ReadsAFileWithItsDigest) {
  put("a.txt", "hello\n");
  const json read = ok("fs.read", {{"path", "a.txt"}});
  EXPECT_EQ(read["content"], "hello\n");
  EXPECT_EQ(read["sha256"], sha("hello\n"));
  EXPECT_EQ(read["size"], 6);
  EXPECT_FALSE(read.contains("next_offset"));
  EXPECT_EQ(ok("fs.read", {{"path", (root_ / "a.txt").string()}})["content"], "hello\n");
}

TEST_F(FsTest, PartsOfAFileAddUpAndNeverCutACharacter) {
  const std::string text = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z";
  put("a.txt", text);
  for (int limit = 1; limit <= 6; ++limit) {
    std::string all;
    json read;
    for (size_t offset = 0;; offset = read["next_offset"]) {
      read = ok("fs.read", {{"path", "a.txt"}, {"offset", offset}, {"limit", limit}});
      all += read["content"].get<std::string>();
      if (!read.contains("next_offset")) break;
    }
    EXPECT_EQ(all, text) << limit;
  }
  EXPECT_THAT(refused("fs.read", {{"path", "a.txt"}, {"offset", 99}}), HasSubstr("beyond"));
}

TEST_F(FsTest, SaysWhatCannotBeRead) {
  put("binary", std::string("\x7f"
                            "ELF\0\0",
                            6));
  put("latin1", "caf\xe9 au lait");
  put("big", std::string(100'001, 'x'));
  fs::create_directory(root_ / "dir");
  EXPECT_THAT(refused("fs.read", {{"path", "binary"}}), HasSubstr("is binary (6 bytes)"));
  EXPECT_THAT(refused("fs.read", {{"path", "latin1"}}), HasSubstr("is binary"));
  EXPECT_THAT(refused("fs.read", {{"path", "big"}}), HasSubstr("larger than 100000 bytes"));
  EXPECT_THAT(refused("fs.read", {{"path", "dir"}}), HasSubstr("use fs.list"));
  EXPECT_THAT(refused("fs.read", {{"path", "none"}}), HasSubstr("no such file"));
  EXPECT_THAT(refused("fs.read", {{"path", std::string("a\0b", 3)}}), HasSubstr("NUL"));
}

TEST_F(FsTest, AnAgentWithoutAWorkspaceIsToldSo) {
  service::v1::InvokeRequest request;
  request.set_name("fs.list");
  std::optional<Result<service::v1::InvokeResult>> out;
  spawn([](const tool::ToolSet& set, service::v1::InvokeRequest r, auto& result) -> Task<void> {
    result = co_await set.invoke(std::move(r), {});
  }(*tools_, request, out));
  executor_.run_until_idle();
  EXPECT_THAT((*out)->content(), HasSubstr("has no workspace"));
}

// ---- nothing leads out of the workspace

TEST_F(FsTest, DotDotCannotLeaveTheWorkspace) {
  fs::create_directory(root_ / "dir");
  for (const char* path : {"../secret.txt", "dir/../../secret.txt", "..", "dir/../.."}) {
    refused("fs.read", {{"path", path}});
    refused("fs.write", {{"path", path}, {"content", "x"}, {"expected", sha("outside")}});
    refused("fs.list", {{"path", std::string(path) + "/"}});
  }
  EXPECT_EQ(get("../secret.txt"), "outside");
  refused("fs.write", {{"path", "../made/x"},
                       {"content", "x"},
                       {"expected", "absent"},
                       {"create_directories", true}});
  EXPECT_FALSE(fs::exists(base_ / "made"));
}

TEST_F(FsTest, AbsolutePathsCannotLeaveTheWorkspace) {
  fs::create_directory(base_ / "workspace-two");
  const std::string root = root_.string();
  for (const std::string& path :
       {std::string("/etc/passwd"), (base_ / "secret.txt").string(), root + "/../secret.txt",
        root + "-two", std::string("//etc/passwd"), std::string("/")}) {
    refused("fs.read", {{"path", path}});
    refused("fs.list", {{"path", path}});
  }
}

TEST_F(FsTest, SymbolicLinksCannotLeaveTheWorkspace) {
  fs::create_symlink("/etc/passwd", root_ / "absolute");
  fs::create_symlink("../secret.txt", root_ / "relative");
  fs::create_symlink("..", root_ / "up");
  fs::create_symlink("/proc/self/root", root_ / "magic");
  for (const char* path : {"absolute", "relative", "up/secret.txt", "magic/etc/passwd"}) {
    EXPECT_THAT(refused("fs.read", {{"path", path}}), HasSubstr("cannot open")) << path;
  }
  refused("fs.list", {{"path", "up"}});
  refused("fs.write", {{"path", "up/new"}, {"content", "x"}, {"expected", "absent"}});
  refused("fs.write", {{"path", "up/dir/new"},
                       {"content", "x"},
                       {"expected", "absent"},
                       {"create_directories", true}});
  EXPECT_FALSE(fs::exists(base_ / "new"));
  EXPECT_FALSE(fs::exists(base_ / "dir"));
}

TEST_F(FsTest, LinksThatStayInsideAreFollowedForReading) {
  put("a.txt", "inside");
  fs::create_symlink("a.txt", root_ / "link");
  EXPECT_EQ(ok("fs.read", {{"path", "link"}})["content"], "inside");
}

TEST_F(FsTest, MagicLinksCannotReachOpenDescriptors) {
  // A workspace that contains the process table: /proc/self/fd names whatever the daemon has open.
  root_ = "/proc/self";
  refused("fs.read", {{"path", "fd/0"}});
  refused("fs.read", {{"path", "exe"}});
  refused("fs.list", {{"path", "root"}});
  refused("fs.list", {{"path", "cwd"}});
  root_ = base_ / "workspace";
}

TEST_F(FsTest, AFifoCannotBlockAThreadAndADeviceIsNotRead) {
  ASSERT_EQ(::mkfifo((root_ / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(refused("fs.read", {{"path", "fifo"}}), HasSubstr("not a regular file"));
  EXPECT_THAT(refused("fs.write", {{"path", "fifo"}, {"content", "x"}, {"expected", "absent"}}),
              HasSubstr("not a regular file"));
  EXPECT_EQ(ok("fs.search", {{"pattern", "x"}})["files_searched"], 0);
  root_ = "/dev";
  EXPECT_THAT(refused("fs.read", {{"path", "zero"}}), HasSubstr("not a regular file"));
  root_ = base_ / "workspace";
}

TEST_F(FsTest, WritingThroughALinkIsRefusedEvenInside) {
  put("a.txt", "one");
  fs::create_symlink("a.txt", root_ / "link");
  EXPECT_THAT(refused("fs.write", {{"path", "link"}, {"content", "2"}, {"expected", sha("one")}}),
              HasSubstr("symbolic link"));
  EXPECT_EQ(get("a.txt"), "one");
}

// ---- listing and searching

TEST_F(FsTest, ListsSortedWithTypesAndLimits) {
  put("b.txt", "12345");
  put("a.txt", "");
  fs::create_directories(root_ / "dir/sub");
  put("dir/sub/deep.txt", "x");
  fs::create_symlink("..", root_ / "dir/loop");
  const json flat = ok("fs.list", json::object());
  EXPECT_EQ(flat["entries"], json::parse(R"([{"path":"a.txt","type":"file","size":0},
      {"path":"b.txt","type":"file","size":5},{"path":"dir","type":"directory"}])"));
  std::vector<std::string> paths;
  const json deep = ok("fs.list", {{"depth", 16}});
  for (const json& entry : deep["entries"]) paths.push_back(entry["path"]);
  EXPECT_EQ(paths, (std::vector<std::string>{"a.txt", "b.txt", "dir", "dir/loop", "dir/sub",
                                             "dir/sub/deep.txt"}));
  const json cut = ok("fs.list", {{"depth", 16}, {"max_entries", 2}});
  EXPECT_EQ(cut["entries"].size(), 2u);
  EXPECT_EQ(cut["truncated"], true);
  EXPECT_EQ(ok("fs.list", {{"path", "dir/sub"}})["entries"][0]["path"], "deep.txt");
}

TEST_F(FsTest, NamesThatAreNotUtf8AreListed) {
  put("caf\xe9", "x");
  EXPECT_EQ(ok("fs.list", json::object())["entries"][0]["path"], "caf\xef\xbf\xbd");
}

TEST_F(FsTest, FindsTextAndExpressions) {
  put("a.cpp", "int one();\nint two(int x);\r\n// Two\n");
  put("b.txt", "two\n");
  put("binary", std::string("two\0", 4));
  const json found = ok("fs.search", {{"pattern", "two("}});
  EXPECT_EQ(found["matches"],
            json::parse(R"([{"path":"a.cpp","line":2,"text":"int two(int x);"}])"));
  EXPECT_EQ(found["files_skipped"], 1);
  EXPECT_EQ(ok("fs.search", {{"pattern", "^two$"}, {"regex", true}})["matches"].size(), 1u);
  EXPECT_EQ(ok("fs.search", {{"pattern", "two"}, {"case_sensitive", false}})["matches"].size(), 3u);
  EXPECT_EQ(ok("fs.search", {{"pattern", "two"}, {"glob", "*.cpp"}})["matches"].size(), 1u);
  const json cut = ok("fs.search", {{"pattern", "t"}, {"max_results", 1}});
  EXPECT_EQ(cut["matches"].size(), 1u);
  EXPECT_EQ(cut["truncated"], true);
  EXPECT_THAT(refused("fs.search", {{"pattern", "("}, {"regex", true}}), HasSubstr("RE2"));
}

TEST_F(FsTest, AnEvilExpressionCannotStallTheSearch) {
  put("a.txt", std::string(50'000, 'a'));
  EXPECT_EQ(
      ok("fs.search", {{"pattern", "(a*)*(a*)*(a|aa)+$b"}, {"regex", true}})["matches"].size(), 0u);
}

TEST(GlobTest, MatchesWithoutBacktrackingForEver) {
  EXPECT_TRUE(glob_matches("*.cpp", "src/a.cpp"));
  EXPECT_TRUE(glob_matches("src/*.cpp", "src/deep/a.cpp"));
  EXPECT_TRUE(glob_matches("a?c*", "abcdef"));
  EXPECT_FALSE(glob_matches("*.cpp", "a.cpp.txt"));
  EXPECT_FALSE(glob_matches("src/*.cpp", "lib/a.cpp"));
  EXPECT_FALSE(glob_matches("", "a"));
  std::string stars;
  for (int i = 0; i < 100; ++i) stars += "*a";
  EXPECT_FALSE(glob_matches(stars + "b", std::string(4000, 'a')));
}

// ---- writing

json write(const std::string& path, const std::string& content, const std::string& expected) {
  return {{"path", path}, {"content", content}, {"expected", expected}};
}

TEST_F(FsTest, CreatesAndReplacesWhatItWasToldToExpect) {
  const json made = ok("fs.write", write("a.txt", "one", "absent"));
  EXPECT_EQ(made["sha256"], sha("one"));
  EXPECT_EQ(made["created"], true);
  fs::permissions(root_ / "a.txt", fs::perms(0750));
  EXPECT_EQ(ok("fs.write", write("a.txt", "two", sha("one")))["created"], false);
  EXPECT_EQ(get("a.txt"), "two");
  EXPECT_EQ(fs::status(root_ / "a.txt").permissions(), fs::perms(0750));
  EXPECT_EQ(names(), std::vector<std::string>{"a.txt"}) << "a temporary file was left";
}

TEST_F(FsTest, NeverOverwritesWhatTheModelHasNotSeen) {
  put("a.txt", "changed by a person");
  EXPECT_THAT(refused("fs.write", write("a.txt", "x", sha("old"))),
              HasSubstr("has changed: its sha256 is " + sha("changed by a person")));
  EXPECT_THAT(refused("fs.write", write("a.txt", "x", "absent")), HasSubstr("exists already"));
  EXPECT_THAT(refused("fs.write", write("b.txt", "x", sha("old"))), HasSubstr("does not exist"));
  EXPECT_THAT(refused("fs.write", write("a.txt", "x", "latest")), HasSubstr("64 hex digits"));
  EXPECT_EQ(get("a.txt"), "changed by a person");
  EXPECT_EQ(names(), std::vector<std::string>{"a.txt"});
}

TEST_F(FsTest, MakesDirectoriesOnlyWhenAsked) {
  json arguments = write("x/y/z.txt", "deep", "absent");
  EXPECT_THAT(refused("fs.write", arguments), HasSubstr("create_directories"));
  arguments["create_directories"] = true;
  ok("fs.write", arguments);
  EXPECT_EQ(get("x/y/z.txt"), "deep");
  put("file", "");
  refused(
      "fs.write",
      {{"path", "file/z"}, {"content", ""}, {"expected", "absent"}, {"create_directories", true}});
  for (const char* path : {"x/", ".", "x/.."}) refused("fs.write", write(path, "x", "absent"));
}

TEST_F(FsTest, ContentOverTheLimitIsRefused) {
  EXPECT_THAT(refused("fs.write", write("a", std::string(100'001, 'x'), "absent")),
              HasSubstr("larger than 100000"));
}

TEST_F(FsTest, VerifyTellsHappenedFromNotHappenedFromUnknown) {
  using namespace service::v1;
  const json call = write("a.txt", "two", sha("one"));
  put("a.txt", "one");
  EXPECT_EQ(verify(call).outcome(), CALL_OUTCOME_NOT_HAPPENED);
  const auto result = invoke("fs.write", call);
  const auto after = verify(call);
  EXPECT_EQ(after.outcome(), CALL_OUTCOME_HAPPENED);
  EXPECT_EQ(after.result().content(), result.content());
  put("a.txt", "three");
  EXPECT_EQ(verify(call).outcome(), CALL_OUTCOME_UNKNOWN);
  fs::remove(root_ / "a.txt");
  EXPECT_EQ(verify(call).outcome(), CALL_OUTCOME_UNKNOWN);
  EXPECT_EQ(verify(write("a.txt", "new", "absent")).outcome(), CALL_OUTCOME_NOT_HAPPENED);
  EXPECT_EQ(verify(write("no/dir/a.txt", "new", "absent")).outcome(), CALL_OUTCOME_NOT_HAPPENED);
}

TEST_F(FsTest, RepeatingAFinishedWriteChangesNothing) {
  const json call = write("a.txt", "two", "absent");
  const auto first = invoke("fs.write", call);
  EXPECT_EQ(invoke("fs.write", call).content(), first.content());
  EXPECT_EQ(get("a.txt"), "two");
  EXPECT_EQ(names(), std::vector<std::string>{"a.txt"});
}

TEST_F(FsTest, WhatAKilledAttemptLeftBehindIsCleanedUp) {
  const std::string left = ".palyra-" + sha("key-1").substr(0, 24) + ".tmp";
  put(left, "half a file");
  ok("fs.write", write("a.txt", "whole", "absent"));
  EXPECT_EQ(names(), std::vector<std::string>{"a.txt"});
  put(left, "half a file");
  verify(write("a.txt", "whole", "absent"));
  EXPECT_EQ(names(), std::vector<std::string>{"a.txt"});
}

}  // namespace
}  // namespace palyra::tools
