// The OpenAI provider against servers that are wrong on purpose.
#include "plugins/common/http/testing/raw_server.h"
#include "tests/providers/fixture.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <sys/resource.h>
#include <vector>

namespace palyra::openai {
namespace {

using http::testing::RawServer;
using Connection = RawServer::Connection;

const std::string kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const std::string kRawStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
const std::string kLastChunk = "0\r\n\r\n";

std::string chunk(const std::string& bytes) {
  char size[32];
  std::snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}
std::string data(const std::string& json) { return "data: " + json + "\n\n"; }
std::string text(const std::string& content) {
  return data(R"({"id":"c1","choices":[{"index":0,"delta":{"content":")" + content + R"("}}]})");
}
const std::string kStop = data(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})");
const std::string kUsage =
    data(R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})");
const std::string kDone = data("[DONE]");
const std::string kAnswer = text("Hello") + text(" world") + kStop + kUsage + kDone;

std::string whole(int status, const std::string& type, const std::string& body,
                  const std::string& headers = "") {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: " + type + "\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

class HostileServer : public RealHttpTest {
 protected:
  // `script` runs for each request; false ends the connection.
  void serve(std::function<bool(Connection&, const RawServer::Request&, int)> script) {
    server_ = std::make_unique<RawServer>([this, script = std::move(script)](Connection& c) {
      RawServer::Request request;
      while (c.read_request(&request)) {
        if (!script(c, request, requests_++)) return;
      }
    });
    make(server_->url("/v1"));
  }
  // Every request gets these bytes; then the connection is closed.
  void always(const std::string& bytes) {
    serve([bytes](Connection& c, const RawServer::Request&, int) {
      c.send(bytes);
      return false;
    });
  }
  void TearDown() override {
    RealHttpTest::TearDown();
    server_.reset();
  }

  std::unique_ptr<RawServer> server_;
  std::atomic<int> requests_{0};
};

TEST_F(HostileServer, AGoodAnswerForComparison) {
  serve([](Connection& c, const RawServer::Request& request, int) {
    EXPECT_EQ(request.head.substr(0, 29), "POST /v1/chat/completions HTT");
    EXPECT_NE(request.head.find("Authorization: Bearer sk-live-"), std::string::npos);
    EXPECT_NE(request.body.find("\"stream\":true"), std::string::npos);
    return c.send(kStreamHead + chunk(kAnswer) + kLastChunk);
  });
  for (int i = 0; i < 3; ++i) {
    const auto t = chat();
    ASSERT_TRUE(t->finished) << t->status.to_string();
    EXPECT_EQ(t->text, "Hello world");
    EXPECT_EQ(t->result.usage().input_tokens(), 3);
    EXPECT_EQ(t->result.provider_request_id(), "c1");
    bool closed = false;
    lane_.post([&] { closed = true; });
    lane_.run_until([&] { return closed; });
  }
}

TEST_F(HostileServer, EveryByteInAPacketOfItsOwn) {
  serve([](Connection& c, const RawServer::Request&, int) {
    for (const char byte : kStreamHead) c.send(std::string(1, byte));
    for (const char byte : kAnswer) c.send(chunk(std::string(1, byte)));
    return c.send(kLastChunk);
  });
  EXPECT_EQ(chat()->text, "Hello world");
}

TEST_F(HostileServer, CrLfCommentsAndDataOnSeveralLines) {
  std::string odd = ": welcome\r\n\r\nevent: x\r\nid: 7\r\nretry: 10\r\n";
  odd += "data: {\"choices\":[{\"index\":0,\r\ndata: \"delta\":{\"content\":\"Hi\"}}]}\r\n\r\n";
  odd += ":\r\r: ping\n\n" + kStop + "data:[DONE]\r\r";
  always(kRawStreamHead + odd);
  const auto t = chat();
  EXPECT_TRUE(t->finished) << t->status.to_string();
  EXPECT_EQ(t->text, "Hi");
  EXPECT_TRUE(t->result.usage().estimated());
}

TEST_F(HostileServer, ToolCallArgumentsInFragments) {
  std::string stream = data(
      R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"fs_read","arguments":""}}]}}]})");
  for (const std::string part : {R"({\"pa)", R"(th\":)", R"(\"a b\"})"}) {
    stream += data(
        R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":")" +
        part + R"("}}]}}]})");
  }
  stream += data(R"({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})") + kDone;
  always(kRawStreamHead + stream);
  auto request = ask("read");
  request.add_tools()->set_name("fs.read");
  const auto t = start(request);
  ASSERT_TRUE(lane_.run_until([&] { return t->ended(); }));
  ASSERT_EQ(t->calls.size(), 1u);
  EXPECT_EQ(t->calls[0].name(), "fs.read");
  EXPECT_EQ(t->calls[0].call_id(), "call_a");
  EXPECT_EQ(t->calls[0].arguments_json(), R"({"path":"a b"})");
  EXPECT_EQ(t->result.finish_reason(), service::v1::FINISH_REASON_TOOL_CALLS);
}

