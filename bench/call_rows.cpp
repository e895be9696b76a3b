// P9 in process: a service call through the registry's call object, protobuf included.
#include "bench/clock.h"
#include "bench/row.h"
#include "host/facilities/lane.h"
#include "palyra/service/v1/provider.pb.h"
#include "palyra/services.h"
#include "plugins/gateway/registry/local_lane.h"
#include "plugins/gateway/registry/registry_host.h"

#include <boost/asio.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <semaphore>
#include <stdexcept>

namespace palyra::bench {

namespace {

namespace sv = palyra::service::v1;

constexpr size_t kBody = 256;

// Answers CountTokens-like requests: parses, makes a reply of the same size.
class Publisher {
 public:
  explicit Publisher(const palyra_buffers* buffers) : buffers_(buffers) {
    table_.struct_size = sizeof table_;
    table_.start = [](void* self, uint32_t, palyra_bytes request, const palyra_call_options*,
                      const palyra_sink* sink, palyra_handle* op, palyra_error*) {
      static_cast<Publisher*>(self)->answer(request, *sink);
      *op = 1;
      return static_cast<palyra_status>(PALYRA_OK);
    };
    table_.grant = [](void*, palyra_handle, uint32_t) {};
    table_.cancel = [](void*, palyra_handle) {};
  }
  const palyra_service* table() const { return &table_; }

 private:
  void answer(palyra_bytes bytes, const palyra_sink& sink) {
    request_.ParseFromArray(bytes.ptr, static_cast<int>(bytes.len));
    reply_.set_detail(request_.texts(0));
    const size_t size = reply_.ByteSizeLong();
    uint8_t* data = nullptr;
    palyra_buffer* buffer = buffers_->alloc(buffers_->ctx, size, &data);
    reply_.SerializeWithCachedSizesToArray(data);
    buffers_->seal(buffers_->ctx, buffer, size);
    sink.on_done(sink.ctx, PALYRA_OK, buffer, nullptr);
  }

  const palyra_buffers* buffers_;
  palyra_service table_{};
  sv::CountTokensRequest request_;
  sv::ListModelsResponse reply_;
};

// A hub with two instances, as in the daemon.
class Fixture {
 public:
  // `caller_lane`: where completions arrive; null = this fixture's own, run by call_here().
  explicit Fixture(const palyra_executor* caller_lane = nullptr)
      : host_(buffers_.table(), clock_.table()), publisher_(buffers_.table()) {
    publisher_table_ = open(
        "publisher",
        R"({"id": "bench.publisher", "concurrency": "any", "provides": [{"id": "palyra.provider/1"}]})",
        publisher_lane_.table());
    caller_table_ =
        open("caller", R"({"id": "bench.caller", "requires": [{"id": "palyra.provider/1"}]})",
             caller_lane != nullptr ? caller_lane : caller_lane_.table());
    palyra_handle publication = 0;
    check(publisher_table_->publish(publisher_table_->ctx, to_str(PALYRA_SERVICE_PROVIDER),
                                    publisher_.table(), &publisher_, nullptr, &publication,
                                    nullptr));
    client_.struct_size = sizeof client_;
    check(caller_table_->acquire(caller_table_->ctx, to_str(PALYRA_SERVICE_PROVIDER),
                                 to_str("publisher"), &client_, nullptr));
  }
  ~Fixture() {
    for (const char* name : {"caller", "publisher"}) {
      host_.table()->close(host_.table()->ctx, to_str(name));
    }
  }

  // One call on the calling thread, the completion included.
  void call_here() {
    begin();
    while (!finished_) caller_lane_.run_ready();
  }
  // Starts a call; the completion arrives on the caller's lane.
  void begin() {
    finished_ = false;
    std::string bytes;
    request_.SerializeToString(&bytes);
    palyra_sink sink{};
    sink.struct_size = sizeof sink;
    sink.ctx = this;
    sink.on_item = [](void*, palyra_buffer*) {};
    sink.on_done = [](void* ctx, palyra_status, palyra_buffer* result, const palyra_error*) {
      static_cast<Fixture*>(ctx)->complete(result);
    };
    palyra_handle op = 0;
    check(client_.service->start(client_.self, PALYRA_PROVIDER_LIST_MODELS, to_bytes(bytes),
                                 nullptr, &sink, &op, nullptr));
  }
  std::function<void()> on_complete;

