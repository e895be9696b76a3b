// The C++ wrapper against itself: a client and a publisher over a DirectRegistry.
#include "palyra/client.hpp"
#include "palyra/json_codec.hpp"
#include "palyra/raw_service.hpp"
#include "palyra/service.hpp"
#include "palyra/services.hpp"
#include "palyra/testing/direct_registry.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

namespace palyra {
namespace {

namespace pb = service::v1;
using testing::DirectRegistry;
using testing::FakeHost;

// A provider whose every turn says "a", "b", ... as often as the model's name is long.
class Alphabet : public ServiceBase {
 public:
  explicit Alphabet(Host host) : ServiceBase(std::move(host), PALYRA_SERVICE_PROVIDER) {
    unary(provider::kListModels, this, &Alphabet::models);
    unary(provider::kCountTokens, this, &Alphabet::count);
    stream(provider::kChat, this, &Alphabet::chat);
  }

  Task<Result<pb::ListModelsResponse>> models(pb::ListModelsRequest, CallContext& call) {
    last_caller = call.caller();
    last_key = call.idempotency_key();
    last_deadline = call.deadline_ns();
    pb::ListModelsResponse response;
    response.add_models()->set_id("abc");
    co_return response;
  }
  // "throw" throws; "wait" waits until it is cancelled; "for ever" ignores that too.
  Task<Result<pb::CountTokensResponse>> count(pb::CountTokensRequest request, CallContext& call) {
    if (request.model() == "throw") throw std::runtime_error("out of ink");
    if (request.model() == "for ever") co_await Slot<bool>();
    if (request.model() == "wait") {
      Slot<bool> cancelled;
      call.cancel().on_cancel([&, cancelled] {
        ++cancels;
        cancelled.set(true);
      });
      co_await cancelled;
      co_return Status(Code::kCancelled, "as you wish");
    }
    co_return pb::CountTokensResponse();
  }
  Task<Result<pb::ChatResult>> chat(pb::ChatRequest request, CallContext& call,
                                    ItemWriter<pb::ChatEvent>& events) {
    if (request.model() == "broken") {
      pb::ChatFailure failure;
      failure.set_kind(pb::FAILURE_KIND_RATE_LIMIT);
      failure.set_retry_after_ms(1500);
      co_return call.fail(
          Status(Code::kResourceExhausted, "too many requests", PALYRA_ERROR_RETRYABLE), failure);
    }
    for (size_t i = 0; i < request.model().size(); ++i) {
      pb::ChatEvent event;
      event.set_text_delta(std::string(1, static_cast<char>('a' + i % 26)));
      if (Status gone = co_await events.write(event); !gone.ok()) {
        ++cancels;
        co_return gone;
      }
      ++written;
    }
    pb::ChatResult result;
    result.set_finish_reason(pb::FINISH_REASON_STOP);
    co_return result;
  }

  std::string last_caller, last_key;
  int64_t last_deadline = 0;
  int written = 0;
  int cancels = 0;
};

class Wrapper : public ::testing::Test {
 protected:
  Host instance(const std::string& name) {
    fake.set_registry(registry.table(name));
    return fake.host();
  }
  Client client() {
    auto acquired = Client::acquire(caller, PALYRA_SERVICE_PROVIDER, "alphabet");
    EXPECT_TRUE(acquired.ok()) << acquired.status().to_string();
    return std::move(*acquired);
  }
  // Everything that a finished story leaves behind: nothing.
  void TearDown() override {
    fake.executor.run_until_idle();
    EXPECT_EQ(registry.faults(), 0);
    EXPECT_EQ(registry.calls_in_flight(), 0u);
    EXPECT_EQ(provider.calls_in_flight(), 0u);
    EXPECT_EQ(fake.live_buffers(), 0);
  }

