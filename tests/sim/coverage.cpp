#include "tests/sim/coverage.h"

#include "palyra/tape/v1/run.pb.h"
#include "palyra/tape/v1/session.pb.h"

#include <cstdio>
#include <map>
#include <vector>

namespace palyra::sim {
namespace {

namespace tape = palyra::tape::v1;

constexpr int kSessionRows = 100;
constexpr const char* kHeadings[kPoints] = {"lost",       "untold",  "newest",
                                            "taken over", "running", "happened"};

// What cannot be, and why; found to be after all, it fails the run. Or what is so seldom that it
// may be missing.
struct Exempt {
  const char* type;
  std::vector<Point> points;
  const char* why;
  bool seldom = false;
};
const std::vector<Exempt>& exempt() {
  static const std::vector<Point> newest = {Point::kNewest, Point::kTakenOver};
  static const char* const kMore = "what follows from it is in its commit";
  static const char* const kJoin = "only if a message joins the run at that moment";
  static const std::vector<Exempt> entries = {
      {"run_started", newest, kMore},
      {"run_resumed", newest, kMore},
      {"context_started", newest, kMore},
      {"context_gathered", newest, kMore},
      {"policy_started", newest, kMore},
      {"answer_rejected", newest, kMore},
      {"model_turn_interrupted", newest, kJoin, true},
      {"model_turn_failed", newest, kJoin, true},
      {"model_turn_finished", newest, kJoin, true},
      {"timer_fired", newest, kJoin, true},
      {"compaction_failed", newest, kJoin, true},
      {"tool_call_verified", newest, kJoin, true},
  };
  return entries;
}

std::vector<std::pair<std::string, int>> rows() {
  std::vector<std::pair<std::string, int>> out;
  const auto* run = tape::RunEvent::descriptor();
  for (int i = 0; i < run->field_count(); ++i) {
    out.emplace_back(run->field(i)->name(), run->field(i)->number());
  }
  const auto* session = tape::SessionEvent::descriptor();
  for (int i = 0; i < session->field_count(); ++i) {
    out.emplace_back(session->field(i)->name(), kSessionRows + session->field(i)->number());
  }
  return out;
}

bool starts_effect(const std::string& type, Point point) {
  if (point == Point::kHappened) return type == "tool_call_started";
  return type == "tool_call_started" || type == "model_turn_started" ||
         type == "compaction_started";
}

// Null if the cell must be counted.
const Exempt* exempt(const std::string& type, Point point) {
  static const Exempt nothing = {"", {}, "it starts nothing outside"};
  if (point >= Point::kRunning && !starts_effect(type, point)) return &nothing;
  for (const auto& entry : exempt()) {
    if (type != entry.type) continue;
    for (const Point one : entry.points) {
      if (one == point) return &entry;
    }
  }
  return nullptr;
}

}  // namespace

int Coverage::row(std::string_view type) {
  static const std::map<std::string, int, std::less<>> known = [] {
    std::map<std::string, int, std::less<>> out;
    for (const auto& [name, number] : rows()) out.emplace(name, number);
    return out;
  }();
  const auto found = known.find(type);
  return found == known.end() ? -1 : found->second;
}

void Coverage::add(const Coverage& other) {
  for (size_t row = 0; row < kRows; ++row) {
    for (size_t point = 0; point < kPoints; ++point) {
      counts_[row][point] += other.counts_[row][point];
    }
  }
}

std::string Coverage::table() const {
  char line[160];
  std::snprintf(line, sizeof line, "%-24s", "record");
  std::string out = line;
  for (const char* heading : kHeadings) {
    std::snprintf(line, sizeof line, "%12s", heading);
    out += line;
  }
  out += '\n';
  for (const auto& [name, row] : rows()) {
    std::snprintf(line, sizeof line, "%-24s", name.c_str());
    out += line;
    for (size_t point = 0; point < kPoints; ++point) {
      const uint64_t count = counts_[static_cast<size_t>(row)][point];
      if (count == 0 && exempt(name, static_cast<Point>(point)) != nullptr) {
        std::snprintf(line, sizeof line, "%12s", "-");
      } else {
        std::snprintf(line, sizeof line, "%12llu", static_cast<unsigned long long>(count));
      }
      out += line;
    }
    out += '\n';
  }
  return out;
}

std::string Coverage::flaws() const {
  std::string out;
  for (const auto& [name, row] : rows()) {
    for (size_t point = 0; point < kPoints; ++point) {
      const uint64_t count = counts_[static_cast<size_t>(row)][point];
      const Exempt* why = exempt(name, static_cast<Point>(point));
      if (count == 0 && why == nullptr) {
        out += name + " was never " + kHeadings[point] + "\n";
      } else if (count != 0 && why != nullptr && !why->seldom) {
        out += name + " was " + kHeadings[point] + ", which was thought impossible because " +
               why->why + "\n";
      }
    }
  }
  return out;
}

}  // namespace palyra::sim
