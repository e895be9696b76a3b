// palyra-sim: histories of the gateway from seeds. Exit 0: no promise was broken, and with --expect
// that one was; 1: the first seed whose history breaks one is named; 64: usage.
#include "tests/sim/fleet.h"
#include "tests/sim/promises.h"
#include "tests/sim/shrink.h"
#include "tests/sim/sim.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

namespace {

using namespace palyra::sim;

constexpr char kUsage[] =
    "usage: palyra-sim [--seeds COUNT] [--from N] [--jobs N] [--stats] [--expect INVARIANT]\n"
    "       palyra-sim --seed N [--trace] [--shrink]\n"
    "       palyra-sim --replay FILE [--trace]\n"
    "       palyra-sim --promises FILE\n"
    "  --seeds    histories to tell (500), from seed --from (1) on, in --jobs processes (1)\n"
    "  --stats    print which records were where when a daemon went away; a gap is an error\n"
    "  --expect   the histories must break this promise; stops at the first that does\n"
    "  --seed     one history; --trace prints it\n"
    "  --shrink   make the history of a seed that breaks a promise as short as can be, print it, "
    "and\n"
    "             write its choices to palyra-sim-N.choices\n"
    "  --replay   the history of such a file\n"
    "  --promises whether docs/effects.md holds the sentences that the checks enforce\n";

struct Options {
  Campaign campaign;
  bool one = false;
  bool trace = false;
  bool stats = false;
  bool shrink = false;
  std::string expect;
  std::string replay;
  std::string promises;
};

bool parse(int argc, char** argv, Options& options) {
  const auto number = [](const char* text) { return std::strtoull(text, nullptr, 10); };
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--trace") {
      options.trace = true;
    } else if (flag == "--stats") {
      options.stats = true;
    } else if (flag == "--shrink") {
      options.shrink = true;
    } else if (i + 1 >= argc) {
      return false;
    } else if (flag == "--seeds") {
      options.campaign.seeds = number(argv[++i]);
    } else if (flag == "--from") {
      options.campaign.first = number(argv[++i]);
    } else if (flag == "--jobs") {
      options.campaign.jobs = static_cast<unsigned>(number(argv[++i]));
    } else if (flag == "--seed") {
      options.campaign.first = number(argv[++i]);
      options.one = true;
    } else if (flag == "--expect") {
      options.expect = argv[++i];
    } else if (flag == "--promises") {
      options.promises = argv[++i];
    } else if (flag == "--replay") {
      options.replay = argv[++i];
    } else {
      return false;
    }
  }
  return true;
}

int tell_one(const Outcome& outcome) {
  std::printf("%llu steps, %llu runs, %llu calls, %llu faults: ",
              static_cast<unsigned long long>(outcome.steps),
              static_cast<unsigned long long>(outcome.runs),
              static_cast<unsigned long long>(outcome.calls),
              static_cast<unsigned long long>(outcome.faults));
  if (outcome.violation.invariant.empty()) {
    std::printf("no promise broken\n");
    return 0;
  }
  std::printf("%s: %s\n", outcome.violation.invariant.c_str(), outcome.violation.what.c_str());
  const std::string promise = sentence(outcome.violation.invariant);
  if (!promise.empty()) std::printf("promised in docs/effects.md: %s\n", promise.c_str());
  return 1;
}

int make_short(uint64_t seed) {
  constexpr uint64_t kTries = 20'000;
  const Outcome whole = simulate(Dice(seed), false);
  if (whole.violation.invariant.empty()) return tell_one(whole);
  const auto choices = shrink(whole.choices, whole.violation.invariant, kTries);
  const std::string path = "palyra-sim-" + std::to_string(seed) + ".choices";
  std::printf("%zu choices of %zu are enough to break %s:\n", choices.size(), whole.choices.size(),
              whole.violation.invariant.c_str());
  const int code = tell_one(simulate(Dice(choices), true, false));
  if (write_choices(path, choices)) {
    std::printf("repeat with: palyra-sim --replay %s --trace\n", path.c_str());
  }
  return code;
}

int tell_many(const Options& options) {
  const Tally tally = tell(options.campaign);
  const auto figure = [](uint64_t n) { return static_cast<unsigned long long>(n); };
  if (!options.expect.empty()) {
    if (tally.violation.invariant == options.expect) {
      std::printf("%s: caught at seed %llu, after %llu seeds: %s\n", options.expect.c_str(),
                  figure(tally.bad_seed), figure(tally.seeds), tally.violation.what.c_str());
      return 0;
    }
    std::printf(
        "%s was expected to break within %llu seeds, and %s\n", options.expect.c_str(),
        figure(options.campaign.seeds),
        tally.violation.invariant.empty() ? "nothing did" : tally.violation.invariant.c_str());
  }
  if (!tally.violation.invariant.empty()) {
    std::printf("seed %llu: %s: %s\nrepeat with: palyra-sim --seed %llu --trace (or --shrink)\n",
                figure(tally.bad_seed), tally.violation.invariant.c_str(),
                tally.violation.what.c_str(), figure(tally.bad_seed));
    return 1;
  }
  const Outcome& sum = tally.sum;
  std::printf(
      "%llu seeds from %llu: %llu steps, %llu faults (%llu takeovers), %llu sessions, %llu runs "
      "(%llu completed), %llu calls, %llu effects, %llu unknown outcomes, no promise broken\n",
      figure(tally.seeds), figure(options.campaign.first), figure(sum.steps), figure(sum.faults),
      figure(sum.takeovers), figure(sum.sessions), figure(sum.runs), figure(sum.completed),
      figure(sum.calls), figure(sum.effects), figure(sum.unknown));
  if (!options.expect.empty()) return 1;
  if (!options.stats) return 0;
  const std::string flaws = sum.coverage.flaws();
  std::printf("%s%s", sum.coverage.table().c_str(), flaws.c_str());
  return flaws.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fputs(kUsage, stderr);
    return 64;
  }
  if (!options.promises.empty()) {
    std::ifstream in(options.promises);
    const std::string document((std::istreambuf_iterator<char>(in)), {});
    const std::string missing = missing_from(document);
    std::fputs(missing.c_str(), stdout);
    return missing.empty() ? 0 : 1;
  }
  if (!options.replay.empty()) {
    const auto choices = read_choices(options.replay);
    if (choices.empty()) {
      std::fprintf(stderr, "palyra-sim: %s holds no choices\n", options.replay.c_str());
      return 64;
    }
    return tell_one(simulate(Dice(choices), options.trace, false));
  }
  if (options.one && options.shrink) return make_short(options.campaign.first);
  if (options.one) return tell_one(simulate(Dice(options.campaign.first), options.trace));
  return tell_many(options);
}