  FakeHost fake;
  DirectRegistry registry{fake.executor, Host(fake.abi()).buffers()};
  Host publisher = instance("alphabet");
  Alphabet provider{publisher};
  Host caller = instance("caller");
  Status published = provider.publish({{"kind", "test"}});
};

pb::CountTokensRequest count_request(const std::string& model) {
  pb::CountTokensRequest request;
  request.set_model(model);
  return request;
}
pb::ChatRequest chat_request(const std::string& model) {
  pb::ChatRequest request;
  request.set_model(model);
  return request;
}

TEST_F(Wrapper, AUnaryCallReturnsItsResultAndTellsThePublisherWhoCalls) {
  auto c = client();
  std::string id;
  const auto story = [&]() -> Task<void> {
    auto models = co_await c.call(provider::kListModels, pb::ListModelsRequest(),
                                  {.deadline_ns = 77 * kNanosPerSecond, .idempotency_key = "k1"});
    if (models.ok()) id = models->models(0).id();
  };
  caller.spawn(story());
  EXPECT_EQ(id, "") << "completions never come inside the call";
  fake.executor.run_until_idle();
  EXPECT_EQ(id, "abc");
  EXPECT_EQ(provider.last_caller, "caller");
  EXPECT_EQ(provider.last_key, "k1");
  EXPECT_EQ(provider.last_deadline, 77 * kNanosPerSecond);
  EXPECT_TRUE(fake.executor.idle()) << "the deadline's timer is gone";
}

Task<void> read_all(Client& c, std::string model, uint32_t window, std::string& text,
                    std::optional<Result<pb::ChatResult>>& end) {
  auto turn = c.stream(provider::kChat, chat_request(model), {.window = window});
  while (auto event = co_await turn.next()) text += event->text_delta();
  end = co_await turn.result();
}

TEST_F(Wrapper, AStreamFlowsByCreditsAndEndsWithItsResult) {
  for (uint32_t window : {0u, 1u, 2u, 3u, 32u}) {
    auto c = client();
    std::string text;
    std::optional<Result<pb::ChatResult>> end;
    caller.spawn(read_all(c, std::string(100, 'm'), window, text, end));
    fake.executor.run_until_idle();
    ASSERT_TRUE(end.has_value()) << "window " << window;
    EXPECT_EQ(text.size(), 100u);
    EXPECT_EQ(text.substr(0, 3), "abc");
    ASSERT_TRUE(end->ok()) << end->status().to_string();
    EXPECT_EQ((*end)->finish_reason(), pb::FINISH_REASON_STOP);
  }
}

TEST_F(Wrapper, APublisherWaitsWhileTheReaderTakesNothing) {
  auto c = client();
  {
    auto turn = c.stream(provider::kChat, chat_request("mmmmmmmm"), {.window = 3});
    fake.executor.run_until_idle();
    EXPECT_EQ(provider.written, 3);
    EXPECT_EQ(provider.calls_in_flight(), 1u);
  }
  fake.executor.run_until_idle();
  EXPECT_EQ(provider.cancels, 1) << "a stream that is dropped is cancelled";
}

TEST_F(Wrapper, AskingForTheResultDropsTheItemsInBetween) {
  auto c = client();
  std::optional<Result<pb::ChatResult>> end;
  const auto story = [&]() -> Task<void> {
    auto turn = c.stream(provider::kChat, chat_request(std::string(50, 'm')), {.window = 2});
    co_await turn.next();
    end = co_await turn.result();
  };
  caller.spawn(story());
  fake.executor.run_until_idle();
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(end->ok());
  EXPECT_EQ(provider.written, 50);
}

TEST_F(Wrapper, AFailureCarriesItsDetail) {
  auto c = client();
  Status status;
  pb::ChatFailure failure;
  const auto story = [&]() -> Task<void> {
    auto turn = c.stream(provider::kChat, chat_request("broken"));
    EXPECT_FALSE((co_await turn.next()).has_value());
    status = (co_await turn.result()).status();
    EXPECT_TRUE(failure.ParseFromString(std::string(turn.failure_detail())));
  };
  caller.spawn(story());
  fake.executor.run_until_idle();
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_EQ(status.message(), "too many requests");
  EXPECT_TRUE(status.retryable());
  EXPECT_EQ(failure.retry_after_ms(), 1500);
}

// Runs one unary call to its end.
Task<void> keep_status(const Client& c, std::string model, CallOptions options,
                       std::shared_ptr<std::optional<Status>> status) {
  auto counted = co_await c.call(provider::kCountTokens, count_request(model), options);
  *status = counted.status();
}
Status count_status(Host& caller, FakeHost& fake, const Client& c, const std::string& model,
                    CallOptions options = {}) {
  auto status = std::make_shared<std::optional<Status>>();
  caller.spawn(keep_status(c, model, options, status));
  fake.executor.run_until_idle();
  return status->value_or(Status(Code::kUnknown, "never completed"));
}

TEST_F(Wrapper, AnExceptionInAHandlerIsAStatusNotACrash) {
  auto c = client();
  const Status status = count_status(caller, fake, c, "throw");
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_NE(status.message().find("out of ink"), std::string::npos);
  EXPECT_TRUE(count_status(caller, fake, c, "fine").ok()) << "and the service lives on";
}

TEST_F(Wrapper, CancelBeforeTheCallMeansNoCall) {
  CancelToken cancel;
  cancel.cancel();
  auto c = client();
  EXPECT_EQ(count_status(caller, fake, c, "wait", {.cancel = cancel}).code(), Code::kCancelled);
  EXPECT_EQ(provider.cancels, 0);
}

TEST_F(Wrapper, CancelDuringTwiceAndAfterIsOneCancel) {
  auto c = client();
  CancelToken cancel;
  EXPECT_EQ(count_status(caller, fake, c, "wait", {.cancel = cancel}).code(), Code::kUnknown)
      << "waits";
  cancel.cancel();
  cancel.cancel();
  fake.executor.run_until_idle();
  EXPECT_EQ(provider.cancels, 1);
  cancel.cancel();
  fake.executor.run_until_idle();
  EXPECT_EQ(provider.cancels, 1);
}

TEST_F(Wrapper, ATokenOutlivesManyCallsWithoutCollectingThem) {
  auto c = client();
  CancelToken cancel;
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(count_status(caller, fake, c, "fine", {.cancel = cancel}).ok());
  }
  cancel.cancel();
  EXPECT_EQ(provider.cancels, 0);
}

TEST_F(Wrapper, ADroppedUnaryCallIsCancelledAndItsCompletionSwallowed) {
  auto c = client();
  { auto call = c.call(provider::kCountTokens, count_request("wait")); }
  fake.executor.run_until_idle();
  EXPECT_LE(provider.cancels, 1);
}

TEST_F(Wrapper, AReleasedClientLetsItsCallsComplete) {
  std::optional<Client> c(client());
  std::optional<Status> status;
  const auto story = [&]() -> Task<void> {
    auto call = c->call(provider::kCountTokens, count_request("wait"));
    status = (co_await call).status();
  };
  caller.spawn(story());
  fake.executor.run_until_idle();
  EXPECT_FALSE(status.has_value());
  c.reset();
  fake.executor.run_until_idle();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->code(), Code::kCancelled);
}

