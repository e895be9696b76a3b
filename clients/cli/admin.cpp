#include "clients/cli/commands.h"
#include "clients/cli/connection.h"
#include "clients/cli/daemon_process.h"
#include "clients/cli/terminal.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

namespace palyra::cli {

namespace {

using Admin = api::AdminService::Stub;
using Gateway = api::GatewayService::Stub;

std::string joined(const google::protobuf::RepeatedPtrField<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string provider_words(const api::ModelProvider& provider) {
  switch (provider.state()) {
    case service::v1::PROVIDER_STATE_READY:
      return "configured";
    case service::v1::PROVIDER_STATE_KEY_MISSING:
      return "key missing";
    case service::v1::PROVIDER_STATE_UNREACHABLE:
      return "unreachable";
    default:
      return "unknown";
  }
}

std::string check_words(const std::string& status) {
  if (status == "ok") return styled(Style::kGreen, "ok  ");
  if (status == "warn") return styled(Style::kYellow, "warn");
  return styled(Style::kRed, "fail");
}

void print_place(const char* name, const std::string& value) {
  std::printf("%-10s %s\n", name, value.empty() ? "-" : one_line(value).c_str());
}

// Indented, but for ndjson.
void print_json(const GlobalOptions& global, const nlohmann::ordered_json& json) {
  const int indent = global.output == Output::kNdjson ? -1 : 2;
  const std::string text =
      json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::printf("%s\n", terminal_json(text).c_str());
}

constexpr int kNotRunnable = 127;

// What `palyrad --check` says of a configuration.
struct ConfigCheck {
  int code = kNotRunnable;
  std::string said;
  std::vector<std::string> problems;
};

ConfigCheck examine_config(const std::string& config) {
  ConfigCheck check;
  const std::string program = daemon_program();
  int said[2];
  if (pipe2(said, O_CLOEXEC) != 0) return check;
  const pid_t child = fork();
  if (child == 0) {
    dup2(said[1], 1);
    dup2(said[1], 2);
    execlp(program.c_str(), program.c_str(), "--config", config.c_str(), "--check", nullptr);
    _exit(kNotRunnable);
  }
  close(said[1]);
  char buffer[4096];
  ssize_t size = 0;
  while ((size = read(said[0], buffer, sizeof buffer)) > 0) {
    check.said.append(buffer, static_cast<size_t>(size));
  }
  close(said[0]);
  int status = 0;
  waitpid(child, &status, 0);
  check.code = WIFEXITED(status) ? WEXITSTATUS(status) : static_cast<int>(kExitInternal);
  const std::string prefix = "palyrad: ";
  std::istringstream lines(check.said);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(prefix, 0) == 0) check.problems.push_back(line.substr(prefix.size()));
  }
  return check;
}

void add_check(api::DoctorResponse& response, const std::string& name, const std::string& status,
               const std::string& message, const std::string& fix) {
  auto* check = response.add_checks();
  check->set_name(name);
  check->set_status(status);
  check->set_message(message);
  check->set_fix(fix);
}

// Without a daemon nobody else says why it would not start.
void add_config_checks(api::DoctorResponse& response, const GlobalOptions& global) {
  const std::string config = find_config(global);
  if (config.empty()) {
    return add_check(response, "config", "fail", "no palyra.toml was found", "palyra setup");
  }
  const ConfigCheck check = examine_config(config);
  if (check.code == kExitOk) return add_check(response, "config", "ok", config + " is fine", "");
  if (check.code == kNotRunnable) {
    return add_check(response, "program", "fail", "cannot run " + daemon_program(),
                     "install palyrad beside palyra or into the PATH");
  }
  for (const std::string& problem : check.problems) {
    add_check(response, "config", "fail", problem, "edit " + config);
  }
}

nlohmann::ordered_json places(const GlobalOptions& global) {
  const std::string state_dir = find_state_dir(global);
  nlohmann::ordered_json all;
  all["config"] = find_config(global);
  all["state_dir"] = state_dir;
  all["token"] = token_file(state_dir);
  all["log"] = find_log(global);
  all["daemon"] = daemon_program();
  all["endpoint"] = read_small_file(endpoint_file(state_dir)).value_or("");
  all["pid"] = running_daemon(state_dir);
  return all;
}

}  // namespace

