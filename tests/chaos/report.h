// What came of it, for people.
#pragma once

#include "tests/chaos/arena.h"
#include "tests/chaos/conversation.h"
#include "tests/chaos/effects.h"
#include "tests/chaos/inspect.h"

#include <array>
#include <string>
#include <vector>

namespace palyra::chaos {

struct PhaseCounts {
  std::array<int, kPhases> kills{};  // by the run that the kill was aimed at
  std::array<int, kPhases> runs{};   // all runs that were cut
  int between = 0;                   // kills between a started record and its result

  int& of(Phase phase) { return kills[static_cast<size_t>(phase)]; }
  int at(Phase phase) const { return kills[static_cast<size_t>(phase)]; }
};

PhaseCounts classify(const std::vector<Kill>& kills, const std::map<std::string, Promise>& promises,
                     const std::map<std::string, Tape>& tapes);

// Phases that no kill has met although each must be; retry waiting and queued come by chance.
std::vector<Phase> missing(const PhaseCounts& counts);
// Where to aim for a phase.
Aim aim_at(Phase phase);

// Kills by the point of the store where they struck, in the order of kStorePoints.
using StoreCounts = std::array<int, kStorePoints.size()>;
StoreCounts count_store(const std::vector<Kill>& kills);

struct Report {
  uint64_t seed = 0;
  std::vector<Kill> kills;
  // Operations that were cut in turn, of a run and so on; empty = not asked.
  std::vector<std::pair<std::string, int64_t>> swept;
  int stops = 0;  // lives that ended by SIGTERM under load
  PhaseCounts phases;
  EffectCounts effects;
  HistoryCounts history;
  size_t promised = 0;
  size_t present = 0;
  size_t runs = 0;
  size_t resumed = 0;  // run_resumed records
  size_t verified = 0;
  uint64_t moments = 0;
  std::vector<double> ready_ms;
  std::vector<double> resume_ms;
  double seconds = 0;
  std::vector<std::string> problems;
};

std::string to_text(const Report& report);

}  // namespace palyra::chaos
