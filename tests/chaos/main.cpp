// palyra-chaos: the daemon under load, killed again and again; see README.md.
#include "tests/chaos/client.h"
#include "tests/chaos/fault_vfs/environment.h"
#include "tests/chaos/report.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace palyra::chaos {
namespace {

struct Settings {
  int kills = 200;
  uint64_t seed = 0;
  int clients = 6;
  int patience_s = 30;
  bool keep = false;
  bool sweep = false;
};

std::string plugin(const std::string& name, const std::string& use, const std::string& config) {
  return "[plugins." + name + "]\nuse = \"" + use + "\"\nisolation = \"in_process\"\n[plugins." +
         name + ".config]\n" + config + "\n";
}

e2e::DaemonOptions daemon_options(const std::string& effects, const std::string& script_path) {
  e2e::DaemonOptions options;
  options.embedded = "delay_ms = 1";
  options.plugin_paths = {e2e::build_dir() + "/tests/plugins"};
  options.extra =
      plugin("fast", "dev.palyra.embedded", "delay_ms = 0") +
      plugin("scripted", "dev.palyra.embedded", "delay_ms = 1\nscript = \"" + script_path + "\"") +
      plugin("testtools", "dev.palyra.testtools", "directory = \"" + effects + "\"") +
      "[gateway.rate_limit]\nrequests_per_second = 1000000\nburst = 1000000\n"
      "[[gateway.policy.rules]]\nverdict = \"ask\"\ntool = \"fs.write\"\n"
      "arguments = { path = \"ask/*\" }\n"
      "[[gateway.policy.rules]]\nverdict = \"allow\"\ntool = [\"fs.write\", \"test.*\"]\n";
  return options;
}

class Show {
 public:
  explicit Show(const Settings& settings)
      : settings_(settings),
        random_(settings.seed),
        effects_(directory_.path() + "/effects"),
        inspector_(ledger_, std::chrono::seconds(settings.patience_s)),
        faults_(make_faults()),
        arena_(prepare(), effects_, faults_, ledger_, std::chrono::seconds(settings.patience_s)) {}

  Report run() {
    const auto begin = std::chrono::steady_clock::now();
    report_.seed = settings_.seed;
    bool going = arena_.start();
    if (going && settings_.sweep) sweep();
    std::vector<Aim> aims;
    if (!settings_.sweep) aims = make_aims(settings_.kills, random_);
    // A phase may be missed by bad luck: it gets more kills, a bounded number of times.
    for (int round = 0; going && !aims.empty() && round < 4; ++round) {
      going = kill_all(aims);
      if (!going) break;
      settle();
      if (!ledger_.problems().empty()) break;
      aims.clear();
      for (const Phase phase : missing(report_.phases)) {
        for (int i = 0; i < 5; ++i) aims.push_back(aim_at(phase));
      }
      if (store_is_missed()) aims.insert(aims.end(), kStorePoints.size(), Aim::kStore);
    }
    if (!settings_.sweep) judge_aim();
    if (arena_.daemon().running()) {
      const int code = arena_.daemon().stop();
      if (code != 0) ledger_.problem("SIGTERM ended the daemon with " + std::to_string(code));
    }
    scan_log();
    report_.moments = arena_.moments();
    report_.ready_ms = arena_.ready_times();
    report_.resume_ms = ledger_.resume_times();
    report_.problems = ledger_.problems();
    report_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (settings_.keep || !report_.problems.empty()) {
      directory_.keep();
      arena_.daemon().keep();
      std::printf("kept: %s (daemon), %s (effects)\n", arena_.daemon().directory().c_str(),
                  effects_.c_str());
    }
    return report_;
  }

 private:
  // What a sweep cuts, each at every operation: the job and what becomes of its conversation. The
  // messages before are not cut.
  struct Scene {
    const char* name;
    int64_t messages_before;
    int64_t messages;  // in the job; 0 = none, 1 = one with calls of all effect classes
    Job::Then then;
  };
  static constexpr std::array<Scene, 5> kScenes = {{
      {"run", 0, 1, Job::Then::kNothing},
      {"queue", 0, 3, Job::Then::kNothing},
      {"branch", 1, 0, Job::Then::kBranch},
      {"undo", 2, 0, Job::Then::kUndo},
      {"compact", 7, 0, Job::Then::kCompact},
  }};