int list_agents(const GlobalOptions& global) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  return call_and_list<api::Agent, Gateway, api::ListAgentsRequest, api::ListAgentsResponse>(
      connection, connection.gateway(), &Gateway::ListAgents, {}, &api::ListAgentsResponse::agents,
      [](const api::ListAgentsResponse& response) {
        Table table({"AGENT", "MODEL", "TOOLS", "WORKSPACE"});
        for (const auto& agent : response.agents()) {
          table.add({agent.agent_id() + (agent.is_default() ? " (default)" : ""), agent.model(),
                     agent.tools().empty() ? "all" : joined(agent.tools()),
                     joined(agent.workspace_roots())});
        }
        table.print();
        return static_cast<int>(kExitOk);
      });
}

int list_models(const GlobalOptions& global, bool probe) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::ListModelsRequest request;
  request.set_probe(probe);
  Progress progress("asking the providers");
  return call_and_print<Admin, api::ListModelsRequest, api::ListModelsResponse>(
      connection, connection.admin(), &Admin::ListModels, request,
      [&](const api::ListModelsResponse& response) {
        progress.alive();
        Table table({"MODEL", "STATE", "WINDOW", "ENDPOINT"});
        for (const auto& provider : response.providers()) {
          const std::string state = provider_words(provider) +
                                    (provider.detail().empty() ? "" : ": " + provider.detail());
          if (provider.models().empty()) {
            table.add({provider.instance() + "/?", state, "-", provider.endpoint()});
          }
          for (const auto& model : provider.models()) {
            const std::string name = provider.instance() + "/" + model.id();
            table.add({name + (name == response.default_model() ? " (default)" : ""), state,
                       model.context_window() > 0 ? std::to_string(model.context_window()) : "-",
                       provider.endpoint()});
          }
        }
        if (table.empty()) {
          std::printf("No provider is active; see: palyra plugins list\n");
        } else {
          table.print();
        }
        return static_cast<int>(kExitOk);
      });
}

int list_plugins(const GlobalOptions& global) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  return call_and_list<api::Plugin, Admin, api::ListPluginsRequest, api::ListPluginsResponse>(
      connection, connection.admin(), &Admin::ListPlugins, {}, &api::ListPluginsResponse::plugins,
      [](const api::ListPluginsResponse& response) {
        Table table({"INSTANCE", "PLUGIN", "VERSION", "PROVIDES", "STATE"});
        for (const auto& plugin : response.plugins()) {
          table.add({plugin.instance().empty() ? "-" : plugin.instance(), plugin.plugin_id(),
                     plugin.version(), joined(plugin.provides()),
                     plugin.state() + (plugin.reason().empty() ? "" : ": " + plugin.reason())});
        }
        table.print();
        return static_cast<int>(kExitOk);
      });
}

int show_plugin(const GlobalOptions& global, const std::string& instance) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  auto context = connection.context();
  api::ListPluginsResponse response;
  const auto status = connection.admin().ListPlugins(context.get(), {}, &response);
  if (!status.ok()) return connection.explain(status);
  for (const auto& plugin : response.plugins()) {
    if (plugin.instance() != instance && plugin.plugin_id() != instance) continue;
    if (global.output != Output::kText) {
      std::printf("%s\n", to_json(plugin, global.output == Output::kJson).c_str());
      return kExitOk;
    }
    print_place("instance", plugin.instance());
    print_place("plugin", plugin.plugin_id());
    print_place("version", plugin.version());
    print_place("vendor", plugin.vendor());
    print_place("file", plugin.path());
    print_place("state", plugin.state());
    if (!plugin.reason().empty()) print_place("reason", plugin.reason());
    print_place("isolation", plugin.isolation());
    print_place("provides", joined(plugin.provides()));
    return kExitOk;
  }
  return complain("no plugin instance " + instance + "; see: palyra plugins list", kExitNotFound);
}

int show_config(const GlobalOptions& global) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  auto context = connection.context();
  api::GetConfigResponse response;
  const auto status = connection.admin().GetConfig(context.get(), {}, &response);
  if (!status.ok()) return connection.explain(status);
  const auto json = nlohmann::ordered_json::parse(response.config_json(), nullptr, false);
  if (json.is_discarded()) {
    return complain("the daemon's answer is no JSON; are palyra and palyrad of one version?",
                    kExitInternal);
  }
  print_json(global, json);
  return kExitOk;
}

