#include "tests/sim/fleet.h"

#include "tests/sim/invariants.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace palyra::sim {
namespace {

// A share is handed out in pieces, so that a slow history does not hold up a process's others and
// the lowest bad seed is found early.
constexpr uint64_t kStride = 1;

// A history takes milliseconds; one that takes this long has a step that does not end.
constexpr unsigned kLongestSeconds = 120;
char endless[96];

void watch_over(uint64_t seed) {
  std::snprintf(endless, sizeof endless,
                "seed %llu: a step does not end; see: --seed %llu --trace\n",
                static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
  std::signal(SIGALRM, [](int) {
    static_cast<void>(!write(STDERR_FILENO, endless, std::strlen(endless)));
    _exit(1);
  });
  alarm(kLongestSeconds);
}

void add(Outcome& sum, const Outcome& one) {
  sum.steps += one.steps;
  sum.faults += one.faults;
  sum.takeovers += one.takeovers;
  sum.sessions += one.sessions;
  sum.runs += one.runs;
  sum.completed += one.completed;
  sum.calls += one.calls;
  sum.effects += one.effects;
  sum.unknown += one.unknown;
  sum.coverage.add(one.coverage);
}

Tally tell_share(const Campaign& campaign, uint64_t share, uint64_t shares) {
  Tally tally;
  for (uint64_t i = share * kStride; i < campaign.seeds; i += shares * kStride) {
    const uint64_t seed = campaign.first + i;
    watch_over(seed);
    const Outcome outcome = simulate(Dice(seed), false);
    ++tally.seeds;
    tally.violation = outcome.violation;
    if (tally.violation.invariant.empty() && i % 50 == 0 &&
        simulate(Dice(seed), false).digest != outcome.digest) {
      tally.violation = {kSameSeed, "the same seed gave another history"};
    }
    if (!tally.violation.invariant.empty()) {
      tally.bad_seed = seed;
      break;
    }
    add(tally.sum, outcome);
  }
  alarm(0);
  return tally;
}

// What a child tells its parent: figures as they are in memory, then the words.
struct Report {
  uint64_t seeds = 0;
  uint64_t bad_seed = 0;
  uint64_t figures[9] = {};
  Coverage coverage;
  char invariant[64] = {};
  char what[512] = {};
};

void put(Report& report, const Tally& tally) {
  const Outcome& sum = tally.sum;
  report.seeds = tally.seeds;
  report.bad_seed = tally.bad_seed;
  const uint64_t figures[9] = {sum.steps,     sum.faults, sum.takeovers, sum.sessions, sum.runs,
                               sum.completed, sum.calls,  sum.effects,   sum.unknown};
  std::memcpy(report.figures, figures, sizeof figures);
  report.coverage = sum.coverage;
  std::snprintf(report.invariant, sizeof report.invariant, "%s", tally.violation.invariant.c_str());
  std::snprintf(report.what, sizeof report.what, "%s", tally.violation.what.c_str());
}

void take(Tally& tally, const Report& report) {
  tally.seeds += report.seeds;
  Outcome& sum = tally.sum;
  uint64_t* figures[9] = {&sum.steps,     &sum.faults, &sum.takeovers, &sum.sessions, &sum.runs,
                          &sum.completed, &sum.calls,  &sum.effects,   &sum.unknown};
  for (size_t i = 0; i < 9; ++i) *figures[i] += report.figures[i];
  sum.coverage.add(report.coverage);
  if (report.bad_seed == 0 || (tally.bad_seed != 0 && tally.bad_seed < report.bad_seed)) return;
  tally.bad_seed = report.bad_seed;
  tally.violation = {report.invariant, report.what};
}

}  // namespace

Tally tell(const Campaign& campaign) {
  if (campaign.jobs <= 1) return tell_share(campaign, 0, 1);
  struct Child {
    pid_t pid;
    int pipe;
  };
  std::vector<Child> children;
  for (unsigned job = 0; job < campaign.jobs; ++job) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    const pid_t pid = fork();
    if (pid < 0) std::abort();
    if (pid == 0) {
      close(ends[0]);
      Report report;
      put(report, tell_share(campaign, job, campaign.jobs));
      const bool sent = write(ends[1], &report, sizeof report) == sizeof report;
      _exit(sent ? 0 : 1);
    }
    close(ends[1]);
    children.push_back({pid, ends[0]});
  }
  Tally tally;
  for (const Child& child : children) {
    Report report;
    size_t have = 0;
    while (have < sizeof report) {
      const ssize_t got =
          read(child.pipe, reinterpret_cast<char*>(&report) + have, sizeof report - have);
      if (got <= 0) break;
      have += static_cast<size_t>(got);
    }
    close(child.pipe);
    int status = 0;
    waitpid(child.pid, &status, 0);
    if (have == sizeof report) {
      take(tally, report);
    } else if (tally.bad_seed == 0) {
      tally.bad_seed = campaign.first;
      tally.violation = {"crash", "a process died; repeat with --jobs 1"};
    }
  }
  return tally;
}

}  // namespace palyra::sim
