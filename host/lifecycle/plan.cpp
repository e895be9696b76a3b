// SPDX-License-Identifier: Apache-2.0
#include "host/lifecycle/plan.h"

#include <algorithm>

namespace palyra::host {
namespace {

class Planner {
 public:
  Planner(const std::vector<PlanNode>& nodes, const std::map<std::string, std::string>& bindings,
          const std::set<std::string>& hub)
      : nodes_(nodes), bindings_(bindings), hub_(hub) {}

  Plan run() {
    // Who is rejected may be what another one needs: repeat until nothing changes.
    do {
      reject_missing();
    } while (!sort());
    return std::move(plan_);
  }

 private:
  bool alive(const PlanNode& node) const { return plan_.rejected.count(node.name) == 0; }

  static bool has(const PlanNode& node, const std::string& service) {
    return std::find(node.provides.begin(), node.provides.end(), service) != node.provides.end();
  }

  // Indexes of the living instances that answer for `service`, except `self`.
  std::vector<size_t> providers(const std::string& service, size_t self) const {
    std::vector<size_t> out;
    const auto bound = bindings_.find(service);
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (i == self || !alive(nodes_[i]) || !has(nodes_[i], service)) continue;
      if (bound != bindings_.end() && bound->second != nodes_[i].name) continue;
      out.push_back(i);
    }
    return out;
  }

  void reject_missing() {
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t i = 0; i < nodes_.size(); ++i) {
        if (!alive(nodes_[i])) continue;
        for (const auto& need : nodes_[i].needs) {
          if (need.optional || hub_.count(need.id) != 0 || has(nodes_[i], need.id) ||
              !providers(need.id, i).empty()) {
            continue;
          }
          plan_.rejected[nodes_[i].name] = missing(need.id);
          changed = true;
          break;
        }
      }
    }
  }

  std::string missing(const std::string& service) const {
    std::string unfit;
    for (const auto& node : nodes_) {
      if (has(node, service) && !alive(node)) {
        unfit += (unfit.empty() ? "" : ", ") + node.name;
      }
    }
    if (!unfit.empty()) {
      return "needs " + service + ", and what provides it cannot start: " + unfit;
    }
    const auto bound = bindings_.find(service);
    if (bound != bindings_.end()) {
      return "needs " + service + ", which [services] binds to '" + bound->second +
             "', and that instance cannot provide it";
    }
    return "needs " + service +
           ", which no enabled plugin provides; add an instance that does under [plugins]";
  }

  // For each instance those that must start before it.
  std::vector<std::set<size_t>> edges(bool with_optional) const {
    std::vector<std::set<size_t>> before(nodes_.size());
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (!alive(nodes_[i])) continue;
      for (const auto& need : nodes_[i].needs) {
        if ((need.optional && !with_optional) || hub_.count(need.id) != 0) continue;
        for (const size_t provider : providers(need.id, i)) before[i].insert(provider);
      }
    }
    return before;
  }

  // Appends what can be ordered to plan_.order. What is left waits for itself: if dropping optional
  // needs does not help, the instances of the cycle are rejected and false is returned.
  bool sort() {
    plan_.order.clear();
    std::set<size_t> waiting;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (alive(nodes_[i])) waiting.insert(i);
    }
    const auto all = edges(true);
    const auto needed = edges(false);
    const auto ready = [&waiting](const std::set<size_t>& before) {
      return std::none_of(before.begin(), before.end(),
                          [&](size_t i) { return waiting.count(i) != 0; });
    };
    while (!waiting.empty()) {
      auto next =
          std::find_if(waiting.begin(), waiting.end(), [&](size_t i) { return ready(all[i]); });
      if (next == waiting.end()) {
        next = std::find_if(waiting.begin(), waiting.end(),
                            [&](size_t i) { return ready(needed[i]); });
      }
      if (next == waiting.end()) {
        reject_cycle(waiting, needed);
        return false;
      }
      plan_.order.push_back(nodes_[*next].name);
      waiting.erase(next);
    }
    return true;
  }

  // Every one of `waiting` waits for another of them: follow until one comes twice.
  void reject_cycle(const std::set<size_t>& waiting, const std::vector<std::set<size_t>>& before) {
    std::vector<size_t> path;
    size_t at = *waiting.begin();
    while (std::find(path.begin(), path.end(), at) == path.end()) {
      path.push_back(at);
      at = *std::find_if(before[at].begin(), before[at].end(),
                         [&](size_t i) { return waiting.count(i) != 0; });
    }
    path.erase(path.begin(), std::find(path.begin(), path.end(), at));
    std::string names;
    for (const size_t i : path) names += nodes_[i].name + " -> ";
    names += nodes_[path.front()].name;
    for (const size_t i : path) {
      plan_.rejected[nodes_[i].name] = "is part of a cycle of needs: " + names;
    }
  }

  const std::vector<PlanNode>& nodes_;
  const std::map<std::string, std::string>& bindings_;
  const std::set<std::string>& hub_;
  Plan plan_;
};

}  // namespace

Plan make_plan(const std::vector<PlanNode>& nodes,
               const std::map<std::string, std::string>& bindings,
               const std::set<std::string>& hub) {
  return Planner(nodes, bindings, hub).run();
}

}  // namespace palyra::host
