// A1: verification of a whole store beside the digests alone, of the same bytes, on one core.
#include "bench/clock.h"
#include "bench/row.h"
#include "bench/run_client.h"
#include "palyra/gateway/v1/audit.grpc.pb.h"
#include "plugins/common/digest/digest.h"
#include "plugins/journal/sqlite/store.h"
#include "plugins/journal/sqlite/system_world.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <stdexcept>

namespace palyra::bench {

namespace {

namespace v1 = palyra::service::v1;

constexpr int kStreams = 64;
constexpr int kRecordsOfACommit = 500;

// The answer of one call of the store.
template <typename T, typename Fn>
T answer(Fn call) {
  std::promise<Result<T>> promise;
  call([&](Result<T> result) { promise.set_value(std::move(result)); });
  Result<T> result = promise.get_future().get();
  if (!result.ok()) throw std::runtime_error(result.status().message());
  return std::move(*result);
}

void fill(journal::Store& store, int records, size_t payload) {
  for (int done = 0; done < records;) {
    v1::CommitRequest request;
    size_t bytes = 0;
    for (int i = 0; i < kRecordsOfACommit && done < records && bytes < (4u << 20); ++i, ++done) {
      auto* append = request.add_appends();
      append->set_stream("run/" + std::to_string(done % kStreams));
      auto* record = append->add_records();
      record->set_type("bench");
      record->set_payload(std::string(payload, 'x'));
      bytes += payload;
    }
    answer<v1::CommitResponse>([&](auto reply) { store.commit(std::move(request), reply); });
  }
}

struct Pass {
  uint64_t records = 0;
  uint64_t bytes = 0;
  double seconds = 0;
};

// What `palyra audit verify` asks for.
Pass verify(e2e::Daemon& daemon) {
  const auto stub = gateway::v1::AuditService::NewStub(daemon.channel());
  grpc::ClientContext context;
  daemon.authenticate(context);
  Pass pass;
  const Stopwatch watch;
  const auto stream = stub->VerifyStore(&context, gateway::v1::VerifyStoreRequest());
  gateway::v1::VerifyStoreEvent event;
  while (stream->Read(&event)) {
    pass.records = event.records();
    pass.bytes = event.bytes();
  }
  pass.seconds = watch.seconds();
  const auto status = stream->Finish();
  if (!status.ok()) throw std::runtime_error(status.error_message());
  if (!event.result().ok()) throw std::runtime_error("the store does not verify");
  return pass;
}

// Two digests a record: of its payload, of its fields.
double digests_seconds(const Pass& pass, size_t payload) {
  const size_t hashed = payload + 16;
  const std::string data(hashed, 'x');
  const std::string fields(pass.bytes / pass.records - hashed, 'f');
  digest::Sha256 sha256;
  unsigned sum = 0;
  const Stopwatch watch;
  for (uint64_t i = 0; i < pass.records; ++i) {
    sum += sha256.update(data).finish_value()[0];
    sum += sha256.update(fields).finish_value()[0];
  }
  if (sum == 0) throw std::runtime_error("no digest was made");
  return watch.seconds();
}

Row verify_row(int records, size_t payload) {
  e2e::Daemon daemon(unhindered());
  start(daemon);
  daemon.stop();
  {
    journal::SystemWorld world;
    journal::SqliteOptions options;
    options.path = daemon.state_dir() + "/journal/journal.sqlite";
    auto store = journal::SqliteStore::open(options, world, world);
    if (!store.ok()) throw std::runtime_error(store.status().message());
    fill(**store, records, payload);
  }
  start(daemon);
  Row row;
  Pass best = verify(daemon);
  for (const Stopwatch all; all.seconds() < measuring_seconds();) {
    const Pass pass = verify(daemon);
    if (pass.seconds < best.seconds) best = pass;
    row.samples.add(static_cast<double>(pass.bytes) / 1e6 / pass.seconds);
  }
  double limit = digests_seconds(best, payload);
  for (int i = 0; i < 2; ++i) limit = std::min(limit, digests_seconds(best, payload));
  row.id = "A1";
  row.name = "audit verify: records of " + std::to_string(payload) + " B";
  row.value = static_cast<double>(best.bytes) / 1e6 / best.seconds;
  row.unit = "MB/s";
  row.limit = static_cast<double>(best.bytes) / 1e6 / limit;
  row.limit_name = "SHA-256 of one core, same digests";
  row.budget = 1;
  row.higher_is_better = true;
  row.note =
      std::to_string(static_cast<uint64_t>(static_cast<double>(best.records) / best.seconds)) +
      " records/s";
  return row;
}

std::vector<Row> verify_store() { return {verify_row(400'000, 256), verify_row(50'000, 4096)}; }

}  // namespace

std::vector<Benchmark> audit_benchmarks() {
  return {{"A1", "audit: verification of a whole store", verify_store}};
}

}  // namespace palyra::bench
