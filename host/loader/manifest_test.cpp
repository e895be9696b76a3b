// SPDX-License-Identifier: Apache-2.0
#include "host/loader/manifest.h"

#include <gtest/gtest.h>

namespace palyra::host {
namespace {

TEST(Manifest, ReadsWhatTheHostNeeds) {
  const auto manifest = parse_manifest(R"({"id": "com.example.x", "version": "1.2.0",
    "abi": {"major": 0, "minor": 9}, "provides": [{"id": "a/1"}],
    "requires": [{"id": "b/1"}, {"id": "c/1", "optional": true}], "concurrency": "any",
    "section": "x", "config": {"type": "object"}, "unknown": 1})");
  ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  EXPECT_TRUE(manifest->offers("a/1"));
  EXPECT_FALSE(manifest->requires_[0].optional);
  EXPECT_TRUE(manifest->requires_[1].optional);
  EXPECT_TRUE(manifest->parallel);
  EXPECT_FALSE(manifest->first_party());
}

TEST(Manifest, NamesTheKeyThatIsWrong) {
  const std::string base = R"("id": "com.x", "version": "1", "abi": {"major": 0, "minor": 9})";
  EXPECT_TRUE(parse_manifest("{" + base + "}").ok());
  const auto said = [](const std::string& text) { return parse_manifest(text).status().message(); };
  EXPECT_NE(said("nonsense").find("not a JSON object"), std::string::npos);
  EXPECT_NE(said("[]").find("not a JSON object"), std::string::npos);
  EXPECT_NE(said(R"({"id": "x"})").find("'id'"), std::string::npos);
  EXPECT_NE(said(R"({"id": "../x.y"})").find("'id'"), std::string::npos);
  EXPECT_NE(said(R"({"id": "com.x"})").find("'version'"), std::string::npos);
  EXPECT_NE(said(R"({"id": "com.x", "version": "1"})").find("'abi'"), std::string::npos);
  for (const char* key :
       {"provides", "requires", "config", "section", "isolation", "concurrency"}) {
    EXPECT_NE(said("{" + base + ", \"" + key + "\": 7}").find(key), std::string::npos) << key;
  }
}

TEST(Manifest, VersionsCompareByNumber) {
  EXPECT_LT(compare_versions("1.9.0", "1.10.0"), 0);
  EXPECT_GT(compare_versions("2", "1.99.99"), 0);
  EXPECT_EQ(compare_versions("1.0", "1.0.0"), 0);
  EXPECT_LT(compare_versions("1.0.0-rc1", "1.0.0"), 0);
  EXPECT_LT(compare_versions("1.0.0-rc1", "1.0.0-rc2"), 0);
  EXPECT_EQ(compare_versions("1.0.0+a", "1.0.0+b"), 0);
}

}  // namespace
}  // namespace palyra::host