TEST_F(Wrapper, ADeadlineEndsTheCallAndCancelsTheHandler) {
  auto c = client();
  std::optional<Status> status;
  const int64_t deadline = fake.clock.mono_now() + kNanosPerSecond;
  const auto story = [&]() -> Task<void> {
    auto call = c.call(provider::kCountTokens, count_request("wait"), {.deadline_ns = deadline});
    status = (co_await call).status();
  };
  caller.spawn(story());
  fake.executor.advance(kNanosPerSecond - 1);
  EXPECT_FALSE(status.has_value());
  fake.executor.advance(1);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->code(), Code::kDeadlineExceeded);
  EXPECT_EQ(provider.cancels, 1);
}

TEST_F(Wrapper, CallbacksRunOnTheLaneOnceAndInOrder) {
  auto c = client();
  std::string text;
  int ends = 0;
  auto turn = c.stream(
      provider::kChat, chat_request("mmmmm"), {.window = 2},
      [&](pb::ChatEvent&& event) { text += event.text_delta(); },
      [&](Result<pb::ChatResult> result, std::string_view) {
        EXPECT_TRUE(result.ok());
        text += ".";
        ++ends;
      });
  EXPECT_EQ(text, "");
  fake.executor.run_until_idle();
  EXPECT_EQ(text, "abcde.");
  EXPECT_EQ(ends, 1);
}

TEST_F(Wrapper, ADroppedHandleNeverCallsBackADetachedOneDoes) {
  auto c = client();
  int ends = 0;
  const auto on_done = [&](Result<pb::CountTokensResponse>, std::string_view) { ++ends; };
  { auto call = c.call(provider::kCountTokens, count_request("fine"), {}, on_done); }
  fake.executor.run_until_idle();
  EXPECT_EQ(ends, 0);
  c.call(provider::kCountTokens, count_request("fine"), {}, on_done).detach();
  fake.executor.run_until_idle();
  EXPECT_EQ(ends, 1);
}

