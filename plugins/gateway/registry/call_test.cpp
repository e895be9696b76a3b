#include "plugins/gateway/registry/call.h"

#include "plugins/gateway/registry/registry_fixture.h"

namespace palyra::registry {
namespace {

// A publisher "fs" with concurrency "any" and a user of it; the same again on a lane.
class CallTest : public RegistryFixture, public ::testing::WithParamInterface<bool> {
 protected:
  CallTest()
      : publisher_(open("fs", GetParam() ? kOffersToolAny : kOffersTool)),
        user_(open("user", kUsesTool)) {
    EXPECT_TRUE(publisher_.publish("palyra.tool/1", service_).ok());
    client_ = *user_.acquire("palyra.tool/1", "fs");
  }
  void run() {
    while (publisher_.lane.run_ready() + user_.lane.run_ready() != 0) {
    }
  }
  // The publisher's view of the last call.
  const FakeService::Received& last() {
    publisher_.lane.run_ready();
    return service_.calls.back();
  }
  ServiceStats stats() {
    for (const ServiceStats& stats : host_.registry().stats()) {
      if (stats.instance == "fs") return stats;
    }
    return {};
  }

  FakeService service_;
  FakePlugin& publisher_;
  FakePlugin& user_;
  palyra_client client_{};
};

INSTANTIATE_TEST_SUITE_P(Concurrency, CallTest, ::testing::Bool(),
                         [](const auto& run) { return run.param ? "Any" : "Lane"; });

TEST_P(CallTest, ARequestGetsItsReply) {
  auto one = caller();
  palyra_call_options given = options(3);
  given.idempotency_key = to_str("key-1");
  ASSERT_TRUE(call(client_, *one, 7, "hello", &given).ok());
  EXPECT_NE(one->op, 0u);
  EXPECT_EQ(last().method, 7u);
  EXPECT_EQ(last().request, "hello");
  EXPECT_EQ(last().caller, "user");
  EXPECT_EQ(last().key, "key-1");
  EXPECT_EQ(last().credits, 3u);
  send(last(), "a");
  send(last(), "b");
  finish(last(), "world");
  EXPECT_FALSE(one->finished()) << "the completion waits for the caller's lane";
  run();
  EXPECT_EQ(one->items, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(one->done.size(), 1u);
  EXPECT_TRUE(one->done[0].ok());
  EXPECT_EQ(one->results[0], "world");
  EXPECT_EQ(stats().calls, 1u);
  EXPECT_EQ(stats().in_flight, 0u);
  EXPECT_EQ(stats().faults, 0u);
}

TEST_P(CallTest, ACompletionInsideStartIsHeldUntilStartReturned) {
  service_.complete_inline = true;
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  EXPECT_FALSE(one->finished());
  run();
  EXPECT_EQ(one->done.size(), 1u);
}

TEST_P(CallTest, ARefusedStartReachesTheCallerOnce) {
  service_.answer = PALYRA_INVALID_ARGUMENT;
  auto one = caller();
  const Status status = call(client_, *one);
  run();
  const bool sync = GetParam();
  EXPECT_EQ(status.ok(), !sync);
  ASSERT_EQ(one->done.size(), sync ? 0u : 1u);
  const Status seen = sync ? status : one->done[0];
  EXPECT_EQ(seen.code(), Code::kInvalidArgument);
  EXPECT_EQ(seen.message(), "refused by the fake");
  EXPECT_EQ(stats().in_flight, 0u);
}

TEST_P(CallTest, ASecondCompletionIsACountedFaultAndChangesNothing) {
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  const auto received = last();
  finish(received, "first");
  finish(received, "second");
  run();
  send(received, "late");
  finish(received, "later");
  run();
  EXPECT_EQ(one->results, std::vector<std::string>{"first"});
  EXPECT_EQ(stats().faults, 1u);
  EXPECT_EQ(host_.registry().faults(), 3u);
}

TEST_P(CallTest, ALateCompletionDoesNotReachTheNextCallInTheSamePlace) {
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  const auto old = last();
  finish(old, "first");
  run();
  std::vector<std::unique_ptr<FakeCaller>> next;
  for (int i = 0; i < 300; ++i) {
    next.push_back(caller());
    ASSERT_TRUE(call(client_, *next.back()).ok());
  }
  finish(old, "poison");
  run();
  for (const auto& each : next) EXPECT_FALSE(each->finished());
  for (size_t i = 1; i < service_.calls.size(); ++i) finish(service_.calls[i], "ok");
  run();
  for (const auto& each : next) EXPECT_EQ(each->results, std::vector<std::string>{"ok"});
}

TEST_P(CallTest, ItemsBeyondTheCreditsEndTheCallAndAreCounted) {
  auto one = caller();
  const palyra_call_options given = options(2);
  ASSERT_TRUE(call(client_, *one, 1, "", &given).ok());
  const auto received = last();
  for (const char* item : {"1", "2", "3", "4"}) send(received, item);
  finish(received, "done");
  run();
  EXPECT_EQ(one->items, (std::vector<std::string>{"1", "2"}));
  ASSERT_EQ(one->done.size(), 1u);
  EXPECT_EQ(one->done[0].code(), Code::kInternal);
  EXPECT_EQ(stats().faults, 1u);
}

TEST_P(CallTest, GrantedCreditsReachThePublisher) {
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  const auto received = last();
  client_.service->grant(client_.self, one->op, 2);
  run();
  EXPECT_EQ(service_.grants, (std::vector<std::pair<palyra_handle, uint32_t>>{{1, 2}}));
  send(received, "1");
  send(received, "2");
  finish(received, "");
  run();
  EXPECT_EQ(one->items.size(), 2u);
  EXPECT_EQ(stats().faults, 0u);
}

TEST_P(CallTest, CancelIsARequestAndTheCompletionStillComes) {
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  const auto received = last();
  client_.service->cancel(client_.self, one->op);
  client_.service->cancel(client_.self, one->op);
  run();
  EXPECT_FALSE(service_.cancels.empty());
  EXPECT_FALSE(one->finished());
  received.sink.on_done(received.sink.ctx, PALYRA_CANCELLED, nullptr, nullptr);
  run();
  ASSERT_EQ(one->done.size(), 1u);
  EXPECT_EQ(one->done[0].code(), Code::kCancelled);
  client_.service->cancel(client_.self, one->op);
  client_.service->grant(client_.self, one->op, 1);
  run();
  EXPECT_EQ(one->done.size(), 1u);
}

TEST_P(CallTest, ADeadlineEndsTheCallAndCancelsThePublisher) {
  auto one = caller();
  palyra_call_options given = options(1);
  given.deadline = 100;
  ASSERT_TRUE(call(client_, *one, 1, "", &given).ok());
  const auto received = last();
  EXPECT_EQ(received.deadline, 100);
  user_.lane.advance_to(100);
  run();
  ASSERT_EQ(one->done.size(), 1u);
  EXPECT_EQ(one->done[0].code(), Code::kDeadlineExceeded);
  EXPECT_EQ(service_.cancels.size(), 1u);
  EXPECT_EQ(stats().in_flight, 1u) << "the publisher has not said it stopped";
  finish(received, "too late");
  run();
  EXPECT_EQ(stats().in_flight, 0u);
  EXPECT_EQ(stats().faults, 0u) << "a first completion is not a fault";
  EXPECT_EQ(one->done.size(), 1u);
}

TEST_P(CallTest, ACompletionInTimeRemovesTheTimer) {
  auto one = caller();
  palyra_call_options given = options(1);
  given.deadline = 100;
  ASSERT_TRUE(call(client_, *one, 1, "", &given).ok());
  EXPECT_EQ(user_.lane.timers(), 1u);
  finish(last(), "");
  run();
  EXPECT_EQ(user_.lane.timers(), 0u);
}

TEST_P(CallTest, ADeadlineInThePastNeverReachesThePublisher) {
  clock_.now = 200;
  auto one = caller();
  palyra_call_options given = options(1);
  given.deadline = 100;
  EXPECT_EQ(call(client_, *one, 1, "", &given).code(), Code::kDeadlineExceeded);
  run();
  EXPECT_TRUE(service_.calls.empty());
  EXPECT_FALSE(one->finished());
}

TEST_P(CallTest, ThePublishersDeathEndsItsCallsRetryable) {
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  const auto received = last();
  close("fs");
  run();
  ASSERT_EQ(one->done.size(), 1u);
  EXPECT_EQ(one->done[0].code(), Code::kUnavailable);
  EXPECT_TRUE(one->done[0].retryable());
  finish(received, "from the grave");
  run();
  EXPECT_EQ(one->done.size(), 1u);
  EXPECT_EQ(host_.registry().faults(), 1u);
  auto two = caller();
  const Status status = call(client_, *two);
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_TRUE(status.retryable());
}

TEST_P(CallTest, AClientSurvivesTheReplacementOfItsPublisher) {
  close("fs");
  FakePlugin& next = open("fs", kOffersToolAny);
  FakeService service;
  ASSERT_TRUE(next.publish("palyra.tool/1", service).ok());
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  finish(service.calls.at(0), "new");
  run();
  EXPECT_EQ(one->results, std::vector<std::string>{"new"});
}

TEST_P(CallTest, AReleasedClientCancelsItsCallsWhichStillComplete) {
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  const auto received = last();
  user_.table->release(user_.table->ctx, client_.lease);
  run();
  EXPECT_EQ(service_.cancels.size(), 1u);
  received.sink.on_done(received.sink.ctx, PALYRA_CANCELLED, nullptr, nullptr);
  run();
  EXPECT_EQ(one->done.size(), 1u);
}

TEST_P(CallTest, AReleasedClientIsRefusedNotFollowed) {
  user_.table->release(user_.table->ctx, client_.lease);
  user_.table->release(user_.table->ctx, client_.lease);
  auto one = caller();
  EXPECT_EQ(call(client_, *one).code(), Code::kFailedPrecondition);
  auto again = user_.acquire("palyra.tool/1", "fs");
  ASSERT_TRUE(again.ok());
  EXPECT_NE(again->lease, client_.lease);
  EXPECT_EQ(call(client_, *one).code(), Code::kFailedPrecondition);
}

TEST_P(CallTest, AClosedCallerIsNotCalledAnyMore) {
  auto one = caller();
  const palyra_call_options given = options(5);
  ASSERT_TRUE(call(client_, *one, 1, "", &given).ok());
  const auto received = last();
  send(received, "x");
  close("user");
  publisher_.lane.run_ready();
  EXPECT_FALSE(service_.cancels.empty());
  send(received, "y");
  finish(received, "z");
  run();
  EXPECT_TRUE(one->items.empty());
  EXPECT_FALSE(one->finished());
  EXPECT_EQ(stats().in_flight, 0u);
}

TEST_P(CallTest, DrainWaitsForTheCallsInFlightAndRefusesNewOnes) {
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  const auto received = last();
  int drained = 0;
  const auto count = [](void* arg) { ++*static_cast<int*>(arg); };
  host_.table()->drain(host_.table()->ctx, to_str("fs"), count, &drained);
  auto two = caller();
  EXPECT_EQ(call(client_, *two).code(), Code::kUnavailable);
  EXPECT_EQ(drained, 0);
  finish(received, "done");
  EXPECT_EQ(drained, 1);
  run();
  EXPECT_TRUE(one->done.at(0).ok());
  host_.table()->drain(host_.table()->ctx, to_str("fs"), count, &drained);
  EXPECT_EQ(drained, 2) << "nothing in flight: at once";
  host_.table()->drain(host_.table()->ctx, to_str("nobody"), count, &drained);
  EXPECT_EQ(drained, 3);
}

TEST_P(CallTest, CloseEndsAWaitingDrain) {
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  (void)last();
  int drained = 0;
  host_.table()->drain(
      host_.table()->ctx, to_str("fs"), [](void* arg) { ++*static_cast<int*>(arg); }, &drained);
  close("fs");
  EXPECT_EQ(drained, 1);
}

TEST_P(CallTest, AnEncodingThatThePublisherDoesNotSpeakIsRefused) {
  auto one = caller();
  palyra_call_options given = options(0);
  given.encoding = PALYRA_ENCODING_JSON;
  EXPECT_EQ(call(client_, *one, 1, "{}", &given).code(), Code::kUnimplemented);
  given.encoding = 77;
  EXPECT_EQ(call(client_, *one, 1, "{}", &given).code(), Code::kUnimplemented);
  EXPECT_EQ(stats().in_flight, 0u);
}

TEST_P(CallTest, AnUnknownStatusBecomesInternal) {
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  last().sink.on_done(last().sink.ctx, 4711, nullptr, nullptr);
  run();
  EXPECT_EQ(one->done.at(0).code(), Code::kInternal);
}

TEST_P(CallTest, IncompleteArgumentsAreRefused) {
  auto one = caller();
  palyra_sink sink = one->sink();
  palyra_handle op = 0;
  EXPECT_EQ(client_.service->start(client_.self, 1, {nullptr, 0}, nullptr, nullptr, &op, nullptr),
            PALYRA_INVALID_ARGUMENT);
  EXPECT_EQ(client_.service->start(client_.self, 1, {nullptr, 5}, nullptr, &sink, &op, nullptr),
            PALYRA_INVALID_ARGUMENT);
  sink.struct_size = 8;
  EXPECT_EQ(client_.service->start(client_.self, 1, {nullptr, 0}, nullptr, &sink, &op, nullptr),
            PALYRA_INVALID_ARGUMENT);
  palyra_call_options given = options(0);
  const std::string key(129, 'k');
  given.idempotency_key = to_str(key);
  EXPECT_EQ(call(client_, *one, 1, "", &given).code(), Code::kInvalidArgument);
  EXPECT_EQ(client_.service->start(nullptr, 1, {nullptr, 0}, nullptr, &sink, &op, nullptr),
            PALYRA_INVALID_ARGUMENT);
  client_.service->cancel(client_.self, 0);
  client_.service->grant(client_.self, UINT64_MAX, 1);
}

class LaneCallTest : public CallTest {};
INSTANTIATE_TEST_SUITE_P(Lane, LaneCallTest, ::testing::Values(false));

TEST_P(LaneCallTest, APublisherOnALaneIsOnlyCalledThere) {
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  EXPECT_TRUE(service_.calls.empty());
  publisher_.lane.run_ready();
  ASSERT_EQ(service_.calls.size(), 1u);
  client_.service->cancel(client_.self, one->op);
  EXPECT_TRUE(service_.cancels.empty());
  publisher_.lane.run_ready();
  EXPECT_EQ(service_.cancels.size(), 1u);
  finish(last(), "");
  run();
}

TEST_P(LaneCallTest, ACallCancelledBeforeItsTurnNeverReachesThePublisher) {
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  client_.service->cancel(client_.self, one->op);
  run();
  EXPECT_TRUE(service_.calls.empty());
  EXPECT_EQ(one->done.at(0).code(), Code::kCancelled);
}

TEST_P(LaneCallTest, CreditsGrantedBeforeItsTurnAreInTheOptions) {
  auto one = caller();
  const palyra_call_options given = options(1);
  ASSERT_TRUE(call(client_, *one, 1, "", &given).ok());
  client_.service->grant(client_.self, one->op, 4);
  EXPECT_EQ(last().credits, 5u);
  EXPECT_TRUE(service_.grants.empty());
  finish(last(), "");
  run();
}

TEST_P(LaneCallTest, ACallThatWaitsForItsTurnEndsWithThePublisher) {
  auto one = caller();
  ASSERT_TRUE(call(client_, *one).ok());
  close("fs");
  run();
  EXPECT_TRUE(service_.calls.empty());
  EXPECT_EQ(one->done.at(0).code(), Code::kUnavailable);
}

}  // namespace
}  // namespace palyra::registry