TEST_F(HostileServer, CutInTheMiddleOfAnEvent) {
  always(kRawStreamHead + text("Hello") + "data: {\"choices\":[{\"ind");
  const auto t = chat();
  EXPECT_EQ(t->text, "Hello");
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_UNAVAILABLE);
  EXPECT_EQ(requests_, 1) << "never repeated after a token";
}

TEST_F(HostileServer, EndsWithoutFinishReasonAndDone) {
  always(kRawStreamHead + text("Hello"));
  EXPECT_EQ(chat()->failure.kind(), service::v1::FAILURE_KIND_UNAVAILABLE);
}

TEST_F(HostileServer, EndsWithFinishReasonButWithoutDone) {
  always(kRawStreamHead + text("Hello") + kStop);
  EXPECT_TRUE(chat()->finished);
}

TEST_F(HostileServer, TooManyRequestsThenFine) {
  serve([](Connection& c, const RawServer::Request&, int n) {
    if (n == 0) return c.send(whole(429, "application/json", "{}", "retry-after-ms: 20\r\n"));
    return c.send(kStreamHead + chunk(kAnswer) + kLastChunk);
  });
  EXPECT_EQ(chat()->text, "Hello world");
  EXPECT_EQ(requests_, 2);
}

TEST_F(HostileServer, TooManyRequestsForAnHour) {
  always(whole(429, "application/json", R"({"error":{"message":"slow down"}})",
               "Retry-After: 3600\r\n"));
  const auto t = chat();
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_RATE_LIMIT);
  EXPECT_EQ(t->failure.retry_after_ms(), 3'600'000);
  EXPECT_EQ(requests_, 1);
}

TEST_F(HostileServer, AnErrorThenFine) {
  serve([](Connection& c, const RawServer::Request&, int n) {
    if (n == 0) return c.send(whole(500, "text/html", "<h1>oops</h1>"));
    return c.send(kStreamHead + chunk(kAnswer) + kLastChunk);
  });
  EXPECT_EQ(chat()->text, "Hello world");
}

TEST_F(HostileServer, AKeyThatTheServerRepeatsStaysSecret) {
  always(whole(401, "application/json",
               std::string(R"({"error":{"code":"invalid_api_key","message":"Incorrect API key: )") +
                   kKey + R"("}})"));
  const auto t = chat();
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_AUTH);
  EXPECT_EQ(t->failure.http_status(), 401);
}

TEST_F(HostileServer, HangsBeforeTheFirstByte) {
  serve([](Connection& c, const RawServer::Request&, int) {
    c.wait_closed();
    return false;
  });
  provider_.reset();
  config_.first_token_timeout_ms = 100;
  make(server_->url("/v1"));
  const auto t = chat();
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_TIMEOUT);
  EXPECT_EQ(t->status.code(), Code::kDeadlineExceeded);
}

TEST_F(HostileServer, HangsInTheMiddle) {
  config_.idle_timeout_ms = 100;
  serve([](Connection& c, const RawServer::Request&, int) {
    c.send(kRawStreamHead + text("Hello"));
    c.wait_closed();
    return false;
  });
  const auto t = chat();
  EXPECT_EQ(t->text, "Hello");
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_TIMEOUT);
}

TEST_F(HostileServer, HeadersThatNeverEnd) {
  config_.first_token_timeout_ms = 200;
  serve([](Connection& c, const RawServer::Request&, int) {
    c.send("HTTP/1.1 200 OK\r\n");
    while (c.send("X-Slow: loris\r\n")) {
    }
    return false;
  });
  const auto t = chat();
  EXPECT_FALSE(t->finished);
  EXPECT_NE(t->failure.kind(), service::v1::FAILURE_KIND_UNSPECIFIED);
}

TEST_F(HostileServer, KeepsTheConnectionWarmButSaysNothing) {
  config_.first_token_timeout_ms = 150;
  serve([](Connection& c, const RawServer::Request&, int) {
    c.send(kRawStreamHead);
    while (c.send(": ping\n\n")) {
    }
    return false;
  });
  EXPECT_EQ(chat()->failure.kind(), service::v1::FAILURE_KIND_TIMEOUT);
}

