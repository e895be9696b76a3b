// Publishers complete from any thread while callers cancel, grant, release and instances close.
// What counts: each started call of a living caller completes exactly once, and no buffer is lost.
#include "plugins/gateway/registry/registry_fixture.h"

#include <atomic>
#include <random>

namespace palyra::registry {
namespace {

// Answers each call from one of two threads, sometimes twice, sometimes with too many items.
class ThreadedService {
 public:
  ThreadedService(const palyra_buffers* buffers, uint32_t seed) : buffers_(buffers), seed_(seed) {
    table.struct_size = sizeof(table);
    table.start = [](void* self, uint32_t, palyra_bytes, const palyra_call_options* options,
                     const palyra_sink* sink, palyra_handle* op, palyra_error*) -> palyra_status {
      auto& service = *static_cast<ThreadedService*>(self);
      std::lock_guard lock(service.mutex_);
      *op = ++service.last_;
      service.queue_.push_back({*sink, options->credits});
      service.wake_.notify_one();
      return PALYRA_OK;
    };
    table.grant = [](void*, palyra_handle, uint32_t) {};
    table.cancel = [](void*, palyra_handle) {};
    for (uint32_t i = 0; i < 2; ++i) threads_.emplace_back([this, i] { work(i); });
  }
  ~ThreadedService() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      wake_.notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
  }

  palyra_service table{};

 private:
  struct Work {
    palyra_sink sink;
    uint32_t credits;
  };
  palyra_buffer* buffer() {
    uint8_t* data = nullptr;
    return buffers_->alloc(buffers_->ctx, 4, &data);
  }
  void work(uint32_t index) {
    std::mt19937 random(seed_ + index);
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const Work work = queue_.front();
      queue_.pop_front();
      lock.unlock();
      const uint32_t items = random() % 8 == 0 ? work.credits + 1 : work.credits;
      for (uint32_t i = 0; i < items; ++i) work.sink.on_item(work.sink.ctx, buffer());
      work.sink.on_done(work.sink.ctx, PALYRA_OK, buffer(), nullptr);
      if (random() % 8 == 0) work.sink.on_done(work.sink.ctx, PALYRA_OK, buffer(), nullptr);
      lock.lock();
    }
  }

  const palyra_buffers* buffers_;
  const uint32_t seed_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Work> queue_;
  palyra_handle last_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

struct CountingCaller {
  const palyra_buffers* buffers = nullptr;
  std::atomic<uint32_t> items{0};
  std::atomic<uint32_t> done{0};

  palyra_sink sink() {
    palyra_sink sink{};
    sink.struct_size = sizeof(sink);
    sink.ctx = this;
    sink.on_item = [](void* ctx, palyra_buffer* item) {
      auto& self = *static_cast<CountingCaller*>(ctx);
      self.items.fetch_add(1);
      self.buffers->release(self.buffers->ctx, item);
    };
    sink.on_done = [](void* ctx, palyra_status, palyra_buffer* result, const palyra_error*) {
      auto& self = *static_cast<CountingCaller*>(ctx);
      self.done.fetch_add(1);
      self.buffers->release(self.buffers->ctx, result);
    };
    return sink;
  }
};

class RegistryStressTest : public RegistryFixture, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Concurrency, RegistryStressTest, ::testing::Bool(),
                         [](const auto& run) { return run.param ? "Any" : "Lane"; });

