// CurlClient against real sockets.
#include "plugins/common/http/curl_client.h"

#include "plugins/common/http/testing/raw_server.h"
#include "plugins/common/http/testing/thread_lane.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <netinet/in.h>
#include <string>

namespace palyra::http {
namespace {

using testing::RawServer;
using testing::SteadyClock;
using testing::ThreadLane;

struct Answer : ResponseHandler {
  void on_head(const ResponseHead& h) override {
    EXPECT_EQ(++heads, 1);
    head = h;
  }
  void on_body(std::string_view bytes) override {
    EXPECT_EQ(heads, 1);
    EXPECT_FALSE(done);
    size += bytes.size();
    if (keep) body += bytes;
    if (on_bytes) on_bytes();
  }
  void on_done(const Status& s) override {
    EXPECT_FALSE(done);
    done = true;
    status = s;
  }
  int heads = 0;
  ResponseHead head;
  bool keep = true;
  std::string body;
  size_t size = 0;
  bool done = false;
  Status status;
  std::function<void()> on_bytes;
};

void say(RawServer::Connection& c, const std::string& body, const std::string& headers = "") {
  c.send("HTTP/1.1 200 OK\r\n" + headers + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body);
}

class CurlClientTest : public ::testing::Test {
 protected:
  std::shared_ptr<Answer> start(Request request) {
    if (!client_) client_ = std::make_unique<CurlClient>(clock_, lane_, options_);
    auto answer = std::make_shared<Answer>();
    id_ = client_->start(std::move(request), answer);
    EXPECT_FALSE(answer->done) << "nothing happens inside start()";
    return answer;
  }
  std::shared_ptr<Answer> fetch(Request request) {
    auto answer = start(std::move(request));
    EXPECT_TRUE(lane_.run_until([&] { return answer->done; }));
    return answer;
  }
  static Request get(const std::string& url) {
    Request request;
    request.url = url;
    return request;
  }

