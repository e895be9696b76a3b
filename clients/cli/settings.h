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

// What is wrong with the palyra.toml that was named or found, with its place; empty if it can be
// parsed, or if none was named and none found. Its meaning is the daemon's to judge.
std::string config_problem(const GlobalOptions& options);

// Where `palyra setup` writes if nothing was said: $XDG_CONFIG_HOME/palyra/palyra.toml.
std::string default_config_path();

// $XDG_STATE_HOME/palyra, for root without one /var/lib/palyra; as palyrad has it.
std::string default_state_dir();

// --state-dir, or daemon.state_dir of the configuration made absolute against its folder, or the
// default, which also serves if the configuration cannot be parsed.
std::string find_state_dir(const GlobalOptions& options);

// Where the journal keeps its store, backups and archive, as the configuration says or by default.
struct StorePlaces {
  std::string store;
  std::string backups;
  std::string archive;
  std::string segments;
};
StorePlaces find_store(const GlobalOptions& options);

std::string endpoint_file(const std::string& state_dir);
std::string token_file(const std::string& state_dir);
std::string pid_file(const std::string& state_dir);
// Where the daemon logs: log.file of the configuration, or what `palyra daemon start` collects in
// the state directory.
std::string find_log(const GlobalOptions& options);
std::string collected_log(const std::string& state_dir);

// "host:port" of this machine only: localhost, 127.x.y.z or [::1].
bool is_loopback_endpoint(const std::string& endpoint);

// A small file without its last newline; empty optional if it cannot be read.
std::optional<std::string> read_small_file(const std::string& path);

}  // namespace palyra::cli