  void sweep() {
    for (const Scene& scene : kScenes) sweep(scene);
    settle();
  }
  // One after the other, each with the power cut at one operation further than the one before,
  // until one needs fewer: every write and every sync that it makes has then been cut.
  void sweep(const Scene& scene) {
    int64_t cut = 0;
    for (int64_t operation = 1; ledger_.problems().empty(); ++operation) {
      Plan plan;
      plan.aim = Aim::kStore;
      plan.any_operation = true;
      plan.operations = operation;
      plan.point.cut = static_cast<Cut>((operation + static_cast<int64_t>(settings_.seed)) % kCuts);
      plan.loss = static_cast<uint32_t>(draw(random_, 3)) * 50;
      plan.seed = random_();
      const std::string label = std::string(scene.name) + "-" + std::to_string(operation);
      Client client(arena_, ledger_, label, random_());
      Job before = make_talk(label + ".before", scene.messages_before);
      if (scene.messages_before > 0) client.perform(before);
      Job job =
          scene.messages == 1 ? make_full_job(label, random_) : make_talk(label, scene.messages);
      std::atomic<bool> done{false};
      std::thread thread([&] {
        if (scene.messages > 0) client.perform(job);
        client.tidy(scene.then, label + ".then");
        done = true;
      });
      auto kill = arena_.cut(plan, [&done] { return done.load(); });
      if (kill) {
        report_.kills.push_back(std::move(*kill));
        if (arena_.restart(std::nullopt, &report_.kills)) inspector_.after_start(arena_.current());
      }
      thread.join();
      if (!kill) break;
      ++cut;
    }
    report_.swept.emplace_back(scene.name, cut);
  }
  void judge_aim() {
    for (const Phase phase : missing(report_.phases)) {
      ledger_.problem(std::string("no kill met the phase ") + name_of(phase));
    }
    if (store_is_missed()) ledger_.problem("no kill met some operation of the store");
  }
  FaultControl& make_faults() {
    FaultControl* const control = map_control(directory_.path() + "/faults");
    if (control == nullptr) throw std::runtime_error("the control of the faults cannot be mapped");
    return *control;
  }
  e2e::DaemonOptions prepare() {
    directory_.write("effects/README", "what the test tools did\n");
    auto options = daemon_options(effects_, directory_.write("script.yaml", script()));
    options.environment = fault_environment(directory_.path() + "/faults");
    return options;
  }
  // A plan for the point of the store that has been hit least.
  Plan next_store_plan() {
    const StoreCounts counts = count_store(report_.kills);
    const auto least = std::min_element(counts.begin(), counts.end());
    return make_store_plan(kStorePoints[static_cast<size_t>(least - counts.begin())], random_);
  }
  bool store_is_missed() const {
    const StoreCounts counts = count_store(report_.kills);
    return std::count(counts.begin(), counts.end(), 0) > 0;
  }

  // True if the daemon lives at the end.
  bool kill_all(const std::vector<Aim>& aims) {
    arena_.go_on();
    std::vector<std::thread> threads;
    for (int i = 0; i < settings_.clients; ++i) {
      threads.emplace_back([this, name = "c" + std::to_string(++clients_), seed = random_()] {
        Client(arena_, ledger_, name, seed).run();
      });
    }
    bool alive = true;
    for (size_t i = 0; alive && i < aims.size(); ++i) {
      std::optional<Plan> during;
      if (aims[i] == Aim::kRecovery) {
        during = make_plan(Aim::kRecovery, random_);
        // It needs a kill before it, which is the next one, or one more.
        const Aim before =
            i + 1 < aims.size() && aims[i + 1] != Aim::kRecovery ? aims[++i] : Aim::kAnywhere;
        alive = kill_one(before, during);
      } else {
        alive = kill_one(aims[i], during);
      }
    }
    arena_.stop_clients();
    for (auto& thread : threads) thread.join();
    return alive;
  }

