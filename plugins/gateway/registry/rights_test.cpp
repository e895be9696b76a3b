#include "plugins/gateway/registry/rights.h"

#include "plugins/gateway/registry/registry_fixture.h"

#include <gtest/gtest.h>

namespace palyra::registry {
namespace {

TEST(RightsTest, NothingIsAllowedThatIsNotListed) {
  const auto rights = Rights::parse(R"({"id": "x.y"})", "");
  ASSERT_TRUE(rights.ok());
  EXPECT_TRUE(rights->provides.empty());
  EXPECT_TRUE(rights->requires_ids.empty());
  EXPECT_FALSE(rights->concurrent);
}

TEST(RightsTest, AGrantOnlyTakesAway) {
  const char* manifest =
      R"({"provides": [{"id": "a.x/1"}, {"id": "a.y/1"}], "requires": ["a.z/1"], "concurrency": "any"})";
  const auto rights = Rights::parse(manifest, R"({"provides": ["a.y/1", "palyra.vault/1"]})");
  ASSERT_TRUE(rights.ok());
  EXPECT_EQ(rights->provides, (std::set<std::string, std::less<>>{"a.y/1"}));
  EXPECT_EQ(rights->requires_ids, (std::set<std::string, std::less<>>{"a.z/1"}));
  EXPECT_TRUE(rights->concurrent);
}

TEST(RightsTest, RefusesOtherShapes) {
  for (const char* manifest :
       {"", "[]", "{", R"({"provides": 1})", R"({"provides": [1]})", R"({"provides": [{}]})",
        R"({"requires": ["x"]})", R"({"concurrency": "many"})"}) {
    EXPECT_FALSE(Rights::parse(manifest, "").ok()) << manifest;
  }
  for (const char* grant : {"[]", "{", R"({"provides": "all"})"}) {
    EXPECT_FALSE(Rights::parse("{}", grant).ok()) << grant;
  }
}

TEST(RightsTest, KnowsAServiceId) {
  EXPECT_TRUE(is_service_id("palyra.tool/1"));
  EXPECT_TRUE(is_service_id("com.example.x-y_z/12"));
  for (const char* id : {"", "/1", "a", "a/", "a/0", "a/x", "A/1", "a/12345", "a b/1"}) {
    EXPECT_FALSE(is_service_id(id)) << id;
  }
}

class RegistryRightsTest : public RegistryFixture {};

TEST_F(RegistryRightsTest, AThirdPartyCannotPublishWhatItsManifestDoesNotList) {
  FakePlugin& plugin = open("stranger", kOffersTool, {"", false, false, true});
  FakeService service;
  const auto refused = plugin.publish("palyra.provider/1", service);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::kPermissionDenied);
  EXPECT_NE(refused.status().message().find("provides"), std::string::npos);
}

TEST_F(RegistryRightsTest, TheOperatorsGrantKeepsAPluginFromPublishing) {
  FakePlugin& plugin = open("tools", kOffersTool, {R"({"provides": []})", true, false, true});
  FakeService service;
  EXPECT_EQ(plugin.publish("palyra.tool/1", service).status().code(), Code::kPermissionDenied);
}

TEST_F(RegistryRightsTest, AThirdPartyCannotReachTheJournalItDidNotAskFor) {
  FakePlugin& plugin = open("stranger", kUsesTool, {"", false, false, true});
  EXPECT_EQ(plugin.acquire("palyra.journal/1").status().code(), Code::kPermissionDenied);
  palyra_watch_sink sink{};
  sink.struct_size = sizeof(sink);
  sink.on_change = [](void*, uint32_t, const palyra_publication*) {};
  palyra_handle watch = 0;
  EXPECT_EQ(
      plugin.table->watch(plugin.table->ctx, to_str("palyra.journal/1"), &sink, &watch, nullptr),
      PALYRA_PERMISSION_DENIED);
}

TEST_F(RegistryRightsTest, TheOperatorsGrantKeepsAPluginFromAcquiring) {
  FakePlugin& plugin = open("cron", kUsesTool, {R"({"requires": []})", true, false, true});
  EXPECT_EQ(plugin.acquire("palyra.tool/1").status().code(), Code::kPermissionDenied);
}

constexpr const char* kOffersVault = R"("provides": [{"id": "palyra.vault/1"}])";

TEST_F(RegistryRightsTest, NobodyTakesTheVaultThatTheOperatorBoundToAnother) {
  bind("palyra.vault/1", "safe");
  FakePlugin& thief = open("thief", kOffersVault);
  FakePlugin& safe = open("safe", kOffersVault);
  FakeService service;
  const auto refused = thief.publish("palyra.vault/1", service);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::kPermissionDenied);
  EXPECT_NE(refused.status().message().find("\"safe\""), std::string::npos);
  EXPECT_TRUE(safe.publish("palyra.vault/1", service).ok());
}