  SteadyClock clock_;
  ThreadLane lane_;
  CurlOptions options_;
  std::unique_ptr<CurlClient> client_;
  RequestId id_ = 0;
};

TEST_F(CurlClientTest, PostsABodyAndReadsTheAnswer) {
  RawServer server([](RawServer::Connection& c) {
    RawServer::Request request;
    if (!c.read_request(&request)) return;
    EXPECT_EQ(request.head.substr(0, 16), "POST /v1?x=1 HTT");
    EXPECT_NE(request.head.find("x-key: value\r\n"), std::string::npos) << request.head;
    EXPECT_EQ(request.head.find("Expect"), std::string::npos);
    say(c, "you sent " + request.body, "X-Answer: 42\r\n");
  });
  Request request = get(server.url("/v1?x=1"));
  request.method = "POST";
  request.headers = {{"x-key", "value"}, {"content-type", "text/plain"}};
  request.body = std::string("a\0b", 3);
  const auto answer = fetch(request);
  EXPECT_TRUE(answer->status.ok()) << answer->status.to_string();
  EXPECT_EQ(answer->head.status, 200);
  EXPECT_EQ(*answer->head.find("x-answer"), "42");
  EXPECT_EQ(answer->body, std::string("you sent a\0b", 12));
}

TEST_F(CurlClientTest, ReusesAConnection) {
  RawServer server([](RawServer::Connection& c) {
    RawServer::Request request;
    while (c.read_request(&request)) say(c, "x");
  });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(fetch(get(server.url()))->body, "x");
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlClientTest, DoesNotFollowRedirects) {
  RawServer server([](RawServer::Connection& c) {
    RawServer::Request request;
    if (!c.read_request(&request)) return;
    c.send("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
  });
  const auto answer = fetch(get(server.url()));
  EXPECT_TRUE(answer->status.ok());
  EXPECT_EQ(answer->head.status, 302);
}

TEST_F(CurlClientTest, IgnoresTheProxyOfTheEnvironment) {
  ::setenv("http_proxy", "http://127.0.0.1:1", 1);
  RawServer server([](RawServer::Connection& c) {
    RawServer::Request request;
    if (c.read_request(&request)) say(c, "direct");
  });
  EXPECT_EQ(fetch(get(server.url()))->body, "direct");
  ::unsetenv("http_proxy");
}

TEST_F(CurlClientTest, TheFilterRefusesAnAddressBeforeAnyByteIsSent) {
  RawServer server([](RawServer::Connection& c) { c.wait_closed(); });
  std::atomic<int> asked{0};
  options_.filter = [&asked](const sockaddr* address, socklen_t size) {
    EXPECT_EQ(address->sa_family, AF_INET);
    EXPECT_GE(size, sizeof(sockaddr_in));
    ++asked;
    return Status(Code::kPermissionDenied, "127.0.0.1 is a private address");
  };
  const auto answer = fetch(get(server.url()));
  EXPECT_EQ(answer->status.code(), Code::kPermissionDenied);
  EXPECT_EQ(answer->status.message(), "127.0.0.1 is a private address");
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(CurlClientTest, TheFilterMayAllow) {
  RawServer server([](RawServer::Connection& c) {
    RawServer::Request request;
    if (c.read_request(&request)) say(c, "allowed");
  });
  options_.filter = [](const sockaddr*, socklen_t) { return Status(); };
  EXPECT_EQ(fetch(get(server.url()))->body, "allowed");
}

TEST_F(CurlClientTest, ARefusedConnectionIsUnavailable) {
  uint16_t port = 0;
  {
    port = RawServer([](RawServer::Connection&) {}).port();
  }
  const auto answer = fetch(get("http://127.0.0.1:" + std::to_string(port) + "/secret-path"));
  EXPECT_EQ(answer->status.code(), Code::kUnavailable);
  EXPECT_TRUE(answer->status.retryable());
  EXPECT_EQ(answer->status.message().find("secret-path"), std::string::npos);
}

TEST_F(CurlClientTest, ABadRequestFailsWithoutANetwork) {
  EXPECT_EQ(fetch(get("file:///etc/passwd"))->status.code(), Code::kInvalidArgument);
}

TEST_F(CurlClientTest, SilenceBeforeTheFirstByteTimesOut) {
  RawServer server([](RawServer::Connection& c) { c.wait_closed(); });
  Request request = get(server.url());
  request.first_byte_timeout_ms = 50;
  const auto answer = fetch(request);
  EXPECT_EQ(answer->status.code(), Code::kDeadlineExceeded);
  EXPECT_NE(answer->status.message().find("sent nothing within 50 ms"), std::string::npos);
}

TEST_F(CurlClientTest, SilenceInTheMiddleTimesOut) {
  RawServer server([](RawServer::Connection& c) {
    RawServer::Request request;
    if (!c.read_request(&request)) return;
    c.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    c.wait_closed();
  });
  Request request = get(server.url());
  request.idle_timeout_ms = 50;
  const auto answer = fetch(request);
  EXPECT_EQ(answer->body, "half");
  EXPECT_EQ(answer->status.code(), Code::kDeadlineExceeded);
}

TEST_F(CurlClientTest, ASlowLorisIsCutByTheTotalTimeout) {
  RawServer server([](RawServer::Connection& c) {
    RawServer::Request request;
    if (!c.read_request(&request)) return;
    c.send("HTTP/1.1 200 OK\r\n");
    // As fast as it can, but never done: bounded by time or by header bytes.
    while (c.send("X: y\r\n")) {
    }
  });
  Request request = get(server.url());
  request.max_header_bytes = INT64_MAX;
  request.total_timeout_ms = 50;
  const auto answer = fetch(request);
  EXPECT_FALSE(answer->status.ok());
  EXPECT_EQ(answer->heads, 0);
}

TEST_F(CurlClientTest, EndlessHeadersAreCut) {
  RawServer server([](RawServer::Connection& c) {
    RawServer::Request request;
    if (!c.read_request(&request)) return;
    c.send("HTTP/1.1 200 OK\r\n");
    while (c.send("X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n")) {
    }
  });
  Request request = get(server.url());
  request.max_header_bytes = 4096;
  EXPECT_EQ(fetch(request)->status.code(), Code::kResourceExhausted);
}

TEST_F(CurlClientTest, AnEndlessBodyIsCut) {
  RawServer server([](RawServer::Connection& c) {
    RawServer::Request request;
    if (!c.read_request(&request)) return;
    c.send("HTTP/1.1 200 OK\r\n\r\n");
    const std::string chunk(65'536, 'x');
    while (c.send(chunk)) {
    }
  });
  Request request = get(server.url());
  request.max_body_bytes = 1 << 20;
  const auto answer = fetch(request);
  EXPECT_EQ(answer->status.code(), Code::kResourceExhausted);
  EXPECT_LE(answer->size, size_t{1} << 20);
}

TEST_F(CurlClientTest, ACutBodyIsUnavailable) {
  RawServer server([](RawServer::Connection& c) {
    RawServer::Request request;
    if (!c.read_request(&request)) return;
    c.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  });
  const auto answer = fetch(get(server.url()));
  EXPECT_EQ(answer->body, "half");
  EXPECT_EQ(answer->status.code(), Code::kUnavailable);
}

TEST_F(CurlClientTest, AnInterimAnswerIsNotTheAnswer) {
  RawServer server([](RawServer::Connection& c) {
    RawServer::Request request;
    if (!c.read_request(&request)) return;
    c.send("HTTP/1.1 103 Early Hints\r\nX-Hint: 1\r\n\r\n");
    say(c, "real");
  });
  const auto answer = fetch(get(server.url()));
  EXPECT_EQ(answer->head.status, 200);
  EXPECT_EQ(answer->head.find("x-hint"), nullptr);
}

TEST_F(CurlClientTest, APausedReceiverHoldsTheSenderBack) {
  constexpr size_t kTotal = 32u << 20;
  std::atomic<size_t> sent{0};
  RawServer server([&sent](RawServer::Connection& c) {
    RawServer::Request request;
    if (!c.read_request(&request)) return;
    c.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kTotal) + "\r\n\r\n");
    const std::string chunk(65'536, 'x');
    while (sent < kTotal && c.send(chunk)) sent += chunk.size();
  });
  options_.max_buffered_bytes = 64 << 10;
  Request request = get(server.url());
  request.idle_timeout_ms = 20;
  auto answer = start(request);
  answer->keep = false;
  answer->on_bytes = [&] { client_->pause(id_); };
  ASSERT_TRUE(lane_.run_until([&] { return answer->size > 0; }));
  // Longer than the idle timeout: a pause of ours is not the server's silence.
  lane_.run_until([] { return false; }, 100);
  EXPECT_FALSE(answer->done) << answer->status.to_string();
  EXPECT_LT(sent, kTotal);
  EXPECT_LT(answer->size, kTotal);
  answer->on_bytes = nullptr;
  client_->resume(id_);
  ASSERT_TRUE(lane_.run_until([&] { return answer->done; }));
  EXPECT_TRUE(answer->status.ok()) << answer->status.to_string();
  EXPECT_EQ(answer->size, kTotal);
}

TEST_F(CurlClientTest, NothingArrivesAfterCancel) {
  RawServer server([](RawServer::Connection& c) {
    RawServer::Request request;
    if (!c.read_request(&request)) return;
    c.send("HTTP/1.1 200 OK\r\n\r\n");
    while (c.send("x")) {
    }
  });
  auto answer = start(get(server.url()));
  answer->on_bytes = [&] { client_->cancel(id_); };
  ASSERT_TRUE(lane_.run_until([&] { return answer->size > 0; }));
  const size_t size = answer->size;
  // The server notices that the client has gone.
  EXPECT_EQ(fetch(get("file:///"))->status.code(), Code::kInvalidArgument);
  EXPECT_EQ(answer->size, size);
  EXPECT_FALSE(answer->done);
  client_->cancel(id_);
  client_->cancel(12345);
}

TEST_F(CurlClientTest, DestroyingTheClientEndsEverythingSilently) {
  RawServer server([](RawServer::Connection& c) { c.wait_closed(); });
  const auto answer = start(get(server.url()));
  client_.reset();
  lane_.run_until([] { return false; }, 1);
  EXPECT_FALSE(answer->done);
}

TEST_F(CurlClientTest, ManyAtOnceAllFinish) {
  RawServer server([](RawServer::Connection& c) {
    RawServer::Request request;
    while (c.read_request(&request)) say(c, std::string(10'000, 'x'));
  });
  options_.max_connections = 8;
  std::vector<std::shared_ptr<Answer>> answers;
  for (int i = 0; i < 100; ++i) answers.push_back(start(get(server.url())));
  for (const auto& answer : answers) {
    ASSERT_TRUE(lane_.run_until([&] { return answer->done; }));
    EXPECT_TRUE(answer->status.ok()) << answer->status.to_string();
    EXPECT_EQ(answer->size, 10'000u);
  }
  EXPECT_LE(server.connections(), 8);
}

}  // namespace
}  // namespace palyra::http
