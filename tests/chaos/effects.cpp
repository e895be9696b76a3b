#include "tests/chaos/effects.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace palyra::chaos {
namespace {

std::vector<Effect> read_log(const std::string& path) {
  std::vector<Effect> effects;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    Effect effect;
    words >> effect.key >> effect.run_id >> effect.value;
    effects.push_back(std::move(effect));
  }
  return effects;
}

class Comparison {
 public:
  Comparison(const World& world, EffectCounts& counts) : world_(world), counts_(counts) {
    for (const Effect& effect : world.keyed) ++keyed_[effect.key];
    for (const Effect& effect : world.opaque) ++opaque_[effect.key];
  }

  void judge(const Call& call, bool over) {
    if (call.starts + call.verifies == 0) return;
    if (call.name == "test.keyed") {
      effect(call, over, keyed_);
      const auto executions = world_.executions.find(call.key);
      if (executions != world_.executions.end()) {
        counts_.repeated += std::max(0, executions->second - 1);
      }
      if (call.unknown) problem(call, "a keyed call ended as outcome_unknown");
    } else if (call.name == "test.opaque") {
      effect(call, over, opaque_);
      if (call.starts > 1) problem(call, "an opaque call was started twice");
    } else if (call.name == "fs.write") {
      file(call, over);
    }
  }

  std::vector<std::string> finish() {
    for (const auto* log : {&keyed_, &opaque_}) {
      for (const auto& [key, count] : *log) {
        if (explained_.count(key) == 0) {
          problems_.push_back("an effect with key " + key + " that no tape explains");
        }
      }
    }
    counts_.happened += static_cast<int>(world_.keyed.size() + world_.opaque.size());
    for (const auto& [path, content] : world_.files) {
      const auto wanted = files_.find(path);
      if (path.find(".palyra-") != std::string::npos) {
        problems_.push_back("a temporary file was left: " + path);
      } else if (wanted == files_.end()) {
        problems_.push_back("a file that no tape explains: " + path);
      } else if (wanted->second != content) {
        problems_.push_back("the file " + path + " is not as written");
      } else {
        ++counts_.happened;
      }
    }
    for (const auto& [path, content] : files_) {
      if (world_.files.count(path) == 0) problems_.push_back("the file " + path + " is missing");
    }
    return std::move(problems_);
  }

 private:
  void problem(const Call& call, const std::string& what) {
    problems_.push_back("run " + call.run_id + ", " + call.name + " " +
                        call.arguments.substr(0, 100) + " (key " + call.key + "): " + what);
  }

  void effect(const Call& call, bool over, const std::map<std::string, int>& log) {
    explained_.insert(call.key);
    ++counts_.intended;
    const auto found = log.find(call.key);
    const int happened = found == log.end() ? 0 : found->second;
    if (happened > 1) problem(call, std::to_string(happened) + " effects");
    if (call.finished && !call.failed && happened == 0) problem(call, "finished without effect");
    if (over && !call.finished && !call.unknown) problem(call, "it has no result");
    if (call.failed) problem(call, "it failed: " + call.content);
    if (call.unknown) {
      ++counts_.unknown;
      counts_.unknown_happened += happened;
    }
  }

  void file(const Call& call, bool over) {
    ++counts_.intended;
    if (call.verifies > 0) ++counts_.verified;
    const auto arguments = nlohmann::json::parse(call.arguments, nullptr, false);
    if (!arguments.is_object()) return problem(call, "arguments that are no object");
    if (call.unknown) problem(call, "a verifiable call ended as outcome_unknown: " + call.content);
    if (call.failed) problem(call, "it failed: " + call.content);
    if (over && !call.finished && !call.unknown) problem(call, "it has no result");
    if (call.finished && !call.failed) {
      files_[arguments.value("path", "")] = arguments.value("content", "");
    }
  }

  const World& world_;
  EffectCounts& counts_;
  std::map<std::string, int> keyed_;
  std::map<std::string, int> opaque_;
  std::set<std::string> explained_;
  std::map<std::string, std::string> files_;
  std::vector<std::string> problems_;
};

}  // namespace

World read_world(const std::string& effects, const std::string& workspace) {
  World world;
  world.keyed = read_log(effects + "/keyed.log");
  world.opaque = read_log(effects + "/opaque.log");
  for (const Effect& attempt : read_log(effects + "/attempts.log")) ++world.executions[attempt.key];
  for (const auto& entry : std::filesystem::recursive_directory_iterator(workspace)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    world.files[std::filesystem::relative(entry.path(), workspace).string()] = {
        std::istreambuf_iterator<char>(file), {}};
  }
  return world;
}

std::vector<std::string> compare(const std::vector<Evidence>& runs, const World& world,
                                 EffectCounts* counts) {
  Comparison comparison(world, *counts);
  for (const Evidence& run : runs) {
    for (const auto& [place, call] : run.calls) comparison.judge(call, run.terminal);
  }
  return comparison.finish();
}

}  // namespace palyra::chaos