TEST_F(Wrapper, ACallThatCannotBeginSaysSoLater) {
  provider.withdraw();
  auto c = client();
  Status status;
  auto call = c.call(
      provider::kCountTokens, count_request("fine"), {},
      [&](Result<pb::CountTokensResponse> result, std::string_view) { status = result.status(); });
  EXPECT_TRUE(status.ok()) << "never inside the call";
  fake.executor.run_until_idle();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_TRUE(status.retryable());
}

TEST_F(Wrapper, AnUnknownMethodAndGarbageAreRefused) {
  auto c = client();
  Status status;
  const auto story = [&]() -> Task<void> {
    const Unary<pb::InfoRequest, pb::InfoResponse> unknown{99};
    auto call = c.call(unknown, pb::InfoRequest());
    status = (co_await call).status();
  };
  caller.spawn(story());
  fake.executor.run_until_idle();
  EXPECT_EQ(status.code(), Code::kUnimplemented);

  palyra_sink sink{sizeof(sink), 0, nullptr, nullptr, nullptr};
  palyra_handle op = 0;
  palyra_error error = make_error();
  EXPECT_EQ(provider.table()->start(provider.self(), PALYRA_PROVIDER_CHAT, to_bytes("\xff\xff\xff"),
                                    nullptr, &sink, &op, &error),
            PALYRA_INVALID_ARGUMENT);
  EXPECT_EQ(provider.calls_in_flight(), 0u);
  // Stale and invented handles are refused, not dereferenced.
  provider.table()->grant(provider.self(), 12345, 1);
  provider.table()->cancel(provider.self(), 0);
}

TEST_F(Wrapper, StopEndsEveryHandlerAndTheCallersHearOfIt) {
  auto c = client();
  Status status;
  const auto story = [&]() -> Task<void> {
    auto call = c.call(provider::kCountTokens, count_request("for ever"));
    status = (co_await call).status();
  };
  caller.spawn(story());
  auto turn = c.stream(provider::kChat, chat_request("mmmm"), {.window = 1});
  fake.executor.run_until_idle();
  EXPECT_EQ(provider.calls_in_flight(), 2u);
  publisher.state()->stop();
  fake.executor.run_until_idle();
  EXPECT_EQ(provider.calls_in_flight(), 0u);
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_TRUE(status.retryable());
  EXPECT_EQ(count_status(caller, fake, c, "fine").code(), Code::kUnavailable);
}

TEST_F(Wrapper, ACallerThatStopsLeavesNothingSuspended) {
  auto c = client();
  struct Witness {
    bool& gone;
    ~Witness() { gone = true; }
  };
  bool gone = false;
  const auto story = [&]() -> Task<void> {
    Witness witness{gone};
    (void)co_await c.call(provider::kCountTokens, count_request("wait"));
  };
  caller.spawn(story());
  fake.executor.run_until_idle();
  EXPECT_FALSE(gone);
  caller.state()->stop();
  EXPECT_TRUE(gone);
  fake.executor.run_until_idle();
  EXPECT_EQ(provider.cancels, 1);
}

TEST_F(Wrapper, AfterStopTheRegistryIsNotTouchedAnyMore) {
  std::optional<Client> c(client());
  auto watch = ServiceWatch::start(caller, PALYRA_SERVICE_PROVIDER,
                                   [](bool, const ServiceWatch::Publication&) {});
  {
    auto turn = c->stream(provider::kChat, chat_request("mmmm"), {.window = 1});
    fake.executor.run_until_idle();
    caller.state()->stop();
    EXPECT_EQ(caller.registry(), nullptr);
  }
  c->release();
  EXPECT_EQ(Client::acquire(caller, PALYRA_SERVICE_PROVIDER).status().code(),
            Code::kFailedPrecondition);
  *watch = nullptr;
  fake.executor.run_until_idle();
  EXPECT_EQ(provider.cancels, 0)
      << "the registry itself ends the calls of an instance that stopped";
  provider.shutdown();
}

TEST_F(Wrapper, ADeadPublisherEndsTheCallUnavailable) {
  auto c = client();
  Status status;
  const auto story = [&]() -> Task<void> {
    auto turn = c.stream(provider::kChat, chat_request("mmmm"), {.window = 1});
    while (co_await turn.next()) co_await Slot<bool>();
    status = Status();
  };
  caller.spawn(story());
  auto call =
      c.call(provider::kCountTokens, count_request("wait"), {},
             [&](Result<pb::CountTokensResponse> r, std::string_view) { status = r.status(); });
  fake.executor.run_until_idle();
  registry.crash("alphabet");
  fake.executor.run_until_idle();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  provider.shutdown();
  caller.state()->stop();
}