TEST_P(RegistryStressTest, EachCallCompletesOnceWhateverHappensAround) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr int kCallers = 3;
  constexpr int kCalls = 800;
  std::vector<FakePlugin*> users;
  for (int i = 0; i < kCallers; ++i) {
    users.push_back(&open("user" + std::to_string(i), kUsesTool));
    users.back()->lane.start();
  }
  std::atomic<bool> over{false};
  // A publisher that comes and goes.
  std::thread publisher([&] {
    while (!over.load()) {
      ThreadedService service(buffers_.table(), seed);
      LocalLane lane;
      lane.start();
      const std::string manifest =
          std::string("{") + (GetParam() ? kOffersToolAny : kOffersTool) + "}";
      palyra_instance_info info{};
      info.struct_size = sizeof(info);
      info.trusted = 1;
      info.instance = to_str("fs");
      info.manifest = to_str(manifest);
      info.executor = lane.table();
      const palyra_registry* table = nullptr;
      const palyra_registry_host* host = host_.table();
      ASSERT_EQ(host->open(host->ctx, &info, &table, nullptr), PALYRA_OK);
      host->activate(host->ctx, to_str("fs"));
      palyra_handle publication = 0;
      ASSERT_EQ(table->publish(table->ctx, to_str("palyra.tool/1"), &service.table, &service,
                               nullptr, &publication, nullptr),
                PALYRA_OK);
      const uint64_t before = host_.registry().faults();
      while (!over.load() && host_.registry().faults() < before + 8) std::this_thread::yield();
      std::atomic<bool> drained{false};
      host->drain(
          host->ctx, to_str("fs"),
          [](void* arg) { static_cast<std::atomic<bool>*>(arg)->store(true); }, &drained);
      host->close(host->ctx, to_str("fs"));
      EXPECT_TRUE(drained.load());
    }
  });

  std::vector<std::thread> callers;
  std::vector<std::deque<CountingCaller>> sides(kCallers);
  std::vector<std::vector<CountingCaller*>> started(kCallers);
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&, i] {
      std::mt19937 random(seed + 100 + static_cast<uint32_t>(i));
      FakePlugin& user = *users[static_cast<size_t>(i)];
      auto client = user.acquire("palyra.tool/1", "fs");
      for (int n = 0; n < kCalls; ++n) {
        if (random() % 64 == 0) {
          user.table->release(user.table->ctx, client->lease);
          client = user.acquire("palyra.tool/1", "fs");
        }
        CountingCaller& side = sides[static_cast<size_t>(i)].emplace_back();
        side.buffers = buffers_.table();
        const palyra_sink sink = side.sink();
        const palyra_call_options given = options(random() % 4);
        palyra_handle op = 0;
        if (client->service->start(client->self, 1, to_bytes("abc"), &given, &sink, &op, nullptr) !=
            PALYRA_OK) {
          std::this_thread::yield();
          continue;
        }
        started[static_cast<size_t>(i)].push_back(&side);
        if (random() % 3 == 0) client->service->cancel(client->self, op);
        if (random() % 3 == 0) client->service->grant(client->self, op, 1);
        if (random() % 16 == 0) client->service->cancel(client->self, op - 1);
      }
    });
  }
  for (std::thread& thread : callers) thread.join();
  over.store(true);
  publisher.join();
  for (FakePlugin* user : users) user->lane.stop();
  for (const auto& list : started) {
    for (const CountingCaller* side : list) EXPECT_EQ(side->done.load(), 1u);
  }
  for (const auto& list : sides) {
    for (const CountingCaller& side : list) EXPECT_LE(side.done.load(), 1u);
  }
}

TEST_P(RegistryStressTest, CallersComeAndGoUnderAnswers) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  FakePlugin& publisher = open("fs", GetParam() ? kOffersToolAny : kOffersTool);
  publisher.lane.start();
  std::deque<CountingCaller> sides;
  {
    ThreadedService service(buffers_.table(), seed);
    palyra_handle publication = 0;
    ASSERT_EQ(publisher.table->publish(publisher.table->ctx, to_str("palyra.tool/1"),
                                       &service.table, &service, nullptr, &publication, nullptr),
              PALYRA_OK);
    for (int round = 0; round < 60; ++round) {
      const std::string name = "user" + std::to_string(round);
      FakePlugin& user = open(name, kUsesTool);
      user.lane.start();
      auto client = user.acquire("palyra.tool/1");
      for (int n = 0; n < 20; ++n) {
        CountingCaller& side = sides.emplace_back();
        side.buffers = buffers_.table();
        const palyra_sink sink = side.sink();
        const palyra_call_options given = options(2);
        palyra_handle op = 0;
        ASSERT_EQ(
            client->service->start(client->self, 1, to_bytes("abc"), &given, &sink, &op, nullptr),
            PALYRA_OK);
      }
      close(name);
      uint32_t after_close = 0;
      for (const CountingCaller& side : sides) after_close += side.done.load() + side.items.load();
      user.lane.stop();
      uint32_t later = 0;
      for (const CountingCaller& side : sides) later += side.done.load() + side.items.load();
      EXPECT_EQ(after_close, later) << "a sink was called after close";
    }
    close("fs");
  }
  publisher.lane.stop();
}

}  // namespace
}  // namespace palyra::registry
