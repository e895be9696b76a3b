// SPDX-License-Identifier: Apache-2.0
// palyrad: reads the configuration, starts the plugins, waits, stops them. Exit codes:
// host/README.md.
#include "host/config/settings.h"
#include "host/lifecycle/blueprint.h"
#include "host/lifecycle/signals.h"
#include "host/lifecycle/state_dir.h"
#include "host/lifecycle/supervisor.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sysexits.h>
#include <unistd.h>

namespace palyra::host {
namespace {

constexpr const char* kUsage =
    "Usage: palyrad [--config FILE] [--check]\n"
    "\n"
    "Runs the Palyra daemon until SIGTERM or SIGINT; a second signal stops it at once.\n"
    "\n"
    "  --config FILE  the configuration; without it $PALYRA_CONFIG,\n"
    "                 $XDG_CONFIG_HOME/palyra/palyra.toml and /etc/palyra/palyra.toml are tried\n"
    "  --check        check configuration and plugins, list every problem, start nothing\n"
    "  --version      print the version\n"
    "  --help         print this\n";

struct Arguments {
  std::string config;
  bool check = false;
};

void say(std::string_view line) {
  std::fprintf(stderr, "palyrad: %.*s\n", static_cast<int>(line.size()), line.data());
}

// What was asked for, or the exit code if there is nothing more to do.
std::optional<int> parse_arguments(int argc, char** argv, Arguments& out) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      std::fputs(kUsage, stdout);
      return EX_OK;
    }
    if (argument == "--version") {
      std::printf("palyrad %s (plugin ABI %d.%d)\n", PALYRA_VERSION, PALYRA_ABI_MAJOR,
                  PALYRA_ABI_MINOR);
      return EX_OK;
    }
    if (argument == "--check") {
      out.check = true;
    } else if (argument == "--config" && i + 1 < argc) {
      out.config = argv[++i];
    } else if (argument.starts_with("--config=")) {
      out.config = argument.substr(9);
    } else {
      say("unknown or incomplete argument '" + std::string(argument) + "'; see palyrad --help");
      return EX_USAGE;
    }
  }
  return std::nullopt;
}

std::string find_config(const Arguments& arguments, const Environment& environment) {
  if (!arguments.config.empty()) return arguments.config;
  const auto candidates = config_candidates(environment);
  for (const auto& candidate : candidates) {
    if (candidates.size() == 1 || ::access(candidate.c_str(), F_OK) == 0) return candidate;
  }
  std::string tried;
  for (const auto& candidate : candidates)
    tried += (tried.empty() ? "" : ", ") + candidate.string();
  say("no configuration was found (tried " + tried + "); name one with --config FILE");
  return "";
}

int report(const std::vector<Problem>& problems) {
  for (const auto& problem : problems) say(problem.to_string());
  return EX_CONFIG;
}

int check(const Blueprint& blueprint, const std::string& file) {
  int faults = 0;
  for (const auto& warning : blueprint.warnings) say("warning: " + warning);
  for (const auto& candidate : blueprint.candidates) {
    if (!candidate.settings.enabled) continue;
    for (const auto& fault : candidate.faults) {
      ++faults;
      say("instance '" + candidate.settings.name + "' would be quarantined: " + fault);
    }
  }
  if (blueprint.hub.empty()) {
    ++faults;
    say("no enabled instance provides palyra.registry/1; add [plugins.gateway] with use = "
        "\"dev.palyra.gateway\"");
  }
  if (faults > 0) return EX_CONFIG;
  std::printf("%s: fine, %zu plugins would start\n", file.c_str(), blueprint.order.size() + 1);
  return EX_OK;
}

int run(const Settings& settings, Blueprint blueprint, const Environment& environment,
        std::chrono::steady_clock::time_point began) {
  if (const Status made = make_private_dir(settings.state_dir); !made.ok()) {
    say(made.message());
    return EX_CANTCREAT;
  }
  auto pid_file = PidFile::lock(settings.state_dir);
  if (!pid_file) {
    say(pid_file.status().message());
    return pid_file.status().code() == Code::kAlreadyExists ? EX_TEMPFAIL : EX_CANTCREAT;
  }
  const bool hub_misconfigured =
      blueprint.hub.empty() || !blueprint.find(blueprint.hub)->faults.empty();

  SharedFacilities shared(settings.pool_threads);
  shared.secrets = std::make_shared<Secrets>(environment);
  auto log = Logger::open(Logger::level_named(settings.log.level),
                          settings.log.format == "json" ? LogFormat::kJson : LogFormat::kText,
                          settings.log.file, shared.secrets);
  if (!log) {
    say(log.status().message());
    return EX_CANTCREAT;
  }
  shared.log = std::move(*log);

  int code = EX_OK;
  Supervisor supervisor(settings, std::move(blueprint), shared,
                        environment("NOTIFY_SOCKET").value_or(""), began);
  {
    const Signals signals([&supervisor] { supervisor.request_stop(); },
                          [&shared] {
                            shared.log->warn(
                                "SIGHUP: this version applies a changed configuration "
                                "only when it is restarted");
                          });
    if (const Status status = supervisor.start(); status.ok()) {
      supervisor.wait();
    } else {
      say("cannot start: " + status.message());
      code = hub_misconfigured ? EX_CONFIG : EX_UNAVAILABLE;
    }
    supervisor.stop();
  }
  if (supervisor.abandoned()) {
    // A plugin's thread still runs somewhere: nothing it may use is destroyed.
    shared.log->flush();
    std::_Exit(code);
  }
  return code;
}

int main_with(int argc, char** argv) {
  const auto began = std::chrono::steady_clock::now();
  Arguments arguments;
  if (const auto code = parse_arguments(argc, argv, arguments)) return *code;
  const Environment environment = process_environment();
  const std::string file = find_config(arguments, environment);
  if (file.empty()) return EX_CONFIG;

  std::vector<Problem> problems;
  const auto document = read_document(file, problems);
  if (!document) return report(problems);
  std::error_code ignored;
  const Surroundings around{environment, std::filesystem::read_symlink("/proc/self/exe", ignored),
                            ::geteuid() == 0};
  const Settings settings = read_settings(*document, around, problems);
  Blueprint blueprint = make_blueprint(*document, settings);
  problems.insert(problems.end(), blueprint.problems.begin(), blueprint.problems.end());
  if (arguments.check) {
    for (const auto& problem : problems) say(problem.to_string());
    const int code = check(blueprint, file);
    return problems.empty() ? code : EX_CONFIG;
  }
  if (!problems.empty()) return report(problems);
  return run(settings, std::move(blueprint), environment, began);
}

}  // namespace
}  // namespace palyra::host

int main(int argc, char** argv) {
  try {
    return palyra::host::main_with(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "palyrad: internal error: %s\n", error.what());
    return EX_SOFTWARE;
  }
}
