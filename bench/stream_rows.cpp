// P3, P4, P5: the way of a run through the real daemon.
#include "bench/clock.h"
#include "bench/limits.h"
#include "bench/row.h"
#include "bench/run_client.h"

#include <functional>
#include <stdexcept>

namespace palyra::bench {

namespace {

namespace api = palyra::gateway::v1;
using Stream = grpc::ClientReaderWriter<api::RunStreamRequest, api::RunStreamEvent>;

constexpr double kMicro = 1e6;

api::RunStreamRequest start_request(const std::string& text, const std::string& session = "") {
  api::RunStreamRequest request;
  request.mutable_start()->set_text(text);
  request.mutable_start()->set_session_id(session);
  return request;
}

Samples first_token_seconds(e2e::Daemon& daemon, double seconds) {
  auto stub = daemon.gateway();
  Samples samples;
  const Stopwatch all;
  for (int i = 0; all.seconds() < seconds; ++i) {
    grpc::ClientContext context;
    daemon.authenticate(context);
    const Stopwatch one;
    auto stream = stub->RunStream(&context);
    stream->Write(start_request("hello"));
    api::RunStreamEvent event;
    bool seen = false;
    while (stream->Read(&event)) {
      if (!seen && event.has_model_delta()) {
        seen = true;
        if (i >= 20) samples.add(one.seconds());
      }
    }
    const auto status = stream->Finish();
    if (!status.ok() || !seen) throw std::runtime_error("a run failed: " + status.error_message());
  }
  return samples;
}

std::vector<Row> first_token() {
  e2e::Daemon daemon(unhindered());
  start(daemon);
  const Samples sync = fdatasync_seconds(daemon.directory(), measuring_seconds() / 2);
  Samples ping;
  {
    EchoServer echo;
    ping = ping_pong_seconds(echo.endpoint(), measuring_seconds() / 2);
  }
  const Samples run = first_token_seconds(daemon, measuring_seconds());
  std::vector<Row> rows;
  for (const double quantile : {0.5, 0.99}) {
    Row row;
    row.id = "P3";
    row.name =
        std::string("RunStream: time to first model token, ") + (quantile < 0.9 ? "p50" : "p99");
    row.value = run.at(quantile) * kMicro;
    row.unit = "us";
    row.limit = (ping.at(quantile) + sync.at(quantile)) * kMicro;
    row.limit_name = "gRPC bidi ping-pong + one fdatasync";
    row.budget = 1.5;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<Row> token_forwarding() {
  auto options = unhindered();
  // A turn of many deltas, each a token.
  options.embedded = "context_window = 1000000\n";
  e2e::Daemon daemon(options);
  start(daemon);
  double limit = 0;
  {
    EchoServer echo;
    limit = echo_rate(echo.endpoint(), measuring_seconds());
  }
  // A turn's text is at most 1 MiB, so the stream is many runs; the time between them does not
  // count.
  constexpr uint64_t kDeltas = 15000;
  auto stub = daemon.gateway();
  uint64_t bytes = 0;
  uint64_t messages = 0;
  double seconds = 0;
  for (const Stopwatch all; all.seconds() < measuring_seconds();) {
    grpc::ClientContext context;
    daemon.authenticate(context);
    auto stream = stub->RunStream(&context);
    stream->Write(start_request("/deltas " + std::to_string(kDeltas) + " 64"));
    api::RunStreamEvent event;
    Stopwatch watch;
    uint64_t run_bytes = 0;
    double run_seconds = 0;
    while (stream->Read(&event)) {
      if (!event.has_model_delta()) continue;
      if (run_bytes == 0) watch = Stopwatch();
      run_bytes += event.model_delta().text().size();
      run_seconds = watch.seconds();
      ++messages;
    }
    const auto status = stream->Finish();
    if (!status.ok() || run_bytes != kDeltas * 64) {
      throw std::runtime_error("a run failed: " + status.error_message());
    }
    bytes += run_bytes;
    seconds += run_seconds;
  }
  Row row;
  row.id = "P4";
  row.name = "token forwarding: 64 B deltas through the gateway to one client";
  row.value = static_cast<double>(bytes) / 64 / seconds;
  row.unit = "deltas/s";
  row.limit = limit;
  row.limit_name = "gRPC bidi echo stream";
  row.budget = 0.5;
  row.higher_is_better = true;
  row.note = std::to_string(messages) + " messages carried " + std::to_string(bytes / 64) +
             " deltas: what waits behind a write is merged";
  return {std::move(row)};
}

Row runs_per_second(const std::string& name, uint64_t runs_per_session, double sync_mean) {
  constexpr int kSessions = 64;
  e2e::Daemon daemon(unhindered());
  start(daemon);
  const std::string daemon_process = std::to_string(daemon.pid());
  const double daemon_before = processor_seconds(daemon_process);
  const double client_before = processor_seconds("self");
  const Stopwatch watch;
  const std::function<bool(uint64_t)> another = [&](uint64_t) {
    return watch.seconds() < measuring_seconds();
  };
  const uint64_t runs = run_many(daemon, kSessions, "/deltas 20 64", runs_per_session, another);
  const double seconds = watch.seconds();
  const auto per_run = [runs](double before, double after) {
    return std::to_string(static_cast<int>((after - before) / static_cast<double>(runs) * kMicro));
  };
  Row row;
  row.id = "P5";
  row.name = name;
  row.value = static_cast<double>(runs) / seconds;
  row.unit = "runs/s";
  row.limit = 1 / (3 * sync_mean);
  row.limit_name = "3 fdatasyncs a run without grouping";
  row.budget = 3;
  row.higher_is_better = true;
  row.note = "processor time a run: daemon " +
             per_run(daemon_before, processor_seconds(daemon_process)) + " us, client " +
             per_run(client_before, processor_seconds("self")) + " us";
  return row;
}

std::vector<Row> durable_runs() {
  double sync_mean = 0;
  {
    e2e::Daemon daemon(unhindered());
    start(daemon);
    const Samples sync = fdatasync_seconds(daemon.directory(), measuring_seconds() / 2);
    for (double q = 0; q <= 1.0; q += 0.001) sync_mean += sync.at(q) / 1001;
  }
  // A session that goes on for ever has a full window, and summaries are written: more model turns
  // than one. The first row is of runs as the budget means them.
  return {runs_per_second("complete durable runs (start, 1 turn of 20 deltas, finish), 64 at once",
                          10, sync_mean),
          runs_per_second("the same in 64 sessions without end, summaries of old turns included", 0,
                          sync_mean)};
}

}  // namespace

std::vector<Benchmark> stream_benchmarks() {
  return {{"P3", "RunStream: time to first model token", first_token},
          {"P4", "token forwarding: deltas a second to one client", token_forwarding},
          {"P5", "complete durable runs a second, 64 sessions at once", durable_runs}};
}

}  // namespace palyra::bench
