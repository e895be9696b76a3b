// Where the daemon is, as the command line sees it: palyra.toml for the state directory, files in
// it for address and token.
#pragma once

#include <optional>
#include <string>

namespace palyra::cli {

enum class Output { kText, kJson, kNdjson };

// What every command accepts.
struct GlobalOptions {
  std::string config;     // --config; empty = search
  std::string state_dir;  // --state-dir; empty = from the configuration
  std::string endpoint;   // --endpoint host:port; empty = the state directory's endpoint file
  std::string token;      // from $PALYRA_TOKEN; empty = the owner's token file
  Output output = Output::kText;
  bool quiet = false;
};

// The palyra.toml in force: --config, $PALYRA_CONFIG, $XDG_CONFIG_HOME/palyra, /etc/palyra. Empty
// if there is none.
std::string find_config(const GlobalOptions& options);

// Where `palyra setup` writes if nothing was said: $XDG_CONFIG_HOME/palyra/palyra.toml.
std::string default_config_path();

// daemon.state_dir of the configuration, made absolute against its folder, or the default.
std::string find_state_dir(const GlobalOptions& options);

std::string endpoint_file(const std::string& state_dir);
std::string token_file(const std::string& state_dir);
std::string pid_file(const std::string& state_dir);
std::string log_file(const std::string& state_dir);

// A small file without its last newline; empty optional if it cannot be read.
std::optional<std::string> read_small_file(const std::string& path);

}  // namespace palyra::cli