 private:
  static void check(palyra_status status) {
    if (status != PALYRA_OK) throw std::runtime_error("the registry refused the benchmark");
  }
  const palyra_registry* open(const char* name, const char* manifest, const palyra_executor* lane) {
    palyra_instance_info info{};
    info.struct_size = sizeof info;
    info.trusted = 1;
    info.instance = to_str(name);
    info.plugin_id = to_str(name);
    info.manifest = to_str(manifest);
    info.grant = to_str("");
    info.executor = lane;
    const palyra_registry* table = nullptr;
    check(host_.table()->open(host_.table()->ctx, &info, &table, nullptr));
    host_.table()->activate(host_.table()->ctx, to_str(name));
    return table;
  }
  void complete(palyra_buffer* result) {
    const palyra_bytes bytes = buffers_.table()->view(buffers_.table()->ctx, result);
    reply_.ParseFromArray(bytes.ptr, static_cast<int>(bytes.len));
    buffers_.table()->release(buffers_.table()->ctx, result);
    finished_ = true;
    if (on_complete) on_complete();
  }

  registry::LocalBuffers buffers_;
  registry::LocalClock clock_;
  registry::RegistryHost host_;
  registry::LocalLane caller_lane_;
  registry::LocalLane publisher_lane_;
  Publisher publisher_;
  const palyra_registry* publisher_table_ = nullptr;
  const palyra_registry* caller_table_ = nullptr;
  palyra_client client_{};
  sv::CountTokensRequest request_ = [] {
    sv::CountTokensRequest request;
    request.add_texts(std::string(kBody, 'x'));
    return request;
  }();
  sv::ListModelsResponse reply_;
  bool finished_ = false;
};

// Microseconds of one round, measured over batches.
Samples rounds(const std::function<void()>& round) {
  constexpr int kBatch = 1000;
  Samples micros;
  const Stopwatch all;
  while (all.seconds() < measuring_seconds()) {
    const Stopwatch one;
    for (int i = 0; i < kBatch; ++i) round();
    micros.add(one.seconds() * 1e6 / kBatch);
  }
  return micros;
}

double virtual_call_micros() {
  struct Service {
    virtual ~Service() = default;
    virtual sv::ListModelsResponse call(const sv::CountTokensRequest& request) = 0;
  };
  struct Direct : Service {
    sv::ListModelsResponse call(const sv::CountTokensRequest& request) override {
      sv::ListModelsResponse reply;
      reply.set_detail(request.texts(0));
      return reply;
    }
  };
  const std::unique_ptr<Service> service = std::make_unique<Direct>();
  sv::CountTokensRequest request;
  request.add_texts(std::string(kBody, 'x'));
  size_t total = 0;
  const Samples micros = rounds([&] { total += service->call(request).detail().size(); });
  if (total == 0) throw std::runtime_error("nothing was called");
  return micros.at(0.5);
}

std::vector<Row> same_thread() {
  Fixture fixture;
  Row row;
  row.id = "P9";
  row.name = "service call through the call object, 256 B, same thread";
  row.samples = rounds([&] { fixture.call_here(); });
  row.value = row.samples.at(0.5);
  row.unit = "us";
  row.budget = 1.5;
  row.note =
      "a plain virtual call with the same messages: " + std::to_string(virtual_call_micros()) +
      " us";
  return {std::move(row)};
}

// A round trip between two threads over one strand post each way.
double strand_post_micros() {
  boost::asio::thread_pool there(1);
  std::binary_semaphore back(0);
  return rounds([&] {
           boost::asio::post(there, [&] { back.release(); });
           back.acquire();
         })
      .at(0.5);
}

std::vector<Row> across_threads() {
  // The daemon's own lanes.
  host::ThreadPool pool(2);
  host::TimerQueue timers;
  host::BlockingPool blocking;
  host::Lane lane(pool, timers, blocking, false, [](const char*) {});
  std::optional<Fixture> fixture(std::in_place, &lane.table());
  std::binary_semaphore done(0);
  fixture->on_complete = [&] { done.release(); };
  Row row;
  row.id = "P9";
  row.name = "service call through the call object, 256 B, across threads";
  row.samples = rounds([&] {
    fixture->begin();
    done.acquire();
  });
  row.value = row.samples.at(0.5);
  row.unit = "us";
  row.limit = strand_post_micros();
  row.limit_name = "strand post and answer";
  row.budget = 2;
  fixture.reset();
  return {std::move(row)};
}

std::vector<Row> calls() {
  auto rows = same_thread();
  for (auto& row : across_threads()) rows.push_back(std::move(row));
  return rows;
}

}  // namespace

std::vector<Benchmark> call_benchmarks() {
  return {{"P9", "service call through the call object, in process", calls}};
}

}  // namespace palyra::bench
