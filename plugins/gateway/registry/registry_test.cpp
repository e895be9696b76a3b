#include "plugins/gateway/registry/registry.h"

#include "plugins/gateway/registry/registry_fixture.h"

namespace palyra::registry {
namespace {

constexpr const char* kOffersJournal = R"("provides": [{"id": "palyra.journal/1"}])";
constexpr const char* kUsesJournal = R"("requires": [{"id": "palyra.journal/1"}])";

class RegistryTest : public RegistryFixture {};

TEST_F(RegistryTest, PublicationsAreInvisibleUntilTheInstanceIsActive) {
  FakePlugin& fs = open("fs", kOffersToolAny, {"", true, false, false});
  FakePlugin& user = open("user", kUsesTool);
  FakeService service;
  ASSERT_TRUE(fs.publish("palyra.tool/1", service).ok());
  auto client = user.acquire("palyra.tool/1", "fs");
  ASSERT_TRUE(client.ok());
  auto one = caller();
  EXPECT_EQ(call(*client, *one).code(), Code::kUnavailable);
  host_.table()->activate(host_.table()->ctx, to_str("fs"));
  EXPECT_TRUE(call(*client, *one).ok());
  finish(service.calls[0], "");
  user.lane.run_ready();
}

TEST_F(RegistryTest, AClientMayBeAcquiredBeforeThePublisherIsThere) {
  FakePlugin& user = open("user", kUsesJournal);
  auto client = user.acquire("palyra.journal/1");
  ASSERT_TRUE(client.ok());
  auto one = caller();
  const Status early = call(*client, *one);
  EXPECT_EQ(early.code(), Code::kUnavailable);
  EXPECT_TRUE(early.retryable());
  FakePlugin& journal = open("store", std::string(kOffersJournal) + R"(, "concurrency": "any")");
  FakeService service;
  ASSERT_TRUE(journal.publish("palyra.journal/1", service).ok());
  EXPECT_TRUE(call(*client, *one).ok());
  finish(service.calls[0], "");
  user.lane.run_ready();
  // And a later one under another name.
  close("store");
  EXPECT_EQ(call(*client, *one).code(), Code::kUnavailable);
  FakePlugin& other = open("other", std::string(kOffersJournal) + R"(, "concurrency": "any")");
  ASSERT_TRUE(other.publish("palyra.journal/1", service).ok());
  EXPECT_TRUE(call(*client, *one).ok());
  finish(service.calls[1], "");
  user.lane.run_ready();
}

TEST_F(RegistryTest, TwoCandidatesWithoutAChoiceAreNamed) {
  FakePlugin& a = open("sqlite", kOffersJournal);
  FakePlugin& b = open("postgres", kOffersJournal);
  FakePlugin& user = open("user", kUsesJournal);
  FakeService service;
  ASSERT_TRUE(a.publish("palyra.journal/1", service).ok());
  auto early = user.acquire("palyra.journal/1");
  ASSERT_TRUE(early.ok());
  ASSERT_TRUE(b.publish("palyra.journal/1", service).ok());
  const auto refused = user.acquire("palyra.journal/1");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::kFailedPrecondition);
  EXPECT_NE(refused.status().message().find("\"sqlite\""), std::string::npos);
  EXPECT_NE(refused.status().message().find("\"postgres\""), std::string::npos);
  auto one = caller();
  EXPECT_EQ(call(*early, *one).code(), Code::kFailedPrecondition);
}

TEST_F(RegistryTest, TheOperatorsChoiceDecides) {
  bind("palyra.journal/1", "postgres");
  FakePlugin& user = open("user", kUsesJournal);
  auto client = user.acquire("palyra.journal/1");
  FakePlugin& b = open("postgres", std::string(kOffersJournal) + R"(, "concurrency": "any")");
  FakeService service;
  ASSERT_TRUE(b.publish("palyra.journal/1", service).ok());
  auto one = caller();
  EXPECT_TRUE(call(*client, *one).ok());
  finish(service.calls[0], "");
  user.lane.run_ready();
}

TEST_F(RegistryTest, AnInstancePublishesAServiceOnce) {
  FakePlugin& fs = open("fs", kOffersTool);
  FakeService service;
  auto first = fs.publish("palyra.tool/1", service);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(fs.publish("palyra.tool/1", service).status().code(), Code::kAlreadyExists);
  fs.table->withdraw(fs.table->ctx, *first);
  fs.table->withdraw(fs.table->ctx, *first);
  auto second = fs.publish("palyra.tool/1", service);
  ASSERT_TRUE(second.ok());
  EXPECT_NE(*first, *second);
}

TEST_F(RegistryTest, AnIncompleteServiceTableIsRefused) {
  FakePlugin& fs = open("fs", kOffersTool);
  FakeService service;
  service.table.cancel = nullptr;
  EXPECT_EQ(fs.publish("palyra.tool/1", service).status().code(), Code::kInvalidArgument);
  service.table.struct_size = 8;
  EXPECT_EQ(fs.publish("palyra.tool/1", service).status().code(), Code::kInvalidArgument);
}

TEST_F(RegistryTest, InstanceNamesAreUnique) {
  open("fs", kOffersTool);
  EXPECT_EQ(try_open("fs", kOffersTool, {}).status().code(), Code::kAlreadyExists);
  EXPECT_EQ(try_open("x", "\"provides\": 1", {}).status().code(), Code::kInvalidArgument);
}

TEST_F(RegistryTest, AClosedInstancesTableRefusesInsteadOfCrashing) {
  FakePlugin& fs = open("fs", R"("provides": ["palyra.tool/1"], "requires": ["palyra.tool/1"])");
  FakeService service;
  auto publication = fs.publish("palyra.tool/1", service);
  auto client = fs.acquire("palyra.tool/1");
  close("fs");
  close("fs");
  EXPECT_FALSE(fs.publish("palyra.tool/1", service).ok());
  EXPECT_FALSE(fs.acquire("palyra.tool/1").ok());
  fs.table->withdraw(fs.table->ctx, *publication);
  fs.table->release(fs.table->ctx, client->lease);
  fs.table->unwatch(fs.table->ctx, 1);
  auto one = caller();
  EXPECT_EQ(call(*client, *one).code(), Code::kFailedPrecondition);
}

TEST_F(RegistryTest, ManyStartsAndStopsLeaveNothingBehind) {
  FakePlugin& user = open("user", kUsesTool);
  for (int i = 0; i < 600; ++i) {
    auto plugin = try_open("fs", kOffersToolAny, {});
    ASSERT_TRUE(plugin.ok());
    FakeService service;
    ASSERT_TRUE((*plugin)->publish("palyra.tool/1", service).ok());
    auto client = user.acquire("palyra.tool/1", "fs");
    auto one = caller();
    ASSERT_TRUE(call(*client, *one).ok());
    finish(service.calls[0], "x");
    user.lane.run_ready();
    user.table->release(user.table->ctx, client->lease);
    close("fs");
  }
  EXPECT_TRUE(host_.registry().stats().empty());
}

TEST_F(RegistryTest, OneInstanceCannotTakeAllClients) {
  FakePlugin& user = open("user", kUsesTool);
  Status last;
  for (int i = 0; i < 5000 && last.ok(); ++i) last = user.acquire("palyra.tool/1", "x").status();
  EXPECT_EQ(last.code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace palyra::registry
