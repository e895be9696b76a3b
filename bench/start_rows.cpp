// P7, P14: how long things take to be there.
#include "bench/clock.h"
#include "bench/row.h"
#include "tests/e2e/daemon.h"

#include <fstream>
#include <stdexcept>

namespace palyra::bench {

namespace {

constexpr int kStarts = 11;

double resident_mib(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("VmRSS:", 0) == 0) return std::atof(line.c_str() + 6) / 1024;
  }
  return 0;
}

// Ready after exec, and memory then; `extra` instances of the embedded provider besides the default
// set.
void measure_start(int extra, Samples& ready_ms, Samples& rss_mib) {
  e2e::DaemonOptions options;
  for (int i = 0; i < extra; ++i) {
    options.extra += "[plugins.extra" + std::to_string(i) + "]\nuse = \"dev.palyra.embedded\"\n";
  }
  e2e::Daemon daemon(options);
  for (int i = 0; i < kStarts; ++i) {
    const Stopwatch watch;
    if (!daemon.start()) throw std::runtime_error("the daemon did not start:\n" + daemon.log());
    // The first start makes the store.
    if (i > 0) ready_ms.add(watch.seconds() * 1e3);
    rss_mib.add(resident_mib(daemon.pid()));
    daemon.stop();
  }
}

Row absolute(std::string id, std::string name, Samples samples, std::string unit, double budget) {
  Row row;
  row.id = std::move(id);
  row.name = std::move(name);
  row.value = samples.at(0.5);
  row.unit = std::move(unit);
  row.budget = budget;
  row.samples = std::move(samples);
  return row;
}

std::vector<Row> ready() {
  Samples few_ms;
  Samples few_mib;
  measure_start(0, few_ms, few_mib);
  Samples many_ms;
  Samples many_mib;
  measure_start(46, many_ms, many_mib);
  return {absolute("P7", "ready after exec, default plugins", few_ms, "ms", 100),
          absolute("P7", "ready after exec, 50 plugin instances", many_ms, "ms", 150),
          absolute("P7", "resident when ready, default plugins", few_mib, "MiB", 40)};
}

std::vector<Row> command_line() {
  const std::string palyra = e2e::build_dir() + "/bin/palyra";
  Samples version_ms;
  for (int i = 0; i < 21; ++i) {
    const Stopwatch watch;
    if (e2e::run_program({palyra, "--version"}).exit_code != 0) {
      throw std::runtime_error("palyra --version failed");
    }
    version_ms.add(watch.seconds() * 1e3);
  }
  e2e::Daemon daemon;
  if (!daemon.start()) throw std::runtime_error("the daemon did not start:\n" + daemon.log());
  Samples run_ms;
  for (int i = 0; i < 21; ++i) {
    const Stopwatch watch;
    const auto finished = daemon.cli({"run", "hello"});
    if (finished.exit_code != 0) throw std::runtime_error("palyra run failed: " + finished.err);
    run_ms.add(watch.seconds() * 1e3);
  }
  return {absolute("P14", "palyra --version", version_ms, "ms", 20),
          absolute("P14", "palyra run, cold", run_ms, "ms", 60)};
}

}  // namespace

std::vector<Benchmark> start_benchmarks() {
  return {{"P7", "ready after exec, and memory then", ready},
          {"P14", "palyra --version, palyra run", command_line}};
}

}  // namespace palyra::bench
