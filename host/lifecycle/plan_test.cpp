// SPDX-License-Identifier: Apache-2.0
#include "host/lifecycle/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace palyra::host {
namespace {

using Names = std::vector<std::string>;

ServiceNeed needs(std::string id) { return {std::move(id), false}; }
ServiceNeed likes(std::string id) { return {std::move(id), true}; }

TEST(Plan, ProvidersStartBeforeThoseWhoNeedThem) {
  const auto plan = make_plan({{"web", {}, {needs("db/1"), needs("hub/1")}},
                               {"cron", {}, {needs("mail/1")}},
                               {"mailer", {"mail/1"}, {needs("db/1")}},
                               {"db", {"db/1"}, {}}},
                              {}, {"hub/1"});
  EXPECT_EQ(plan.order, (Names{"db", "web", "mailer", "cron"}));
  EXPECT_TRUE(plan.rejected.empty());
}

TEST(Plan, EveryProviderOfAManyServiceComesFirst) {
  const auto plan =
      make_plan({{"a", {}, {likes("p/1")}}, {"z", {"p/1"}, {}}, {"y", {"p/1"}, {}}}, {}, {});
  EXPECT_EQ(plan.order, (Names{"z", "y", "a"}));
}

TEST(Plan, AMissingNeedRejectsAllThatRestOnIt) {
  const auto plan = make_plan({{"top", {}, {needs("mid/1")}},
                               {"mid", {"mid/1"}, {needs("gone/1")}},
                               {"free", {}, {likes("gone/1")}}},
                              {}, {});
  EXPECT_EQ(plan.order, Names{"free"});
  EXPECT_EQ(plan.rejected.at("mid"),
            "needs gone/1, which no enabled plugin provides; add an instance that does under "
            "[plugins]");
  EXPECT_EQ(plan.rejected.at("top"), "needs mid/1, and what provides it cannot start: mid");
}

TEST(Plan, ABindingDecidesWhoAnswers) {
  const std::vector<PlanNode> nodes = {
      {"user", {}, {needs("db/1")}}, {"one", {"db/1"}, {}}, {"two", {"db/1"}, {needs("gone/1")}}};
  EXPECT_EQ(make_plan(nodes, {{"db/1", "one"}}, {}).order, (Names{"one", "user"}));
  const auto plan = make_plan(nodes, {{"db/1", "two"}}, {});
  EXPECT_EQ(plan.order, Names{"one"});
  EXPECT_EQ(plan.rejected.count("user"), 1u);
}

TEST(Plan, ACycleIsRejectedByNameAndTheRestRuns) {
  const auto plan = make_plan({{"a", {"a/1"}, {needs("c/1")}},
                               {"b", {"b/1"}, {needs("a/1")}},
                               {"c", {"c/1"}, {needs("b/1")}},
                               {"d", {}, {needs("a/1")}},
                               {"e", {}, {}}},
                              {}, {});
  EXPECT_EQ(plan.order, Names{"e"});
  EXPECT_EQ(plan.rejected.at("a"), "is part of a cycle of needs: a -> c -> b -> a");
  EXPECT_EQ(plan.rejected.at("d"), "needs a/1, and what provides it cannot start: a");
}

TEST(Plan, AnOptionalNeedNeverMakesACycle) {
  const auto plan =
      make_plan({{"a", {"a/1"}, {likes("b/1")}}, {"b", {"b/1"}, {needs("a/1")}}}, {}, {});
  EXPECT_EQ(plan.order, (Names{"a", "b"}));
}

TEST(Plan, AnInstanceMayNeedWhatItProvidesItself) {
  EXPECT_EQ(make_plan({{"a", {"a/1"}, {needs("a/1")}}}, {}, {}).order, Names{"a"});
}

TEST(Plan, RandomGraphsAreEitherOrderedOrExplained) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    std::vector<PlanNode> nodes;
    const auto count = static_cast<unsigned>(2 + random() % 10);
    for (unsigned i = 0; i < count; ++i) {
      PlanNode node{"n" + std::to_string(i), {"s" + std::to_string(i)}, {}};
      for (auto k = random() % 3; k > 0; --k) {
        node.needs.push_back({"s" + std::to_string(random() % (count + 1)), random() % 2 == 0});
      }
      nodes.push_back(std::move(node));
    }
    const auto plan = make_plan(nodes, {}, {});
    EXPECT_EQ(plan.order.size() + plan.rejected.size(), nodes.size());
    const auto place = [&](const std::string& name) {
      return std::find(plan.order.begin(), plan.order.end(), name) - plan.order.begin();
    };
    for (const auto& node : nodes) {
      if (plan.rejected.count(node.name) != 0) continue;
      for (const auto& need : node.needs) {
        if (need.optional || need.id == node.provides[0]) continue;
        EXPECT_LT(place("n" + need.id.substr(1)), place(node.name));
      }
    }
  }
}

}  // namespace
}  // namespace palyra::host