TEST_F(HostileServer, InvalidJson) {
  always(kRawStreamHead + text("Hello") + "data: {not json}\n\n" + kStop + kDone);
  const auto t = chat();
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_PROTOCOL);
}

TEST_F(HostileServer, AnErrorInTheStream) {
  always(kRawStreamHead + text("Hello") +
         data(R"({"error":{"message":"overloaded","type":"server_error"}})"));
  const auto t = chat();
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_UNAVAILABLE);
  EXPECT_NE(t->status.message().find("overloaded"), std::string::npos);
}

TEST_F(HostileServer, AWebPageInsteadOfAnAnswer) {
  always(whole(200, "text/html", "<html>login</html>"));
  const auto t = chat();
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_PROTOCOL);
  EXPECT_NE(t->status.message().find("text/html"), std::string::npos);
}

TEST_F(HostileServer, AnErrorAsJsonWithStatus200) {
  always(whole(200, "application/json",
               R"({"error":{"code":"insufficient_quota","message":"no money"}})"));
  EXPECT_EQ(chat()->failure.kind(), service::v1::FAILURE_KIND_QUOTA);
}

TEST_F(HostileServer, AWholeAnswerInsteadOfAStreamIsTaken) {
  always(whole(
      200, "application/json; charset=utf-8",
      R"({"id":"w","choices":[{"index":0,"message":{"role":"assistant","content":"all at once"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}})"));
  const auto t = chat();
  EXPECT_TRUE(t->finished) << t->status.to_string();
  EXPECT_EQ(t->text, "all at once");
}

TEST_F(HostileServer, JsonThatIsNoAnswer) {
  always(whole(200, "application/json", R"({"hello":"world"})"));
  EXPECT_EQ(chat()->failure.kind(), service::v1::FAILURE_KIND_PROTOCOL);
}

TEST_F(HostileServer, ARedirectIsNotFollowed) {
  always("HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:9/steal\r\nContent-Length: 0\r\n\r\n");
  const auto t = chat();
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_PROTOCOL);
  EXPECT_EQ(t->status.message().find("steal"), std::string::npos);
}

// Sanitizers keep freed memory for a while: there only the ending is checked.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int64_t kMaxGrowthKib = INT64_MAX;
#else
constexpr int64_t kMaxGrowthKib = 60 << 10;
#endif

int64_t peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST_F(HostileServer, AHundredMegabytesOfGarbageInBoundedMemory) {
  for (const std::string& line : {std::string(1 << 20, 'x'),                // one endless line
                                  std::string((1 << 20) - 1, 'x') + "\n",   // unknown fields
                                  "data: " + std::string(1 << 20, 'x')}) {  // one endless event
    serve([&line](Connection& c, const RawServer::Request&, int) {
      c.send(kRawStreamHead);
      for (int i = 0; i < 100; ++i) {
        if (!c.send(line)) break;
      }
      return false;
    });
    const int64_t before = peak_kib();
    const auto t = chat();
    EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_PROTOCOL) << t->status.to_string();
    EXPECT_LT(peak_kib() - before, kMaxGrowthKib);
    provider_.reset();
    client_.reset();
    server_.reset();
  }
}

TEST_F(HostileServer, ASlowReaderGetsEverythingInOrder) {
  constexpr int kDeltas = 20'000;
  serve([](Connection& c, const RawServer::Request&, int) {
    std::string all = kStreamHead;
    for (int i = 0; i < kDeltas; ++i) all += chunk(text(std::to_string(i) + ","));
    return c.send(all + chunk(kStop + kDone) + kLastChunk);
  });
  const auto t = start(ask("hi"), 1);
  ASSERT_TRUE(lane_.run_until([&] { return t->events == 1; }));
  while (!t->ended()) {
    const int events = t->events;
    provider_->grant(id_, 1);
    ASSERT_TRUE(lane_.run_until([&] { return t->events > events || t->ended(); }));
  }
  std::string expected;
  for (int i = 0; i < kDeltas; ++i) expected += std::to_string(i) + ",";
  EXPECT_EQ(t->text, expected);
  EXPECT_LT(t->events, kDeltas) << "deltas that wait are joined";
}

TEST_F(HostileServer, NobodyListens) {
  {
    RawServer gone([](Connection&) {});
    make(gone.url("/v1"));
  }
  const auto t = chat();
  EXPECT_EQ(t->failure.kind(), service::v1::FAILURE_KIND_UNAVAILABLE);
  EXPECT_EQ(probe().state(), service::v1::PROVIDER_STATE_UNREACHABLE);
}

}  // namespace
}  // namespace palyra::openai
