// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/net_guard/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace palyra::net_guard {
namespace {

using testing::HasSubstr;
using testing::Not;

Url parsed(std::string_view text) {
  Result<Url> url = parse_url(text);
  EXPECT_TRUE(url.ok()) << text << ": " << url.status().to_string();
  return url.ok() ? *url : Url{};
}

TEST(UrlTest, NormalisesWhatItReads) {
  const Url url = parsed("HTTPS://EXAMPLE.com./a/b?c=d#fragment");
  EXPECT_EQ(url.scheme, "https");
  EXPECT_EQ(url.host, "example.com");
  EXPECT_EQ(url.port, 443);
  EXPECT_EQ(url.text, "https://example.com/a/b?c=d");
  EXPECT_EQ(parsed("http://example.com:8080").authority(), "example.com:8080");
  EXPECT_EQ(parsed("http://[::1]:99/").authority(), "[::1]:99");
}

TEST(UrlTest, OctalHexAndDecimalIPv4CannotHideAnAddress) {
  for (const char* host : {"127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "0177.0.0.1", "2130706433",
                           "017700000001", "0x7f.0x0.0x0.0x1", "127.0.1"}) {
    EXPECT_EQ(parsed(std::string("http://") + host + "/").host, "127.0.0.1") << host;
  }
}

TEST(UrlTest, AMalformedAddressIsNotTakenForAName) {
  for (const char* host : {"1.2.3.4.5", "256.256.256.256", "0x7f.0.0.1.0x1", "99999999999"}) {
    EXPECT_FALSE(parse_url(std::string("http://") + host + "/").ok()) << host;
  }
}

TEST(UrlTest, AUserNameCannotDisguiseTheHost) {
  for (const char* text : {"https://example.com@127.0.0.1/", "https://example.com:pw@evil.example/",
                           "https://example.com\\@evil.example/",
                           "https://example.com%5c@evil.example/", "https://@evil.example/"}) {
    const Result<Url> url = parse_url(text);
    ASSERT_FALSE(url.ok()) << text << " -> " << url->host;
    EXPECT_THAT(url.status().message(), Not(HasSubstr("pw"))) << text;
  }
}

TEST(UrlTest, ZoneIdsAreRefused) {
  EXPECT_FALSE(parse_url("http://[fe80::1%25eth0]/").ok());
  EXPECT_FALSE(parse_url("http://[fe80::1%eth0]/").ok());
}

TEST(UrlTest, EncodedHostsAreJudgedDecoded) {
  EXPECT_EQ(parsed("http://%65xample.com/").host, "example.com");
  EXPECT_FALSE(parse_url("http://example.com%2f.evil.example/").ok());
  EXPECT_FALSE(parse_url("http://example.com%00.evil.example/").ok());
}

TEST(UrlTest, RefusesWhatParsersDisagreeAbout) {
  for (const char* text :
       {"", "example.com", "//example.com/", "/path", "https://", "https:///path",
        "https://exa mple.com/", "https://example.com/\r\nHost: evil", "http://example.com:0/",
        "http://example.com:65536/", "http://example.com:80:81/", "http://[::1/",
        "http://[1.2.3.4]/", "http://ex\xc3\xa4mple.com/", "http://a..b/",
        "http://.example.com/"}) {
    const Result<Url> url = parse_url(text);
    EXPECT_FALSE(url.ok()) << text << " -> " << url->text;
  }
  EXPECT_FALSE(parse_url("https://example.com/" + std::string(9000, 'a')).ok());
}

TEST(UrlTest, ResolvesRedirectsAgainstTheirBase) {
  const Url base = parsed("https://example.com/a/b?x=1");
  EXPECT_EQ(resolve_url(base, "c")->text, "https://example.com/a/c");
  EXPECT_EQ(resolve_url(base, "/c")->text, "https://example.com/c");
  EXPECT_EQ(resolve_url(base, "//other.example/c")->host, "other.example");
  EXPECT_EQ(resolve_url(base, "http://0x7f.1/")->host, "127.0.0.1");
  EXPECT_FALSE(resolve_url(base, "https://user@evil.example/").ok());
  EXPECT_FALSE(resolve_url(base, "///evil.example/").ok());
  EXPECT_FALSE(resolve_url(base, "").ok());
}

}  // namespace
}  // namespace palyra::net_guard
