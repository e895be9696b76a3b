// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/net_guard/guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace palyra::net_guard {
namespace {

using testing::HasSubstr;

Guard guard(Rules rules) {
  rules.settings = "[tools.http]";
  Result<Guard> made = Guard::create(std::move(rules));
  EXPECT_TRUE(made.ok()) << made.status().to_string();
  return std::move(*made);
}

Rules rules(std::vector<std::string> hosts, std::vector<std::string> endpoints = {}) {
  Rules rules;
  rules.allow_hosts = std::move(hosts);
  rules.allow_private = std::move(endpoints);
  return rules;
}

Status check(const Guard& guard, std::string_view text) {
  Result<Url> url = parse_url(text);
  EXPECT_TRUE(url.ok()) << text;
  return guard.check_url(*url);
}

Status connect(const Guard& guard, std::string_view text, const char* address) {
  return guard.check_address(*parse_url(text), *Address::parse(address));
}

TEST(GuardTest, RefusesEveryHostUntilOneIsListedAndSaysHow) {
  const Status status = check(guard(rules({})), "https://example.com/");
  EXPECT_EQ(status.code(), Code::kPermissionDenied);
  EXPECT_EQ(status.message(),
            "the host example.com:443 is not allowed; the operator can add \"example.com\" to "
            "allow_hosts of [tools.http]");
}

TEST(GuardTest, PatternsMatchWholeLabelsAndPorts) {
  const Guard some = guard(rules({"example.com", "*.wild.example", "ported.example:8443"}));
  EXPECT_TRUE(check(some, "https://example.com/").ok());
  EXPECT_TRUE(check(some, "https://EXAMPLE.com./").ok());
  EXPECT_TRUE(check(some, "https://a.b.wild.example/").ok());
  EXPECT_TRUE(check(some, "https://ported.example:8443/").ok());
  for (const char* text :
       {"https://www.example.com/", "https://notexample.com/", "https://example.com.evil.example/",
        "https://wild.example/", "https://evilwild.example/", "https://example.com:8443/",
        "https://ported.example/", "https://ported.example:80/"}) {
    EXPECT_EQ(check(some, text).code(), Code::kPermissionDenied) << text;
  }
}

TEST(GuardTest, OtherSchemesCannotReachFilesOrServices) {
  const Guard all = guard(rules({"*"}, {"127.0.0.1:80"}));
  for (const char* text : {"http://example.com/", "ftp://example.com/", "gopher://127.0.0.1:80/",
                           "dict://127.0.0.1:80/", "ldap://example.com/"}) {
    EXPECT_EQ(check(all, text).code(), Code::kPermissionDenied) << text;
  }
  const Result<Url> file = parse_url("file:///etc/passwd");
  EXPECT_TRUE(!file.ok() || !all.check_url(*file).ok());
}

TEST(GuardTest, AStarDoesNotOpenPrivateAddresses) {
  Rules open = rules({"*"});
  open.schemes = {"https", "http"};
  const Guard all = guard(open);
  EXPECT_TRUE(check(all, "https://8.8.8.8/").ok());
  for (const char* text :
       {"http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://017700000001/",
        "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://10.0.0.1/", "http://0.0.0.0/",
        "http://0/", "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/",
        "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[fe80::1]/"}) {
    EXPECT_EQ(check(all, text).code(), Code::kPermissionDenied) << text;
  }
}

TEST(GuardTest, DnsRebindingIsCaughtAtTheConnection) {
  // The name was public when the URL was judged; now it answers with something else.
  const Guard some = guard(rules({"rebind.example"}));
  const char* url = "https://rebind.example/";
  EXPECT_TRUE(check(some, url).ok());
  EXPECT_TRUE(connect(some, url, "93.184.216.34").ok());
  for (const char* address : {"127.0.0.1", "10.0.0.5", "::1", "::ffff:192.168.1.1", "fd12::1",
                              "169.254.169.254", "100.64.0.1", "0.0.0.0", "::"}) {
    const Status status = connect(some, url, address);
    EXPECT_EQ(status.code(), Code::kPermissionDenied) << address;
    EXPECT_THAT(status.message(), HasSubstr(Address::parse(address)->to_string()));
  }
}

TEST(GuardTest, TheSocketHookSeesTheRealAddress) {
  const Guard some = guard(rules({"rebind.example"}));
  const Url url = *parse_url("https://rebind.example/");
  sockaddr_in loopback{};
  loopback.sin_family = AF_INET;
  inet_pton(AF_INET, "127.0.0.1", &loopback.sin_addr);
  const auto* raw = reinterpret_cast<const sockaddr*>(&loopback);
  EXPECT_EQ(some.check_socket(url, raw, sizeof loopback).code(), Code::kPermissionDenied);
  inet_pton(AF_INET, "93.184.216.34", &loopback.sin_addr);
  EXPECT_TRUE(some.check_socket(url, raw, sizeof loopback).ok());
  loopback.sin_family = AF_UNIX;
  EXPECT_EQ(some.check_socket(url, raw, sizeof loopback).code(), Code::kPermissionDenied);
}

TEST(GuardTest, PrivateEndpointsOpenExactlyTheirHostAndPort) {
  const Guard some = guard(rules({}, {"127.0.0.1:8080", "[::1]:9000", "nas.local:443"}));
  EXPECT_TRUE(check(some, "http://127.0.0.1:8080/").ok());
  EXPECT_TRUE(check(some, "http://[::1]:9000/").ok());
  EXPECT_TRUE(check(some, "http://[0:0:0:0:0:0:0:1]:9000/").ok());
  EXPECT_TRUE(connect(some, "https://nas.local/", "192.168.1.9").ok());
  EXPECT_FALSE(check(some, "http://127.0.0.1:8081/").ok());
  EXPECT_FALSE(check(some, "http://127.0.0.2:8080/").ok());
  EXPECT_FALSE(check(some, "http://localhost:8080/").ok());
  EXPECT_FALSE(connect(some, "https://other.local/", "192.168.1.9").ok());
}

TEST(GuardTest, MetadataStaysClosedEvenIfListed) {
  const Guard some = guard(rules({}, {"169.254.169.254:80", "meta.example:80"}));
  EXPECT_THAT(check(some, "http://169.254.169.254/").message(), HasSubstr("never reached"));
  EXPECT_FALSE(connect(some, "http://meta.example/", "169.254.169.254").ok());
  EXPECT_FALSE(connect(some, "http://meta.example/", "0.0.0.0").ok());
  EXPECT_FALSE(connect(some, "http://meta.example/", "fd00:ec2::254").ok());
}

TEST(GuardTest, NamesTheEntryThatIsNotUnderstood) {
  for (const char* entry : {"", "https://example.com", "example.com/path", "*.127.0.0.1", "a b",
                            "*.", "foo*bar", "example.com:0", "example.com:x", "[::1", "[x]:80"}) {
    const auto made = Guard::create(rules({entry}));
    ASSERT_FALSE(made.ok()) << entry;
    EXPECT_THAT(made.status().message(), HasSubstr("\"" + std::string(entry) + "\""));
  }
  for (const char* entry : {"*:80", "*.example.com:80", "127.0.0.1", "::1"}) {
    EXPECT_FALSE(Guard::create(rules({}, {entry})).ok()) << entry;
  }
}

}  // namespace
}  // namespace palyra::net_guard
