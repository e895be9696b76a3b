// A1: verification of a whole store beside the digests alone, of the same bytes, on one core.
#include "bench/clock.h"
#include "bench/row.h"
#include "plugins/common/digest/digest.h"
#include "plugins/journal/sqlite/store.h"
#include "plugins/journal/sqlite/system_world.h"
#include "tests/e2e/daemon.h"

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

Pass verify(journal::Store& store) {
  Pass pass;
  const Stopwatch watch;
  v1::VerifyStoreRequest request;
  do {
    const auto page =
        answer<v1::VerifyStoreResponse>([&](auto reply) { store.verify_store(request, reply); });
    if (page.bad() > 0) throw std::runtime_error(page.first_bad(0).reason());
    pass.records += page.records();
    pass.bytes += page.bytes();
    request.set_from_position(page.next_position());
  } while (request.from_position() != 0);
  pass.seconds = watch.seconds();
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
  e2e::TempDir directory;
  journal::SystemWorld world;
  journal::SqliteOptions options;
  options.path = directory.path() + "/journal.sqlite";
  auto store = journal::SqliteStore::open(options, world, world);
  if (!store.ok()) throw std::runtime_error(store.status().message());
  fill(**store, records, payload);
  Row row;
  Pass best = verify(**store);
  for (const Stopwatch all; all.seconds() < measuring_seconds();) {
    const Pass pass = verify(**store);
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
  row.budget = payload >= 4096 ? 0.7 : 0.4;
  row.higher_is_better = true;
  row.note =
      std::to_string(static_cast<uint64_t>(static_cast<double>(best.records) / best.seconds)) +
      " records/s";
  return row;
}

std::vector<Row> verify_store() { return {verify_row(100'000, 256), verify_row(20'000, 4096)}; }

}  // namespace

std::vector<Benchmark> audit_benchmarks() {
  return {{"A1", "audit: verification of a whole store", verify_store}};
}

}  // namespace palyra::bench
