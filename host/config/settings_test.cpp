// SPDX-License-Identifier: Apache-2.0
#include "host/config/settings.h"

#include "host/config/effective.h"

#include <gtest/gtest.h>

#include <map>

namespace palyra::host {
namespace {

Environment environment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const char* name) -> std::optional<std::string> {
    const auto it = variables.find(name);
    if (it == variables.end()) return std::nullopt;
    return it->second;
  };
}

struct Read {
  std::vector<Problem> problems;
  Document document;
  Settings settings;

  explicit Read(const char* text) {
    auto parsed = parse_document(text, "/etc/p/palyra.toml", problems);
    if (!parsed) return;
    document = std::move(*parsed);
    settings = read_settings(
        document, {environment({{"HOME", "/home/u"}}), "/opt/palyra/bin/palyrad", false}, problems);
  }
  std::string said() const {
    std::string text;
    for (const auto& problem : problems) text += problem.to_string() + '\n';
    return text;
  }
};

TEST(Settings, AnEmptyFileIsAllDefaults) {
  const Read read("");
  EXPECT_EQ(read.said(), "");
  EXPECT_EQ(read.settings.state_dir, "/home/u/.local/state/palyra");
  EXPECT_EQ(read.settings.plugin_path,
            std::vector<std::filesystem::path>{"/opt/palyra/lib/palyra/plugins"});
  EXPECT_EQ(read.settings.drain, std::chrono::seconds(30));
  EXPECT_EQ(read.settings.step_timeout, std::chrono::seconds(10));
  EXPECT_EQ(read.settings.log.level, "info");
}

TEST(Settings, RelativePathsStartAtTheFilesDirectory) {
  const Read read(
      "[daemon]\nstate_dir = \"s\"\nplugin_path = [\"a\", \"/b\", \"../c\"]\n"
      "[plugins.x]\nuse = \"com.x\"\npath = \"x.so\"\n[log]\nfile = \"../l\"\n");
  EXPECT_EQ(read.said(), "");
  EXPECT_EQ(read.settings.state_dir, "/etc/p/s");
  EXPECT_EQ(read.settings.plugin_path,
            (std::vector<std::filesystem::path>{"/etc/p/a", "/b", "/etc/c"}));
  EXPECT_EQ(read.settings.instances.at(0).path, "/etc/p/x.so");
  EXPECT_EQ(read.settings.log.file, "/etc/l");
}

TEST(Settings, AnInstanceNameCannotLeaveTheStateDirectory) {
  for (const char* name : {"\"..\"", "\"a/b\"", "\"\"", "\"A\"", "\"-x\""}) {
    const Read read(("[plugins." + std::string(name) + "]\nuse = \"com.x\"\n").c_str());
    EXPECT_NE(read.said().find("an instance is named with"), std::string::npos) << name;
    EXPECT_TRUE(read.settings.instances.empty());
  }
}

TEST(Settings, AllErrorsAreListed) {
  const Read read(
      "[daemon]\ndrain_seconds = -1\nplugin_path = \"x\"\n[plugins.x]\nuze = \"com.x\"\n"
      "enabled = \"yes\"\n[log]\nformat = \"yaml\"\n");
  for (const char* part : {"palyra.toml:2:1: daemon.drain_seconds: must be at least 0",
                           "palyra.toml:3:1: daemon.plugin_path: must be an array",
                           "palyra.toml:5:1: plugins.x.uze: unknown key; did you mean 'use'?",
                           "plugins.x: 'use' is missing", "plugins.x.enabled: must be a boolean",
                           "log.format: must be one of"}) {
    EXPECT_NE(read.said().find(part), std::string::npos) << part << '\n' << read.said();
  }
}

TEST(Settings, SectionsBelongToPluginsThatClaimThem) {
  Read read("[gatway]\n[tools]\n[plugin]\n");
  check_sections(read.document, {"gateway", "tools"}, read.problems);
  EXPECT_EQ(read.problems.size(), 2u) << read.said();
  EXPECT_NE(read.said().find("palyra.toml:1:2: [gatway]"), std::string::npos) << read.said();
  EXPECT_NE(read.said().find("did you mean 'gateway'?"), std::string::npos) << read.said();
  EXPECT_NE(read.said().find("did you mean 'plugins'?"), std::string::npos) << read.said();
}

TEST(Effective, TheInstancesTableWinsAndErrorsPointToWhereTheValueStands) {
  const Read read(
      "[tools]\nbase = 1\nboth = 1\n[tools.deep]\na = 1\nb = 1\n"
      "[plugins.t]\nuse = \"com.t\"\n[plugins.t.config]\nboth = 2\ndeep.b = \"x\"\n");
  const auto schema = nlohmann::json::parse(R"({"properties": {
    "base": {"type": "string"}, "deep": {"properties": {"b": {"type": "integer"}}}}})");
  const auto config = effective_config(read.document, "t", "tools", schema);
  EXPECT_EQ(config.value,
            nlohmann::json::parse(R"({"base": 1, "both": 2, "deep": {"a": 1, "b": "x"}})"));
  ASSERT_EQ(config.problems.size(), 2u);
  EXPECT_EQ(config.problems[0].to_string(),
            "/etc/p/palyra.toml:2:1: tools.base: must be a string, not an integer");
  EXPECT_EQ(config.problems[1].where.line, 11u) << config.problems[1].to_string();
}

TEST(SearchPath, FollowsTheEnvironment) {
  using Paths = std::vector<std::filesystem::path>;
  EXPECT_EQ(config_candidates(environment({{"PALYRA_CONFIG", "x.toml"}, {"HOME", "/h"}})),
            Paths{"x.toml"});
  EXPECT_EQ(config_candidates(environment({{"XDG_CONFIG_HOME", "/c"}, {"HOME", "/h"}})),
            (Paths{"/c/palyra/palyra.toml", "/etc/palyra/palyra.toml"}));
  EXPECT_EQ(config_candidates(environment({{"XDG_CONFIG_HOME", "relative"}, {"HOME", "/h"}})),
            (Paths{"/h/.config/palyra/palyra.toml", "/etc/palyra/palyra.toml"}));
  EXPECT_EQ(default_state_dir(environment({{"HOME", "/root"}}), true), "/var/lib/palyra");
  EXPECT_EQ(default_state_dir(environment({{"XDG_STATE_HOME", "/s"}}), true), "/s/palyra");
}

}  // namespace
}  // namespace palyra::host
