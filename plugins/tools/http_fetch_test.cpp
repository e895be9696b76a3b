// SPDX-License-Identifier: Apache-2.0
// http.fetch against a fake network whose answers and addresses the test chooses.
#include "plugins/tools/http_fetch.h"

#include "palyra/testing/executor.hpp"
#include "plugins/common/tool/tool_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <map>
#include <netinet/in.h>
#include <optional>

namespace palyra::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Page {
  int status = 200;
  std::vector<http::Header> headers;
  std::string body;
  std::string address = "93.184.216.34";  // what the name resolves to at that moment
};

// Shared by all fake clients of a test.
struct Network {
  std::map<std::string, Page> pages;
  std::vector<std::string> requested;  // that reached a server
};

class FakeClient : public http::HttpClient {
 public:
  FakeClient(Network& network, Executor& executor, http::ConnectFilter filter)
      : network_(network), executor_(executor), filter_(std::move(filter)) {}
  http::RequestId start(http::Request request,
                        std::shared_ptr<http::ResponseHandler> handler) override {
    executor_.post([this, request, handler] {
      const auto found = network_.pages.find(request.url);
      if (found == network_.pages.end()) return;  // never answers
      const Page& page = found->second;
      sockaddr_in address{};
      address.sin_family = AF_INET;
      inet_pton(AF_INET, page.address.c_str(), &address.sin_addr);
      const auto* raw = reinterpret_cast<const sockaddr*>(&address);
      if (Status status = filter_(raw, sizeof address); !status.ok()) {
        return handler->on_done(status);
      }
      network_.requested.push_back(request.url);
      handler->on_head({page.status, page.headers});
      if (static_cast<int64_t>(page.body.size()) > request.max_body_bytes) {
        return handler->on_done(Status(Code::kResourceExhausted, "the response is too large"));
      }
      handler->on_body(page.body);
      handler->on_done({});
    });
    return 1;
  }
  void cancel(http::RequestId) override {}
  void pause(http::RequestId) override {}
  void resume(http::RequestId) override {}

 private:
  Network& network_;
  Executor& executor_;
  http::ConnectFilter filter_;
};

class HttpFetchTest : public ::testing::Test {
 protected:
  HttpFetchTest() {
    config_.http.settings = "[tools.http]";
    config_.http.allow_hosts = {"example.com", "other.example"};
    config_.http_max_bytes = 1000;
  }

  service::v1::InvokeResult fetch(const std::string& url) {
    const auto made = HttpFetch::create(clock_, config_, [this](http::ConnectFilter filter) {
      return std::make_unique<FakeClient>(network_, executor_, std::move(filter));
    });
    EXPECT_TRUE(made.ok()) << made.status().to_string();
    const auto set = tool::ToolSet::create({*made});
    service::v1::InvokeRequest request;
    request.set_name("http.fetch");
    request.set_arguments_json(nlohmann::json{{"url", url}}.dump());
    std::optional<Result<service::v1::InvokeResult>> out;
    spawn([](const tool::ToolSet& tools, service::v1::InvokeRequest r, CancelToken cancel,
             auto& result) -> Task<void> {
      result = co_await tools.invoke(std::move(r), cancel);
    }(*set, std::move(request), cancel_, out));
    executor_.run_until_idle();
    if (!out) {
      cancel_.cancel();
      executor_.run_until_idle();
    }
    status_ = out->status();
    return out->ok() ? **out : service::v1::InvokeResult();
  }
  std::string refused(const std::string& url) {
    const auto result = fetch(url);
    EXPECT_TRUE(result.is_error()) << url << " -> " << result.content();
    return result.content();
  }

  Config config_;
  Network network_;
  CancelToken cancel_;
  Status status_;
  palyra::testing::ManualClock clock_;
  palyra::testing::DeterministicExecutor executor_{clock_};
};

TEST_F(HttpFetchTest, FetchesTextFromAnAllowedHost) {
  network_.pages["https://example.com/a"] = {
      200, {{"Content-Type", "Text/HTML; charset=utf-8"}}, "<p>hello"};
  const auto result = fetch("https://example.com/a#fragment");
  EXPECT_FALSE(result.is_error());
  const auto page = nlohmann::json::parse(result.content());
  EXPECT_EQ(page["status"], 200);
  EXPECT_EQ(page["content_type"], "text/html");
  EXPECT_EQ(page["body"], "<p>hello");
}

TEST_F(HttpFetchTest, NothingIsAllowedUntilTheOperatorSaysSo) {
  config_.http.allow_hosts.clear();
  EXPECT_THAT(refused("https://example.com/"),
              HasSubstr("the operator can add \"example.com\" to allow_hosts of [tools.http]"));
  EXPECT_THAT(network_.requested, IsEmpty());
}

