// Writes palyra.toml after a few questions, and proves with one real turn that it works.
#include "clients/cli/commands.h"
#include "clients/cli/connection.h"
#include "clients/cli/daemon_process.h"
#include "clients/cli/line_reader.h"
#include "clients/cli/run_view.h"
#include "clients/cli/terminal.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

namespace palyra::cli {

namespace fs = std::filesystem;

namespace {

// The answer of a person, or `fallback` for an empty line or without a terminal.
std::string ask(const std::string& question, const std::string& fallback) {
  if (!is_terminal(0)) return fallback;
  std::fprintf(stderr, "%s [%s] ", question.c_str(), fallback.c_str());
  std::string line;
  if (LineReader::standard_input().read(&line) != LineReader::Result::kLine || line.empty()) {
    return fallback;
  }
  return line;
}

bool is_reference(const std::string& key) {
  return key.rfind("env:", 0) == 0 || key.rfind("file:", 0) == 0;
}

// `state_dir` empty: the default.
std::string configuration(const SetupOptions& chosen, const std::string& state_dir,
                          const std::string& workspace) {
  const bool embedded = chosen.provider == "embedded";
  std::string toml =
      "# Written by palyra setup. Every key and its default: palyra.toml of the distribution.\n\n";
  if (!state_dir.empty()) toml += "[daemon]\nstate_dir = " + toml_quoted(state_dir) + "\n\n";
  toml +=
      "[plugins.gateway]\nuse = \"dev.palyra.gateway\"\n\n"
      "[plugins.journal]\nuse = \"dev.palyra.journal\"\n\n"
      "[plugins.tools]\nuse = \"dev.palyra.tools\"\n\n"
      "[plugins.embedded]\nuse = \"dev.palyra.embedded\"\n\n";
  if (!embedded) toml += "[plugins.openai]\nuse = \"dev.palyra.openai\"\n\n";
  toml +=
      "[gateway]\nmodel = " + toml_quoted(embedded ? "embedded/rules" : "openai/" + chosen.model) +
      "\n";
  if (!chosen.listen.empty()) toml += "grpc_listen = " + toml_quoted(chosen.listen) + "\n";
  toml += "\n[gateway.agents.main]\nworkspace = [" + toml_quoted(workspace) + "]\n";
  if (!embedded) {
    toml += "\n[model_provider]\nbase_url = " + toml_quoted(chosen.base_url) + "\n";
    if (!chosen.api_key.empty()) toml += "api_key = " + toml_quoted(chosen.api_key) + "\n";
  }
  return toml;
}

int write_new(const std::string& path, const std::string& content, bool force) {
  std::error_code problem;
  fs::create_directories(fs::path(path).parent_path(), problem);
  if (fs::exists(path, problem) && !force) {
    return complain(
        path + " exists already; edit it, or use --force to replace it (a copy is kept)",
        kExitCannotCreate);
  }
  if (fs::exists(path, problem)) fs::rename(path, path + ".before", problem);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const bool written =
      fd >= 0 && write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size());
  if (fd >= 0) close(fd);
  if (written) return kExitOk;
  return complain("cannot write " + path + ": " + std::strerror(errno), kExitCannotCreate);
}

}  // namespace

int setup(const GlobalOptions& global, const SetupOptions& given) {
  SetupOptions chosen = given;
  const std::string path = global.config.empty() ? default_config_path() : global.config;
  if (chosen.provider.empty()) {
    chosen.provider = ask("Provider: openai (any compatible endpoint) or embedded (no network)",
                          chosen.base_url.empty() ? "embedded" : "openai");
  }
  if (chosen.provider != "openai" && chosen.provider != "embedded") {
    return complain("unknown provider " + chosen.provider + "; use openai or embedded", kExitUsage);
  }
  if (chosen.provider == "openai") {
    if (chosen.base_url.empty()) chosen.base_url = ask("Base URL", "https://api.openai.com/v1");
    if (chosen.api_key.empty()) {
      chosen.api_key = ask("API key, as env:NAME or file:PATH (\"none\" for a local endpoint)",
                           "env:OPENAI_API_KEY");
    }
    if (chosen.api_key == "none") chosen.api_key.clear();
    if (!chosen.api_key.empty() && !is_reference(chosen.api_key)) {
      return complain(
          "the key must be a reference, env:NAME or file:PATH, so that it is in no file of ours: "
          "put "
          "it into a file of mode 0600 and give file:/that/file",
          kExitUsage);
    }
    if (chosen.model.empty()) chosen.model = ask("Model", "gpt-4o-mini");
  }
  // A configuration that is replaced does not say where the new daemon lives.
  GlobalOptions fresh = global;
  fresh.config = path;
  const std::string state_dir =
      global.state_dir.empty() ? default_state_dir() : find_state_dir(fresh);
  const std::string workspace = state_dir + "/workspace";
  if (!make_private_directory(state_dir) || !make_private_directory(workspace)) {
    return complain("cannot create " + workspace + ": " + std::strerror(errno) +
                        "; name another place with --state-dir",
                    kExitCannotCreate);
  }
  if (const int code = write_new(
          path, configuration(chosen, global.state_dir.empty() ? "" : state_dir, workspace),
          chosen.force);
      code != 0) {
    return code;
  }
  std::printf("Wrote %s\n", path.c_str());
  if (chosen.offline) return kExitOk;

  GlobalOptions running = global;
  running.config = path;
  if (running_daemon(find_state_dir(running)) != 0) {
    std::printf(
        "A daemon runs with its earlier configuration; restart it with:\n"
        "  palyra daemon stop && palyra daemon start\n");
    return kExitOk;
  }
  if (const int code = start_daemon(running); code != 0) return code;
  std::printf("One test call:\n");
  RunOptions test;
  test.text = "Say hello in one short sentence.";
  test.approve = "deny";
  const int code = run(running, test);
  if (code == kExitOk) {
    std::printf("It works. Talk to it with: palyra chat\n");
  } else {
    std::printf(
        "The test call failed, see above; edit %s, then: palyra daemon stop && palyra "
        "daemon start\n",
        path.c_str());
  }
  return code;
}

}  // namespace palyra::cli
