// SPDX-License-Identifier: Apache-2.0
#include "host/lifecycle/blueprint.h"

#include "host/config/edit_distance.h"
#include "host/config/effective.h"
#include "host/lifecycle/plan.h"
#include "palyra/registry.h"

#include <algorithm>
#include <set>

namespace palyra::host {
namespace {

// Services of the hub: there before any instance starts, so they order nothing.
std::set<std::string> hub_services(const Candidate* hub) {
  std::set<std::string> services = {"palyra.registry/1", "palyra.inbound/1", "palyra.runs/1",
                                    "palyra.egress/1",   "palyra.policy/1",  "palyra.vault/1"};
  if (hub != nullptr) {
    services.insert(hub->plugin.manifest.provides.begin(), hub->plugin.manifest.provides.end());
  }
  return services;
}

std::string joined(const std::vector<std::filesystem::path>& paths) {
  std::string text;
  for (const auto& path : paths) text += (text.empty() ? "" : ", ") + path.string();
  return text;
}

void find_plugin(const Settings& settings, const Catalogue& catalogue, Candidate& candidate) {
  const auto& wanted = candidate.settings;
  if (!wanted.path.empty()) {
    auto found = inspect(wanted.path);
    if (!found) {
      candidate.faults.push_back(found.status().message());
    } else if (found->manifest.id != wanted.use) {
      candidate.faults.push_back(wanted.path.string() + " is " + found->manifest.id +
                                 ", but use = \"" + wanted.use + '"');
    } else {
      candidate.plugin = std::move(*found);
      candidate.found = true;
    }
    return;
  }
  const FoundPlugin* found = catalogue.find(wanted.use);
  if (found == nullptr) {
    if (const auto refused = catalogue.refused.find(wanted.use);
        refused != catalogue.refused.end()) {
      candidate.faults.push_back(refused->second);
      return;
    }
    candidate.faults.push_back("no plugin " + wanted.use + " was found in " +
                               joined(settings.plugin_path) +
                               suggestion(wanted.use, catalogue.ids()));
    return;
  }
  candidate.plugin = *found;
  candidate.found = true;
}

// Child processes for plugins are not part of this host: what may only run in one is refused, and
// what would by default needs the operator's word.
void check_isolation(Candidate& candidate) {
  const Manifest& manifest = candidate.plugin.manifest;
  const std::string table = "[plugins." + candidate.settings.name + "]";
  const std::string& isolation = candidate.settings.isolation;
  if (manifest.isolation == "process") {
    candidate.faults.push_back(manifest.id +
                               " runs only in a child process of its own, which this "
                               "version of palyrad does not offer; remove " +
                               table);
  } else if (isolation == "process") {
    candidate.faults.push_back(
        "isolation = \"process\" is not offered by this version of palyrad; write isolation = "
        "\"in_process\" in " +
        table + " to run the plugin inside the daemon, with all its rights");
  } else if (isolation.empty() && !manifest.first_party()) {
    candidate.faults.push_back(
        manifest.id +
        " is a third-party plugin and would run in a child process of its own, which "
        "this version of palyrad does not offer; if you trust it, write isolation = \"in_process\" "
        "in " +
        table + " to run it inside the daemon, with all its rights");
  }
}

void configure(const Document& document, Candidate& candidate) {
  const Manifest& manifest = candidate.plugin.manifest;
  auto config =
      effective_config(document, candidate.settings.name, manifest.section, manifest.config);
  for (const auto& problem : config.problems) candidate.faults.push_back(problem.to_string());
  candidate.config = config.value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  candidate.shown = std::move(config.shown);
}

void choose_hub(const Settings& settings, Blueprint& blueprint) {
  const auto bound = settings.services.find(PALYRA_REGISTRY);
  for (auto& candidate : blueprint.candidates) {
    if (!candidate.settings.enabled || !candidate.found) continue;
    if (!candidate.plugin.manifest.offers(PALYRA_REGISTRY)) continue;
    const std::string& name = candidate.settings.name;
    const bool chosen =
        bound != settings.services.end() ? bound->second == name : blueprint.hub.empty();
    if (chosen) {
      blueprint.hub = name;
    } else {
      candidate.faults.push_back(
          "provides palyra.registry/1, and so does another enabled instance; only one may: disable "
          "one of them or bind palyra.registry/1 in [services]");
    }
  }
}

void check_bindings(const Document& document, const Settings& settings, Blueprint& blueprint) {
  for (const auto& [service, instance] : settings.services) {
    const Candidate* candidate = blueprint.find(instance);
    if (candidate == nullptr || !candidate->found) continue;
    if (candidate->plugin.manifest.offers(service)) continue;
    const std::string pointer = join_pointer("/services", service);
    blueprint.problems.push_back(document.problem(
        pointer, dotted(pointer) + ": the plugin of instance '" + instance + "' (" +
                     candidate->plugin.manifest.id + ") does not provide it" +
                     suggestion(service, candidate->plugin.manifest.provides)));
  }
}

void order_instances(const Settings& settings, Blueprint& blueprint) {
  std::vector<PlanNode> nodes;
  for (const auto& candidate : blueprint.candidates) {
    if (!candidate.may_start() || candidate.settings.name == blueprint.hub) continue;
    nodes.push_back({candidate.settings.name, candidate.plugin.manifest.provides,
                     candidate.plugin.manifest.requires_});
  }
  Plan plan = make_plan(nodes, settings.services, hub_services(blueprint.find(blueprint.hub)));
  for (auto& [name, reason] : plan.rejected) {
    blueprint.find(name)->faults.push_back(std::move(reason));
  }
  blueprint.order = std::move(plan.order);
}

}  // namespace

Candidate* Blueprint::find(const std::string& name) {
  const auto it = std::find_if(candidates.begin(), candidates.end(),
                               [&](const Candidate& c) { return c.settings.name == name; });
  return it == candidates.end() ? nullptr : &*it;
}

const Candidate* Blueprint::find(const std::string& name) const {
  return const_cast<Blueprint*>(this)->find(name);
}

Blueprint make_blueprint(const Document& document, const Settings& settings) {
  Blueprint blueprint;
  Catalogue catalogue = scan(settings.plugin_path);
  blueprint.warnings = std::move(catalogue.warnings);
  std::vector<std::string> sections = catalogue.sections();
  for (const auto& instance : settings.instances) {
    Candidate candidate;
    candidate.settings = instance;
    find_plugin(settings, catalogue, candidate);
    if (candidate.found) {
      if (!candidate.plugin.manifest.section.empty()) {
        sections.push_back(candidate.plugin.manifest.section);
      }
      check_isolation(candidate);
      configure(document, candidate);
    }
    blueprint.candidates.push_back(std::move(candidate));
  }
  check_sections(document, sections, blueprint.problems);
  check_bindings(document, settings, blueprint);
  choose_hub(settings, blueprint);
  order_instances(settings, blueprint);
  return blueprint;
}

}  // namespace palyra::host