TEST_F(Wrapper, AJsonCallerIsAnsweredInJson) {
  use_protobuf_json();
  provider.withdraw();
  ASSERT_TRUE(provider.publish().ok());
  auto c = client();
  EXPECT_EQ(c.encodings(), 3u);
  Status status;
  std::string id, detail;
  const auto story = [&]() -> Task<void> {
    const CallOptions json{.encoding = PALYRA_ENCODING_JSON};
    auto models = co_await c.call(provider::kListModels, pb::ListModelsRequest(), json);
    if (models.ok()) id = models->models(0).id();
    auto turn = c.stream(provider::kChat, chat_request("broken"), json);
    EXPECT_FALSE((co_await turn.result()).ok());
    detail = turn.failure_detail();
  };
  caller.spawn(story());
  fake.executor.run_until_idle();
  EXPECT_EQ(id, "abc");
  EXPECT_EQ(detail, R"({"kind":"FAILURE_KIND_RATE_LIMIT","retryAfterMs":"1500"})");
  set_json_codec(nullptr);
}

TEST_F(Wrapper, AWatchSeesWhatIsThereAndWhatChanges) {
  std::string seen;
  {
    auto watch = ServiceWatch::start(caller, PALYRA_SERVICE_PROVIDER,
                                     [&](bool added, const ServiceWatch::Publication& p) {
                                       seen += (added ? "+" : "-") + std::string(p.instance);
                                       if (added) {
                                         EXPECT_EQ(view(p.labels[0].value), "test");
                                       }
                                     });
    ASSERT_TRUE(watch.ok());
    fake.executor.run_until_idle();
    EXPECT_EQ(seen, "+alphabet");
    provider.withdraw();
    fake.executor.run_until_idle();
    EXPECT_EQ(seen, "+alphabet-alphabet");
  }
  ASSERT_TRUE(provider.publish().ok());
  fake.executor.run_until_idle();
  EXPECT_EQ(seen, "+alphabet-alphabet") << "a watch that is gone sees nothing";
}

// A journal that answers from a thread of its own, at once, twice, or never, by the method.
class Threaded : public RawService {
 public:
  explicit Threaded(Host host) : RawService(std::move(host), PALYRA_SERVICE_JOURNAL) {}
  ~Threaded() override { join(); }
  void join() {
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }
  Status start(const RawCall& call, Responder responder) override {
    switch (call.method) {
      case PALYRA_JOURNAL_INFO:
        threads_.emplace_back([this, responder] {
          pb::InfoResponse response;
          response.set_backend("thread");
          responder.done(host(), response);
        });
        return {};
      case PALYRA_JOURNAL_GET:
        responder.done(host(), pb::GetResponse());
        responder.done(Status(Code::kInternal, "a second answer is ignored"));
        return {};
      case PALYRA_JOURNAL_READ:
        return {};  // drops the responder
      default:
        responder.done(host(), pb::GetResponse());
        return {Code::kUnimplemented, "no such method"};
    }
  }

 private:
  std::vector<std::thread> threads_;
};

TEST_F(Wrapper, ARawPublisherCompletesFromAnyThreadExactlyOnce) {
  Host host = instance("journal");
  Threaded journal(host);
  ASSERT_TRUE(journal.publish().ok());
  auto c = Client::acquire(caller, PALYRA_SERVICE_JOURNAL);
  ASSERT_TRUE(c.ok());
  std::string backend;
  Status get(Code::kUnknown, ""), read, put;
  const auto story = [&]() -> Task<void> {
    auto info = co_await c->call(journal::kInfo, pb::InfoRequest());
    if (info.ok()) backend = info->backend();
    get = (co_await c->call(journal::kGet, pb::GetRequest())).status();
    read = (co_await c->call(journal::kRead, pb::ReadRequest())).status();
    put = (co_await c->call(journal::kPutBlob, pb::PutBlobRequest())).status();
  };
  caller.spawn(story());
  journal.join();
  fake.executor.run_until_idle();
  EXPECT_EQ(backend, "thread");
  EXPECT_TRUE(get.ok());
  EXPECT_EQ(read.code(), Code::kInternal);
  EXPECT_EQ(put.code(), Code::kUnimplemented);
}

}  // namespace
}  // namespace palyra