TEST_F(HttpFetchTest, ARedirectCannotLeadToAForbiddenHostOrScheme) {
  for (const char* target :
       {"https://evil.example/", "http://example.com/", "http://127.0.0.1/", "http://2130706433/",
        "https://user@other.example/", "file:///etc/passwd", "//169.254.169.254/latest"}) {
    network_.pages["https://example.com/"] = {302, {{"Location", target}}, ""};
    EXPECT_THAT(refused("https://example.com/"), HasSubstr("refused")) << target;
  }
  for (const auto& url : network_.requested) EXPECT_EQ(url, "https://example.com/");
}

TEST_F(HttpFetchTest, FollowsAllowedRedirectsButNotForEver) {
  network_.pages["https://example.com/"] = {301, {{"Location", "https://other.example/x"}}, ""};
  network_.pages["https://other.example/x"] = {307, {{"Location", "y"}}, ""};
  network_.pages["https://other.example/y"] = {200, {}, "there"};
  EXPECT_THAT(fetch("https://example.com/").content(), HasSubstr("there"));
  EXPECT_THAT(network_.requested, ElementsAre("https://example.com/", "https://other.example/x",
                                              "https://other.example/y"));
  network_.pages["https://example.com/"] = {302, {{"Location", "/"}}, ""};
  network_.requested.clear();
  EXPECT_THAT(refused("https://example.com/"), HasSubstr("more than 5 redirects"));
  EXPECT_EQ(network_.requested.size(), 6u);
}

TEST_F(HttpFetchTest, DnsRebindingCannotReachPrivateAddresses) {
  for (const char* address : {"127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0"}) {
    network_.pages["https://example.com/"] = {200, {}, "secret", address};
    EXPECT_THAT(refused("https://example.com/"), HasSubstr("is refused")) << address;
  }
  EXPECT_THAT(network_.requested, IsEmpty());
}

TEST_F(HttpFetchTest, APrivateEndpointOpensNothingForOtherHosts) {
  config_.http.allow_private = {"127.0.0.1:8080"};
  network_.pages["http://127.0.0.1:8080/"] = {200, {}, "local", "127.0.0.1"};
  network_.pages["https://example.com/"] = {200, {}, "secret", "127.0.0.1"};
  EXPECT_THAT(fetch("http://127.0.0.1:8080/").content(), HasSubstr("local"));
  refused("https://example.com/");
  refused("http://127.0.0.1:8081/");
  EXPECT_THAT(network_.requested, ElementsAre("http://127.0.0.1:8080/"));
}

TEST_F(HttpFetchTest, RefusesWhatIsNotText) {
  network_.pages["https://example.com/"] = {200, {{"content-type", "image/png"}}, "\x89PNG"};
  EXPECT_THAT(refused("https://example.com/"), HasSubstr("with image/png (4 bytes)"));
  network_.pages["https://example.com/"] = {200, {{"content-type", "text/plain"}}, "\xff\xfe"};
  EXPECT_THAT(refused("https://example.com/"), HasSubstr("not UTF-8"));
  network_.pages["https://example.com/"] = {200, {{"content-encoding", "gzip"}}, "bomb"};
  EXPECT_THAT(refused("https://example.com/"), HasSubstr("compressed"));
  network_.pages["https://example.com/"] = {200, {}, std::string(1001, 'x')};
  EXPECT_THAT(refused("https://example.com/"), HasSubstr("too large"));
}

TEST_F(HttpFetchTest, AnErrorOfTheServerIsShownAsOne) {
  network_.pages["https://example.com/"] = {404, {}, "no such page"};
  EXPECT_THAT(refused("https://example.com/"), HasSubstr("no such page"));
}

TEST_F(HttpFetchTest, CancelEndsAFetchThatHangs) {
  fetch("https://example.com/never");
  EXPECT_EQ(status_.code(), Code::kCancelled);
}

TEST(ToolsConfigTest, ReadsTheSectionAndNamesWhatIsWrong) {
  const auto config = parse_config(R"({"http": {"allow_hosts": ["a.example"], "max_bytes": 5}})");
  ASSERT_TRUE(config.ok());
  EXPECT_THAT(config->http.allow_hosts, ElementsAre("a.example"));
  EXPECT_EQ(config->http_max_bytes, 5);
  EXPECT_TRUE(parse_config("").ok());
  for (const char* text :
       {"[]", R"({"http": 3})", R"({"max_file_bytes": 0})", R"({"http": {"schemes": ["ftp"]}})"}) {
    const auto bad = parse_config(text);
    ASSERT_FALSE(bad.ok()) << text;
    EXPECT_THAT(bad.status().message(), HasSubstr("[tools"));
  }
}

}  // namespace
}  // namespace palyra::tools
