#include "plugins/common/http/http.h"

#include <gtest/gtest.h>

namespace palyra::http {
namespace {

Request to(const std::string& url) {
  Request request;
  request.url = url;
  return request;
}

TEST(HttpRequest, RefusesHeadersThatSmuggleALine) {
  Request request = to("https://example.org/");
  request.headers = {{"x-a", "1\r\nx-b: 2"}};
  EXPECT_EQ(check_request(request).code(), Code::kInvalidArgument);
  request.headers = {{"x-a: 1\r\nx-b", "2"}};
  EXPECT_EQ(check_request(request).code(), Code::kInvalidArgument);
  request.headers = {{"x-a", std::string("1\0", 2)}};
  EXPECT_FALSE(check_request(request).ok());
  request.headers = {{"", "1"}};
  EXPECT_FALSE(check_request(request).ok());
  request.headers = {{"X-Good_1", "tab\tand ž are fine"}};
  EXPECT_TRUE(check_request(request).ok());
}

TEST(HttpRequest, RefusesOtherSchemesAndOddMethods) {
  for (const char* url : {"file:///etc/passwd", "gopher://x/", "ftp://x/", "", "http://",
                          "example.org", "http://a b/", "http://a/\r\nX: y", "dict://x:1/"}) {
    EXPECT_FALSE(check_request(to(url)).ok()) << url;
  }
  EXPECT_TRUE(check_request(to("HTTP://example.org")).ok());
  Request request = to("http://example.org/");
  request.method = "GET / HTTP/1.1\r\nX:";
  EXPECT_FALSE(check_request(request).ok());
}

TEST(HttpRequest, ErrorsNeverQuoteTheValueOfAHeader) {
  Request request = to("https://example.org/");
  request.headers = {{"authorization", "Bearer sk-secret\n"}};
  EXPECT_EQ(check_request(request).message().find("sk-secret"), std::string::npos);
}

TEST(HttpUrl, TheHostIsWhatPeopleMaySee) {
  EXPECT_EQ(host_of("https://user:pw@api.example.com:8443/v1?key=1"), "api.example.com:8443");
  EXPECT_EQ(host_of("http://[::1]:80"), "[::1]:80");
  EXPECT_EQ(host_of("nonsense"), "");
}

TEST(HttpHead, NamesAreFoundInAnyCase) {
  ResponseHead head;
  head.headers = {{"Content-Type", "a"}, {"content-type", "b"}};
  ASSERT_NE(head.find("CONTENT-TYPE"), nullptr);
  EXPECT_EQ(*head.find("content-type"), "a");
  EXPECT_EQ(head.find("etag"), nullptr);
}

}  // namespace
}  // namespace palyra::http
