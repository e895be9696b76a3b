// SPDX-License-Identifier: Apache-2.0
// Where palyra.toml and the state directory are looked for.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace palyra::host {

// Environment variables by name; injected, so that tests need not change the process.
using Environment = std::function<std::optional<std::string>(const char* name)>;
Environment process_environment();

// The files tried, in order: $PALYRA_CONFIG (then nothing else),
// $XDG_CONFIG_HOME/palyra/palyra.toml
// (~/.config without it), /etc/palyra/palyra.toml.
std::vector<std::filesystem::path> config_candidates(const Environment& environment);

// $XDG_STATE_HOME/palyra, ~/.local/state/palyra, or /var/lib/palyra for root and the homeless.
std::filesystem::path default_state_dir(const Environment& environment, bool is_root);

}  // namespace palyra::host
