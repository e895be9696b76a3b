#include "plugins/gateway/transport/grpc/server.h"

#include <gtest/gtest.h>

namespace palyra::gateway::transport {
namespace {

TEST(ListenAddress, LoopbackIsFine) {
  for (const char* good :
       {"127.0.0.1:7443", "127.0.0.1:0", "127.8.9.10:1", "localhost:65535", "[::1]:7443"}) {
    EXPECT_TRUE(check_listen_address(good).ok()) << good;
  }
}

TEST(ListenAddress, APublicAddressWithoutTlsIsRefused) {
  for (const char* public_address :
       {"0.0.0.0:7443", "[::]:7443", "192.168.1.5:7443", "10.0.0.1:1", "example.com:7443",
        "[::ffff:127.0.0.1]:7443", "127.example.com:7443", "0:7443", "2130706433:7443",
        "unix:/tmp/s:1", "*:7443"}) {
    const Status status = check_listen_address(public_address);
    EXPECT_EQ(status.code(), Code::kFailedPrecondition) << public_address;
    EXPECT_NE(status.message().find(public_address), std::string::npos) << status.message();
  }
}

TEST(ListenAddress, WhatIsNoAddressIsSaidWithAnExample) {
  for (const char* bad : {"", ":", ":7443", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
                          "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:7443 "}) {
    const Status status = check_listen_address(bad);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << bad;
    EXPECT_NE(status.message().find("127.0.0.1:7443"), std::string::npos) << status.message();
  }
}

}  // namespace
}  // namespace palyra::gateway::transport
