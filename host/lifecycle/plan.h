// SPDX-License-Identifier: Apache-2.0
// In which order instances start, and which cannot: a pure function over manifests.
#pragma once

#include "host/loader/manifest.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace palyra::host {

struct PlanNode {
  std::string name;
  std::vector<std::string> provides;
  std::vector<ServiceNeed> needs;
};

struct Plan {
  std::vector<std::string> order;               // providers before those who need them
  std::map<std::string, std::string> rejected;  // instance -> why it cannot start
};

// `bindings`: service -> the one instance that answers for it. `hub`: services that are there
// before any instance starts; needs of them are always met. Instances without an order between them
// come in the order given. A missing need that is not optional rejects, and so does a cycle that
// remains when optional needs are dropped.
Plan make_plan(const std::vector<PlanNode>& nodes,
               const std::map<std::string, std::string>& bindings,
               const std::set<std::string>& hub);

}  // namespace palyra::host
