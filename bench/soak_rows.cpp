// P13: whether a daemon grows with the runs it has done.
#include "bench/row.h"
#include "bench/run_client.h"
#include "bench/trend.h"
#include "tests/e2e/daemon.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <vector>

namespace palyra::bench {

namespace {

constexpr int kClients = 32;
// Sessions end, so that what is kept of a session shows too.
constexpr uint64_t kRunsPerSession = 20;

struct Sample {
  double runs;
  double rss_kib;
  double fds;
};

double resident_kib(const std::string& process) {
  std::ifstream file("/proc/" + process + "/status");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("VmRSS:", 0) == 0) return std::atof(line.c_str() + 6);
  }
  return 0;
}

double open_files(const std::string& process) {
  double count = 0;
  std::error_code error;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/" + process + "/fd", error)) {
    ++count;
  }
  return count;
}

std::vector<Row> soak() {
  e2e::Daemon daemon(unhindered());
  start(daemon);
  const std::string process = std::to_string(daemon.pid());
  std::mutex mutex;
  std::vector<Sample> samples;
  const uint64_t total = soak_runs();
  // 200 samples.
  const uint64_t every = std::max<uint64_t>(total / 200, 100);
  const std::function<bool(uint64_t)> another = [&](uint64_t runs) {
    if (runs % every == 0) {
      const Sample sample{static_cast<double>(runs), resident_kib(process), open_files(process)};
      const std::lock_guard lock(mutex);
      samples.push_back(sample);
    }
    return runs < total;
  };
  run_many(daemon, kClients, "/deltas 5 64", kRunsPerSession, another);
  const double first_kib = samples.empty() ? 0 : samples.front().rss_kib;
  const double last_kib = samples.empty() ? 0 : samples.back().rss_kib;
  // Caches fill first.
  std::erase_if(samples, [&](const Sample& sample) {
    return sample.runs < 0.5 * static_cast<double>(total);
  });
  const auto row = [&](std::string name, double Sample::*y, std::string unit) {
    std::vector<double> runs;
    std::vector<double> values;
    for (const Sample& sample : samples) {
      runs.push_back(sample.runs / 1000);
      values.push_back(sample.*y);
    }
    const Trend trend = trend_of(runs, values);
    Row out;
    out.id = "P13";
    out.name = std::move(name);
    out.value = trend.slope;
    out.unit = std::move(unit);
    // A series that tells nothing of its noise must not hide growth in it.
    out.budget = trend.tells() ? trend.noise : 0;
    out.note = "least squares over the second half of " + std::to_string(total) +
               " runs; the budget is what noise like theirs makes; " +
               std::to_string(samples.size()) + " samples that tell as much as " +
               std::to_string(static_cast<int>(trend.effective_samples)) + " independent ones" +
               (trend.tells() ? "" : ", too few to tell noise from growth: take more --runs");
    return out;
  };
  std::vector<Row> rows = {
      row("soak: growth of resident memory in 1,000 runs", &Sample::rss_kib, "KiB"),
      row("soak: growth of open files in 1,000 runs", &Sample::fds, "files")};
  rows[0].note += "; resident " + std::to_string(static_cast<int>(first_kib / 1024)) +
                  " MiB at first, " + std::to_string(static_cast<int>(last_kib / 1024)) +
                  " MiB at the end";
  return rows;
}

}  // namespace

std::vector<Benchmark> soak_benchmarks() {
  return {{"P13", "soak: growth of memory and open files with the runs done", soak}};
}

}  // namespace palyra::bench
