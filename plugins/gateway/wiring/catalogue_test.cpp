#include "plugins/gateway/wiring/catalogue.h"

#include <gtest/gtest.h>

namespace palyra::gateway {
namespace {

::palyra::service::v1::ToolInfo tool(const std::string& name) {
  ::palyra::service::v1::ToolInfo info;
  info.set_name(name);
  return info;
}

TEST(CatalogueTest, NothingPublishedIsAnEmptyCatalogue) {
  const auto merged = merge_catalogue({});
  EXPECT_TRUE(merged.catalogue->tools.empty());
  EXPECT_EQ(merged.catalogue->digest.size(), 32u);
}

TEST(CatalogueTest, TheFirstInstanceKeepsAName) {
  const auto merged =
      merge_catalogue({{"a", {tool("fs.read"), tool("x")}}, {"b", {tool("fs.read")}}});
  ASSERT_EQ(merged.catalogue->tools.size(), 3u);
  EXPECT_EQ(merged.catalogue->tools.at("fs.read").instance, "a");
  EXPECT_EQ(merged.catalogue->tools.at("b.fs.read").instance, "b");
  EXPECT_EQ(merged.catalogue->tools.at("b.fs.read").info.name(), "b.fs.read");
  EXPECT_EQ(merged.own_names.at({"b", "b.fs.read"}), "fs.read");
  EXPECT_EQ(merged.warnings.size(), 1u);
}

TEST(CatalogueTest, ANameThatIsNoneIsLeftOut) {
  const auto merged = merge_catalogue({{"a", {tool(""), tool("Shout"), tool("a b"), tool("ok")}}});
  EXPECT_EQ(merged.catalogue->tools.size(), 1u);
  EXPECT_EQ(merged.warnings.size(), 3u);
}

TEST(CatalogueTest, TheDigestFollowsTheContent) {
  const auto one = merge_catalogue({{"a", {tool("x"), tool("y")}}});
  const auto same = merge_catalogue({{"a", {tool("y"), tool("x")}}});
  const auto other = merge_catalogue({{"b", {tool("x"), tool("y")}}});
  EXPECT_EQ(one.catalogue->digest, same.catalogue->digest);
  EXPECT_NE(one.catalogue->digest, other.catalogue->digest);
}

}  // namespace
}  // namespace palyra::gateway
