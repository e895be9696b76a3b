// SPDX-License-Identifier: Apache-2.0
// Which plugins there are: the manifests of all files on the plugin path. Runs no plugin code.
#pragma once

#include "host/loader/manifest.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace palyra::host {

struct FoundPlugin {
  std::filesystem::path path;
  std::string manifest_text;  // byte for byte as in the note
  Manifest manifest;
};

struct Catalogue {
  std::vector<FoundPlugin> plugins;   // one for each id, the highest version
  std::vector<std::string> warnings;  // files that were passed over, each with its reason
  // Files that say which plugin they are but cannot be used: id -> reason.
  std::map<std::string, std::string> refused;

  const FoundPlugin* find(std::string_view id) const;
  std::vector<std::string> ids() const;
  std::vector<std::string> sections() const;
};

// Reads and checks one file. Errors: one sentence that starts with the path.
Result<FoundPlugin> inspect(const std::filesystem::path& file);

// All *.so files of the directories, in order of directory and name. A missing directory is a
// warning.
Catalogue scan(const std::vector<std::filesystem::path>& directories);

}  // namespace palyra::host