int check_config(const GlobalOptions& global) {
  const std::string config = find_config(global);
  if (config.empty()) {
    return complain("no palyra.toml found; make one with: palyra setup", kExitConfig);
  }
  const ConfigCheck check = examine_config(config);
  if (check.code == kNotRunnable) {
    return complain("cannot run " + daemon_program() + "; is palyrad installed?", kExitUnavailable);
  }
  if (global.output == Output::kText) {
    std::fputs(printable(check.said).c_str(), check.code == kExitOk ? stdout : stderr);
    return check.code;
  }
  nlohmann::ordered_json answer;
  answer["config"] = config;
  answer["ok"] = check.code == kExitOk;
  answer["problems"] = check.problems;
  print_json(global, answer);
  return check.code;
}

int doctor(const GlobalOptions& global) {
  auto where = places(global);
  api::DoctorResponse response;
  Connection connection(global);
  grpc::Status status(grpc::StatusCode::UNAVAILABLE, "");
  if (!where["endpoint"].get<std::string>().empty() || !global.endpoint.empty()) {
    if (const int code = connection.find_daemon(); code != kExitOk) return code;
    Progress progress("examining");
    auto context = connection.context();
    status = connection.admin().Doctor(context.get(), {}, &response);
  }
  if (!status.ok()) {
    const bool absent = status.error_code() == grpc::StatusCode::UNAVAILABLE;
    if (absent) add_config_checks(response, global);
    add_check(response, "daemon", "fail",
              absent ? "no daemon answers" : connection.sentence(status),
              absent ? "palyra daemon start" : "");
  }
  int failures = 0;
  for (const auto& check : response.checks()) failures += check.status() == "fail" ? 1 : 0;
  if (global.output == Output::kText) {
    for (const auto& [name, value] : where.items()) {
      print_place(name.c_str(), value.is_string() ? value.get<std::string>() : value.dump());
    }
    std::printf("\n");
    for (const auto& check : response.checks()) {
      std::printf("%s  %s: %s\n", check_words(check.status()).c_str(),
                  one_line(check.name()).c_str(), printable(check.message()).c_str());
      if (!check.fix().empty()) std::printf("      fix: %s\n", printable(check.fix()).c_str());
    }
  } else {
    nlohmann::ordered_json all;
    all["places"] = where;
    all["checks"] = nlohmann::json::array();
    for (const auto& check : response.checks()) {
      all["checks"].push_back(nlohmann::ordered_json::parse(to_json(check, false)));
    }
    print_json(global, all);
  }
  if (!status.ok() && status.error_code() != grpc::StatusCode::UNAVAILABLE) {
    return exit_code(status);
  }
  if (!status.ok()) return kExitUnavailable;
  return failures == 0 ? kExitOk : kExitRunFailed;
}

int status(const GlobalOptions& global) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  return call_and_print<Admin, api::GetStatusRequest, api::GetStatusResponse>(
      connection, connection.admin(), &Admin::GetStatus, {},
      [&](const api::GetStatusResponse& response) {
        print_place("version", response.version());
        print_place("endpoint", connection.endpoint());
        print_place("pid", std::to_string(response.pid()));
        print_place("started", local_time(response.started_at_ms()));
        print_place("runs", std::to_string(response.active_runs()) + " active, " +
                                std::to_string(response.waiting_runs()) + " waiting, " +
                                std::to_string(response.queued_inputs()) + " queued");
        print_place("plugins", std::to_string(response.plugins_active()) + " active, " +
                                   std::to_string(response.plugins_quarantined()) + " quarantined");
        print_place("journal", response.journal());
        return static_cast<int>(kExitOk);
      });
}

int daemon_status(const GlobalOptions& global) {
  const std::string state_dir = find_state_dir(global);
  const pid_t pid = running_daemon(state_dir);
  if (global.output != Output::kText) {
    std::printf("{\"running\": %s, \"pid\": %d, \"state_dir\": %s}\n", pid != 0 ? "true" : "false",
                static_cast<int>(pid), nlohmann::json(state_dir).dump().c_str());
  } else if (pid != 0) {
    std::printf("The daemon runs (pid %d, state %s).\n", static_cast<int>(pid), state_dir.c_str());
  } else {
    std::printf("No daemon runs on %s; start it with: palyra daemon start\n", state_dir.c_str());
  }
  return pid != 0 ? kExitOk : kExitUnavailable;
}

}  // namespace palyra::cli
