// SPDX-License-Identifier: Apache-2.0
#include "host/loader/catalogue.h"

#include "host/loader/elf_note.h"

#include <algorithm>

namespace palyra::host {
namespace {

// The shared libraries of `directory` by name.
Result<std::vector<std::filesystem::path>> libraries(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  std::filesystem::directory_iterator it(directory, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    if (it->path().extension() == ".so") files.push_back(it->path());
  }
  if (error) {
    return Status(Code::kNotFound,
                  "plugin path " + directory.string() + " cannot be read: " + error.message());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

const FoundPlugin* Catalogue::find(std::string_view id) const {
  const auto it = std::find_if(plugins.begin(), plugins.end(), [id](const FoundPlugin& plugin) {
    return plugin.manifest.id == id;
  });
  return it == plugins.end() ? nullptr : &*it;
}

std::vector<std::string> Catalogue::ids() const {
  std::vector<std::string> out;
  for (const auto& plugin : plugins) out.push_back(plugin.manifest.id);
  return out;
}

std::vector<std::string> Catalogue::sections() const {
  std::vector<std::string> out;
  for (const auto& plugin : plugins) {
    if (!plugin.manifest.section.empty()) out.push_back(plugin.manifest.section);
  }
  return out;
}

Result<FoundPlugin> inspect(const std::filesystem::path& file) {
  auto text = read_manifest_file(file);
  if (!text) return Status(text.status().code(), file.string() + " " + text.status().message());
  auto manifest = parse_manifest(*text);
  if (!manifest) {
    return Status(manifest.status().code(),
                  file.string() + " cannot be used: " + manifest.status().message());
  }
  if (manifest->abi_major != PALYRA_ABI_MAJOR || manifest->abi_minor > PALYRA_ABI_MINOR) {
    return Status(Code::kFailedPrecondition,
                  file.string() + " was built for plugin ABI " +
                      std::to_string(manifest->abi_major) + '.' +
                      std::to_string(manifest->abi_minor) + ", this host speaks " +
                      std::to_string(PALYRA_ABI_MAJOR) + '.' + std::to_string(PALYRA_ABI_MINOR) +
                      "; install a matching version of the plugin or of palyrad");
  }
  return FoundPlugin{file, std::move(*text), std::move(*manifest)};
}

Catalogue scan(const std::vector<std::filesystem::path>& directories) {
  Catalogue catalogue;
  for (const auto& directory : directories) {
    auto files = libraries(directory);
    if (!files) {
      catalogue.warnings.push_back(files.status().message());
      continue;
    }
    for (const auto& file : *files) {
      auto found = inspect(file);
      if (!found) {
        catalogue.warnings.push_back(found.status().message());
        if (const auto text = read_manifest_file(file)) {
          if (const auto manifest = parse_manifest(*text)) {
            catalogue.refused.emplace(manifest->id, found.status().message());
          }
        }
        continue;
      }
      const auto same = std::find_if(
          catalogue.plugins.begin(), catalogue.plugins.end(),
          [&](const FoundPlugin& other) { return other.manifest.id == found->manifest.id; });
      if (same == catalogue.plugins.end()) {
        catalogue.plugins.push_back(std::move(*found));
        continue;
      }
      FoundPlugin loser = std::move(*found);
      if (compare_versions(loser.manifest.version, same->manifest.version) > 0) {
        std::swap(*same, loser);
      }
      catalogue.warnings.push_back(
          loser.path.string() + " (" + loser.manifest.id + ' ' + loser.manifest.version +
          ") is passed over: " + same->path.string() + " has version " + same->manifest.version);
    }
  }
  return catalogue;
}

}  // namespace palyra::host
