// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/net_guard/address.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace palyra::net_guard {
namespace {

struct Case {
  const char* text;
  AddressKind kind;
};

void expect_kinds(std::initializer_list<Case> cases) {
  for (const Case& one : cases) {
    const auto address = Address::parse(one.text);
    ASSERT_TRUE(address) << one.text;
    EXPECT_EQ(kind_name(address->kind()), kind_name(one.kind)) << one.text;
  }
}

using K = AddressKind;

TEST(AddressTest, JudgesIPv4ByItsRange) {
  expect_kinds({{"8.8.8.8", K::kPublic},
                {"1.1.1.1", K::kPublic},
                {"172.15.255.255", K::kPublic},
                {"172.32.0.0", K::kPublic},
                {"0.0.0.0", K::kUnspecified},
                {"0.1.2.3", K::kUnspecified},
                {"127.0.0.1", K::kLoopback},
                {"127.255.255.254", K::kLoopback},
                {"10.0.0.1", K::kPrivate},
                {"172.16.0.1", K::kPrivate},
                {"172.31.255.255", K::kPrivate},
                {"192.168.1.1", K::kPrivate},
                {"169.254.1.1", K::kLinkLocal},
                {"100.64.0.1", K::kShared},
                {"100.127.255.255", K::kShared},
                {"100.128.0.0", K::kPublic},
                {"224.0.0.1", K::kMulticast},
                {"239.255.255.255", K::kMulticast},
                {"192.0.2.1", K::kDocumentation},
                {"198.51.100.7", K::kDocumentation},
                {"203.0.113.9", K::kDocumentation},
                {"198.18.0.1", K::kReserved},
                {"240.0.0.1", K::kReserved},
                {"255.255.255.255", K::kReserved}});
}

TEST(AddressTest, JudgesIPv6ByItsRange) {
  expect_kinds({{"2606:4700:4700::1111", K::kPublic},
                {"2001:4860:4860::8888", K::kPublic},
                {"::", K::kUnspecified},
                {"::1", K::kLoopback},
                {"fe80::1", K::kLinkLocal},
                {"febf::1", K::kLinkLocal},
                {"fec0::1", K::kPrivate},
                {"fc00::1", K::kPrivate},
                {"fdff::1", K::kPrivate},
                {"ff02::1", K::kMulticast},
                {"2001:db8::1", K::kDocumentation},
                {"3fff::1", K::kDocumentation},
                {"100::1", K::kReserved},
                {"4000::1", K::kReserved},
                {"2001:2::1", K::kReserved}});
}

TEST(AddressTest, MetadataServicesAreRecognised) {
  expect_kinds({{"169.254.169.254", K::kMetadata},
                {"169.254.170.2", K::kMetadata},
                {"100.100.100.200", K::kMetadata},
                {"168.63.129.16", K::kMetadata},
                {"fd00:ec2::254", K::kMetadata},
                {"::ffff:169.254.169.254", K::kMetadata},
                {"64:ff9b::169.254.169.254", K::kMetadata},
                {"2002:a9fe:a9fe::1", K::kMetadata}});
}

TEST(AddressTest, AnIPv4AddressCannotHideInsideIPv6) {
  expect_kinds({{"::ffff:127.0.0.1", K::kLoopback},
                {"::ffff:7f00:1", K::kLoopback},
                {"::ffff:10.1.2.3", K::kPrivate},
                {"::ffff:8.8.8.8", K::kPublic},
                {"::ffff:0:127.0.0.1", K::kLoopback},
                {"::127.0.0.1", K::kLoopback},
                {"::8.8.8.8", K::kReserved},
                {"64:ff9b::192.168.0.1", K::kPrivate},
                {"64:ff9b::8.8.8.8", K::kPublic},
                {"64:ff9b:1::8.8.8.8", K::kPrivate},
                {"2002:7f00:1::", K::kLoopback},
                {"2002:c0a8:101::1", K::kPrivate},
                {"2002:808:808::1", K::kPublic},
                // Teredo: server 8.8.8.8, client ~127.0.0.1; then a private server.
                {"2001:0:808:808:0:0:80ff:fffe", K::kLoopback},
                {"2001:0:a00:1::f7f7:f7f7", K::kPrivate},
                {"2001:0:808:808:0:0:f7f7:f7f7", K::kPublic},
                // ISATAP
                {"2606:4700::5efe:127.0.0.1", K::kLoopback},
                {"2606:4700::200:5efe:10.0.0.1", K::kPrivate}});
}

TEST(AddressTest, ParsesOnlyTheStrictNotations) {
  for (const char* text :
       {"", "127.1", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "127.0.0.1 ", " 127.0.0.1",
        "127.0.0.256", "1.2.3.4.5", "[::1]", "::1%lo", "fe80::1%25eth0", "1:2:3", ":::", "example",
        "127.0.0.01", "00000000000000000000000000000000000000000000000::1"}) {
    EXPECT_FALSE(Address::parse(text)) << text;
  }
  EXPECT_FALSE(Address::parse(std::string_view("127.0.0.1\0.example", 18)));
}

TEST(AddressTest, ReadsSocketAddressesAndRefusesOtherFamilies) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  inet_pton(AF_INET, "10.0.0.7", &v4.sin_addr);
  const auto from_v4 = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&v4), sizeof v4);
  ASSERT_TRUE(from_v4);
  EXPECT_EQ(from_v4->to_string(), "10.0.0.7");

  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_scope_id = 3;
  inet_pton(AF_INET6, "fe80::1", &v6.sin6_addr);
  const auto from_v6 = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&v6), sizeof v6);
  ASSERT_TRUE(from_v6);
  EXPECT_EQ(from_v6->kind(), K::kLinkLocal);

  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  EXPECT_FALSE(Address::from_sockaddr(reinterpret_cast<sockaddr*>(&local), sizeof local));
  EXPECT_FALSE(Address::from_sockaddr(reinterpret_cast<sockaddr*>(&v6), sizeof v4));
  EXPECT_FALSE(Address::from_sockaddr(nullptr, 0));
}

}  // namespace
}  // namespace palyra::net_guard
