// palyra-bench: every budget beside its limit, measured in the same run. JSON lines on standard
// output with --json, a table otherwise. Nothing fails on a slow machine; a missed budget is said.
#include "bench/row.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sys/utsname.h>
#include <thread>
#include <unistd.h>

namespace palyra::bench {

namespace {

double seconds_per_measurement = 3;
uint64_t runs_of_soak = 100'000;

std::string machine() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  std::string model = "unknown processor";
  while (std::getline(file, line)) {
    if (line.rfind("model name", 0) == 0) {
      model = line.substr(line.find(':') + 2);
      break;
    }
  }
  utsname system{};
  uname(&system);
  return model + ", " + std::to_string(std::thread::hardware_concurrency()) + " cores, Linux " +
         system.release;
}

void print_json(const Row& row) {
  nlohmann::ordered_json json = {
      {"id", row.id},         {"name", row.name},     {"value", row.value},
      {"unit", row.unit},     {"limit", row.limit},   {"limit_name", row.limit_name},
      {"ratio", row.ratio()}, {"budget", row.budget}, {"met", row.met()}};
  if (row.samples.count() > 0) {
    json["p50"] = row.samples.at(0.5);
    json["p99"] = row.samples.at(0.99);
    json["p99.9"] = row.samples.at(0.999);
    json["samples"] = row.samples.count();
  }
  if (!row.note.empty()) json["note"] = row.note;
  json["machine"] = machine();
  std::printf("%s\n", json.dump().c_str());
  std::fflush(stdout);
}

void print_row(const Row& row) {
  char ratio[64] = "";
  if (row.limit > 0) {
    std::snprintf(ratio, sizeof ratio, "%.4g %s (%s), ratio %.2f", row.limit, row.unit.c_str(),
                  row.limit_name.c_str(), row.ratio());
  }
  std::printf("%-4s %-58s %10.4g %-9s %-7s %s%.4g  %s\n", row.id.c_str(), row.name.c_str(),
              row.value, row.unit.c_str(), row.met() ? "met" : "MISSED",
              row.higher_is_better ? ">= " : "<= ", row.budget, ratio);
  if (row.samples.count() > 0) {
    std::printf("     p50 %.4g  p99 %.4g  p99.9 %.4g  (%zu samples)\n", row.samples.at(0.5),
                row.samples.at(0.99), row.samples.at(0.999), row.samples.count());
  }
  if (!row.note.empty()) std::printf("     %s\n", row.note.c_str());
  std::fflush(stdout);
}

std::vector<Benchmark> all_benchmarks() {
  std::vector<Benchmark> all;
  for (auto group : {journal_benchmarks, stream_benchmarks, start_benchmarks, call_benchmarks,
                     growth_benchmarks, soak_benchmarks, audit_benchmarks}) {
    for (auto& benchmark : group()) all.push_back(std::move(benchmark));
  }
  std::stable_sort(all.begin(), all.end(), [](const Benchmark& a, const Benchmark& b) {
    return std::atoi(a.id.c_str() + 1) < std::atoi(b.id.c_str() + 1);
  });
  return all;
}

}  // namespace

double Samples::at(double quantile) const {
  if (values_.empty()) return 0;
  if (!sorted_) std::sort(values_.begin(), values_.end());
  sorted_ = true;
  const auto index = static_cast<size_t>(quantile * static_cast<double>(values_.size() - 1) + 0.5);
  return values_[index];
}

double measuring_seconds() { return seconds_per_measurement; }
uint64_t soak_runs() { return runs_of_soak; }

int main(int argc, char** argv) {
  CLI::App app("Measures Palyra's budgets, each beside its limit.");
  app.name("palyra-bench");
  bool list = false;
  bool json = false;
  std::vector<std::string> wanted;
  app.add_flag("--list", list, "name the rows");
  app.add_flag("--json", json, "JSON lines instead of a table");
  app.add_option("--seconds", seconds_per_measurement, "of each measurement")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  app.add_option("--runs", runs_of_soak, "of the soak, P13")
      ->check(CLI::Range(1'000, 100'000'000))
      ->capture_default_str();
  app.add_option("rows", wanted, "such as P1 P3; all without");
  CLI11_PARSE(app, argc, argv);

  const auto benchmarks = all_benchmarks();
  if (list) {
    for (const auto& benchmark : benchmarks) {
      std::printf("%-4s %s\n", benchmark.id.c_str(), benchmark.what.c_str());
    }
    return 0;
  }
  const std::set<std::string> chosen(wanted.begin(), wanted.end());
  for (const std::string& id : chosen) {
    if (std::none_of(benchmarks.begin(), benchmarks.end(),
                     [&](const Benchmark& benchmark) { return benchmark.id == id; })) {
      std::fprintf(stderr, "palyra-bench: no row %s; see --list\n", id.c_str());
      return 64;
    }
  }
  // The harness finds the daemon beside this program.
  const auto program = std::filesystem::read_symlink("/proc/self/exe");
  setenv("PALYRA_BUILD_DIR", program.parent_path().parent_path().c_str(), 1);
  if (!json) std::printf("%s\n", machine().c_str());
  for (const auto& benchmark : benchmarks) {
    if (!chosen.empty() && chosen.count(benchmark.id) == 0) continue;
    if (isatty(2)) std::fprintf(stderr, "%s ...\r", benchmark.id.c_str());
    for (const Row& row : benchmark.run()) json ? print_json(row) : print_row(row);
  }
  return 0;
}

}  // namespace palyra::bench

int main(int argc, char** argv) { return palyra::bench::main(argc, argv); }
