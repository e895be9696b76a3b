// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/sd_notify.h"

#include <gtest/gtest.h>

namespace palyra::host {
namespace {

TEST(SdNotify, NamesThatAreNoSocketAreRefused) {
  EXPECT_FALSE(sd_notify("", "READY=1"));
  EXPECT_FALSE(sd_notify("relative", "READY=1"));
  EXPECT_FALSE(sd_notify("/no/such/socket", "READY=1"));
  EXPECT_FALSE(sd_notify(std::string(300, '/'), "READY=1"));
}

}  // namespace
}  // namespace palyra::host
