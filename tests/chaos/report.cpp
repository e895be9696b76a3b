#include "tests/chaos/report.h"

#include <algorithm>
#include <cstdio>

namespace palyra::chaos {
namespace {

std::string times(std::vector<double> ms) {
  if (ms.empty()) return "none";
  std::sort(ms.begin(), ms.end());
  char text[96];
  std::snprintf(text, sizeof text, "p50 %.0f ms, max %.0f ms (%zu)", ms[ms.size() / 2], ms.back(),
                ms.size());
  return text;
}

Phase phase_of(const Kill& kill, const std::map<std::string, Promise>& promises,
               const std::map<std::string, Tape>& tapes) {
  if (kill.plan.aim == Aim::kRecovery) return Phase::kRecovery;
  if (kill.plan.aim == Aim::kHistory) return Phase::kHistory;
  const auto promise = promises.find(kill.label);
  if (promise == promises.end() || promise->second.generation > kill.generation) {
    return Phase::kAdmission;
  }
  const auto tape = tapes.find(promise->second.run_id);
  if (tape == tapes.end()) return Phase::kAdmission;
  const auto phases = phases_at(tape->second, kill.wall_ns);
  if (phases.empty()) return Phase::kAdmission;
  for (const Phase phase : phases) {
    if (aim_at(phase) == kill.plan.aim) return phase;
  }
  return *phases.begin();
}

}  // namespace

PhaseCounts classify(const std::vector<Kill>& kills, const std::map<std::string, Promise>& promises,
                     const std::map<std::string, Tape>& tapes) {
  PhaseCounts counts;
  for (const Kill& kill : kills) {
    if (!kill.in_store) {
      const Phase phase = phase_of(kill, promises, tapes);
      ++counts.of(phase);
      if (is_between(phase)) ++counts.between;
    }
    for (const auto& [id, tape] : tapes) {
      for (const Phase cut : phases_at(tape, kill.wall_ns)) {
        if (cut != Phase::kFinished) ++counts.runs[static_cast<size_t>(cut)];
      }
    }
  }
  return counts;
}

StoreCounts count_store(const std::vector<Kill>& kills) {
  StoreCounts counts{};
  for (const Kill& kill : kills) {
    if (!kill.in_store || kill.plan.any_operation) continue;
    const auto at = std::find(kStorePoints.begin(), kStorePoints.end(), kill.plan.point);
    ++counts[static_cast<size_t>(at - kStorePoints.begin())];
  }
  return counts;
}

std::vector<Phase> missing(const PhaseCounts& counts) {
  std::vector<Phase> phases;
  for (const Phase phase :
       {Phase::kAdmission, Phase::kModelTurn, Phase::kToolNone, Phase::kToolKeyed,
        Phase::kToolOpaque, Phase::kToolVerifiable, Phase::kApproval, Phase::kTimer,
        Phase::kCompaction, Phase::kQueued, Phase::kFinished, Phase::kHistory, Phase::kRecovery}) {
    if (counts.at(phase) == 0) phases.push_back(phase);
  }
  return phases;
}

Aim aim_at(Phase phase) {
  switch (phase) {
    case Phase::kAdmission:
      return Aim::kAdmission;
    case Phase::kModelTurn:
      return Aim::kModelTurn;
    case Phase::kToolNone:
      return Aim::kToolNone;
    case Phase::kToolKeyed:
      return Aim::kToolKeyed;
    case Phase::kToolOpaque:
      return Aim::kToolOpaque;
    case Phase::kToolVerifiable:
      return Aim::kToolVerifiable;
    case Phase::kApproval:
      return Aim::kApproval;
    case Phase::kFinished:
      return Aim::kFinishing;
    case Phase::kRecovery:
      return Aim::kRecovery;
    case Phase::kCompaction:
      return Aim::kCompaction;
    case Phase::kHistory:
      return Aim::kHistory;
    case Phase::kTimer:
      return Aim::kRetry;
    case Phase::kQueued:
      return Aim::kQueued;
  }
  return Aim::kAnywhere;
}

std::string to_text(const Report& report) {
  std::string text;
  char line[200];
  const auto say = [&](const char* name, const std::string& what) {
    std::snprintf(line, sizeof line, "%-28s %s\n", name, what.c_str());
    text += line;
  };
  say("seed", std::to_string(report.seed));
  say("kills", std::to_string(report.kills.size()) + ", " + std::to_string(report.phases.between) +
                   " between a started record and its result");
  text += "  phase                      kills   runs cut\n";
  for (int i = 0; i < kPhases; ++i) {
    const auto phase = static_cast<Phase>(i);
    std::snprintf(line, sizeof line, "  %-24s %7d %10d\n", name_of(phase), report.phases.at(phase),
                  report.phases.runs[static_cast<size_t>(i)]);
    text += line;
  }
  uint64_t lost = 0;
  for (const Kill& kill : report.kills) lost += kill.lost;
  const StoreCounts store = count_store(report.kills);
  for (const auto& [scene, operations] : report.swept) {
    say(("operations cut, " + scene).c_str(), std::to_string(operations));
  }
  text += "  operation of the store     kills\n";
  for (size_t i = 0; i < store.size(); ++i) {
    const StorePoint& point = kStorePoints[i];
    const std::string name = std::string(name_of(point.file)) + " " + name_of(point.operation) +
                             ", " + name_of(point.cut);
    std::snprintf(line, sizeof line, "  %-24s %7d\n", name.c_str(), store[i]);
    text += line;
  }
  say("unsynced writes lost", std::to_string(lost));
  const EffectCounts& effects = report.effects;
  say("SIGTERM under load", std::to_string(report.stops));
  say("runs", std::to_string(report.runs) + ", taken up again " + std::to_string(report.resumed) +
                  " times");
  say("inputs acknowledged, present",
      std::to_string(report.promised) + ", " + std::to_string(report.present));
  const HistoryCounts& history = report.history;
  say("branches acknowledged, there",
      std::to_string(history.branches) + ", " + std::to_string(history.branches_there));
  say("rewinds acknowledged, there",
      std::to_string(history.moves) + ", " + std::to_string(history.moves_there));
  say("compactions finished, there", std::to_string(history.compactions) + ", " +
                                         std::to_string(history.compactions_there) + ", for " +
                                         std::to_string(history.covered) + " turns");
  say("turns, all on their tape",
      std::to_string(history.turns) + " in " + std::to_string(history.sessions) + " sessions");
  say("effects intended, happened",
      std::to_string(effects.intended) + ", " + std::to_string(effects.happened));
  say("keyed calls repeated", std::to_string(effects.repeated) + ", without a second effect");
  say("verifiable calls asked", std::to_string(effects.verified));
  say("opaque outcome unknown", std::to_string(effects.unknown) + ", of which happened " +
                                    std::to_string(effects.unknown_happened));
  say("chains verified", std::to_string(report.verified));
  say("start to ready", times(report.ready_ms));
  say("start to run going on", times(report.resume_ms));
  say("moments seen by clients", std::to_string(report.moments));
  say("seconds", std::to_string(static_cast<int>(report.seconds)));
  say("problems", std::to_string(report.problems.size()));
  return text;
}

}  // namespace palyra::chaos
