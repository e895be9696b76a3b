#include "plugins/journal/confine.h"

#include <gtest/gtest.h>

namespace palyra::journal {
namespace {

TEST(Confine, TheGatewayMayUseEveryName) { EXPECT_TRUE(Caller::hub().may_use("run/1").ok()); }

TEST(Confine, AnInstanceMayUseNamesBehindItsSlash) {
  const Caller bot = Caller::instance("bot");
  EXPECT_TRUE(bot.may_use("bot/x").ok());
  EXPECT_TRUE(bot.may_use("bot/").ok());
  for (const char* name : {"bot", "bot2/x", "", "run/1", "/bot/x", "Bot/x"}) {
    EXPECT_EQ(bot.may_use(name).code(), Code::kPermissionDenied) << name;
  }
}

TEST(Confine, AStreamOfSomebodyElseIsNotEvenChecked) {
  v1::CommitRequest request;
  request.add_appends()->set_stream("run/1");
  request.mutable_appends(0)->set_expected_seq(0);
  EXPECT_EQ(Caller::instance("bot").may(request).code(), Code::kPermissionDenied);
}

TEST(Confine, ACallerWithoutANameMayUseNothing) {
  EXPECT_FALSE(Caller::instance("").may_use("/x").ok());
  v1::WatchRequest request;
  EXPECT_FALSE(Caller::instance("").confine(request).ok());
}

TEST(Confine, AWatchOfEverythingBecomesAWatchOfItsOwn) {
  v1::WatchRequest request;
  EXPECT_TRUE(Caller::instance("bot").confine(request).ok());
  EXPECT_EQ(request.stream_prefix(), "bot/");
}

}  // namespace
}  // namespace palyra::journal