  bool kill_one(Aim aim, const std::optional<Plan>& during) {
    const uint64_t rest = chance(random_, 20) ? 0 : static_cast<uint64_t>(draw(random_, 8));
    const Plan plan = aim == Aim::kStore ? next_store_plan() : make_plan(aim, random_);
    auto kill = arena_.kill(plan, rest);
    if (!kill) return false;
    report_.kills.push_back(std::move(*kill));
    if (!during && chance(random_, 10) && !stop_politely()) return false;
    if (!arena_.restart(during, &report_.kills)) return false;
    inspector_.after_start(arena_.current());
    return true;
  }

  // Between two kills a life that ends by SIGTERM, in the middle of the load.
  bool stop_politely() {
    if (!arena_.restart(std::nullopt, &report_.kills)) return false;
    arena_.rest(static_cast<uint64_t>(draw(random_, 4)));
    const int code = arena_.daemon().stop();
    if (code != 0) {
      ledger_.problem("SIGTERM under load ended the daemon with " + std::to_string(code));
    }
    ++report_.stops;
    return true;
  }

  // The load is over: everything must be at rest and as promised.
  void settle() {
    inspector_.at_the_end(arena_.current());
    report_.phases = classify(report_.kills, ledger_.promises(), inspector_.tapes());
    report_.effects = EffectCounts();
    const World world = read_world(effects_, arena_.daemon().workspace());
    for (const auto& sentence : compare(inspector_.evidence(), world, &report_.effects)) {
      ledger_.problem(sentence);
    }
    report_.history = inspector_.history();
    report_.promised = inspector_.promised();
    report_.present = inspector_.present();
    report_.verified = inspector_.verified();
    report_.runs = inspector_.tapes().size();
    report_.resumed = 0;
    for (const Evidence& evidence : inspector_.evidence()) report_.resumed += evidence.resumed;
  }

  // Sanitizers and the daemon's own errors.
  void scan_log() {
    std::ifstream log(arena_.daemon().directory() + "/daemon.log");
    std::string line;
    while (std::getline(log, line)) {
      for (const char* word : {"Sanitizer", "runtime error:", "terminate called", " error "}) {
        if (line.find(word) != std::string::npos) {
          ledger_.problem("daemon.log: " + line);
          break;
        }
      }
    }
  }

  const Settings settings_;
  Random random_;
  e2e::TempDir directory_;
  const std::string effects_;
  Ledger ledger_;
  Inspector inspector_;
  FaultControl& faults_;
  Arena arena_;
  Report report_;
  int clients_ = 0;
};

}  // namespace
}  // namespace palyra::chaos

int main(int argc, char** argv) {
  palyra::chaos::Settings settings;
  std::random_device device;
  settings.seed = device();
  CLI::App app{"Kills the daemon under load and checks what it promised."};
  app.add_option("--kills", settings.kills, "SIGKILLs; default 200")->check(CLI::PositiveNumber);
  app.add_option("--seed", settings.seed, "of the load and the kills; default random");
  app.add_option("--clients", settings.clients, "at once; default 6")->check(CLI::PositiveNumber);
  app.add_option("--patience", settings.patience_s, "seconds after which a call has hung")
      ->check(CLI::PositiveNumber);
  app.add_flag(
      "--sweep", settings.sweep,
      "instead: cut the power at each write and sync that a run, a queue of three, a branch, "
      "an undo and a compaction make, in turn");
  app.add_flag("--keep", settings.keep, "leave the state directory for inspection");
  CLI11_PARSE(app, argc, argv);
  const std::string what = settings.sweep ? "--sweep" : "--kills " + std::to_string(settings.kills);
  std::printf("palyra-chaos %s --seed %llu\n", what.c_str(),
              static_cast<unsigned long long>(settings.seed));
  std::fflush(stdout);
  palyra::chaos::Show show(settings);
  const auto report = show.run();
  std::fputs(palyra::chaos::to_text(report).c_str(), stdout);
  if (report.problems.empty()) return 0;
  std::printf("\nFAILED. Paste into the report:\n  palyra-chaos %s --seed %llu\n", what.c_str(),
              static_cast<unsigned long long>(settings.seed));
  size_t shown = 0;
  for (const auto& sentence : report.problems) {
    if (++shown > 30) break;
    std::printf("  - %s\n", sentence.c_str());
  }
  return 1;
}