TEST_F(RegistryRightsTest, AnUntrustedPluginDoesNotBecomeTheVaultByBeingTheOnlyOne) {
  FakePlugin& stranger = open("stranger", kOffersVault, {"", false, false, true});
  FakeService service;
  const auto refused = stranger.publish("palyra.vault/1", service);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::kPermissionDenied);
  EXPECT_NE(refused.status().message().find("[services]"), std::string::npos);
}

TEST_F(RegistryRightsTest, OnlyTheGatewayOffersTheGatewaysServices) {
  const char* lists = R"("provides": [{"id": "palyra.inbound/1"}])";
  FakePlugin& plugin = open("impostor", lists);
  FakePlugin& hub = open("gateway", lists, {"", true, true, true});
  FakeService service;
  EXPECT_EQ(plugin.publish("palyra.inbound/1", service).status().code(), Code::kPermissionDenied);
  EXPECT_TRUE(hub.publish("palyra.inbound/1", service).ok());
}

TEST_F(RegistryRightsTest, ACallerCannotPretendToBeSomebodyElse) {
  FakePlugin& publisher = open("fs", kOffersToolAny);
  FakePlugin& stranger = open("stranger", kUsesTool, {"", false, false, true});
  FakePlugin& hub = open("gateway", kUsesTool, {"", true, true, true});
  FakeService service;
  ASSERT_TRUE(publisher.publish("palyra.tool/1", service).ok());
  palyra_call_options forged = options(0);
  forged.caller_flags = PALYRA_CALLER_HUB;
  forged.caller = to_str("gateway");
  auto client = stranger.acquire("palyra.tool/1");
  auto first = caller();
  ASSERT_TRUE(call(*client, *first, 1, "x", &forged).ok());
  EXPECT_EQ(service.calls[0].caller, "stranger");
  EXPECT_EQ(service.calls[0].flags, 0u);
  auto hub_client = hub.acquire("palyra.tool/1");
  auto second = caller();
  ASSERT_TRUE(call(*hub_client, *second).ok());
  EXPECT_EQ(service.calls[1].caller, "gateway");
  EXPECT_EQ(service.calls[1].flags, uint32_t{PALYRA_CALLER_HUB});
}

TEST_F(RegistryRightsTest, APluginCannotWithdrawReleaseOrCancelForAnother) {
  FakePlugin& publisher = open("fs", kOffersToolAny);
  FakePlugin& user = open("user", kUsesTool);
  FakePlugin& thief = open("thief", kUsesTool);
  FakeService service;
  auto publication = publisher.publish("palyra.tool/1", service);
  auto client = user.acquire("palyra.tool/1");
  auto thiefs = thief.acquire("palyra.tool/1");
  thief.table->withdraw(thief.table->ctx, *publication);
  thief.table->release(thief.table->ctx, client->lease);
  auto pending = caller();
  ASSERT_TRUE(call(*client, *pending).ok());
  thiefs->service->cancel(thiefs->self, pending->op);
  thiefs->service->grant(thiefs->self, pending->op, 5);
  EXPECT_TRUE(service.cancels.empty());
  EXPECT_TRUE(service.grants.empty());
  finish(service.calls[0], "mine");
  user.lane.run_ready();
  EXPECT_EQ(pending->results, std::vector<std::string>{"mine"});
}

}  // namespace
}  // namespace palyra::registry
