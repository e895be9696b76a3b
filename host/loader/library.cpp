// SPDX-License-Identifier: Apache-2.0
#include "host/loader/library.h"

#include <boost/dll/shared_library.hpp>

#include <cstddef>

namespace palyra::host {
namespace {

class LoadedLibrary final : public Library {
 public:
  LoadedLibrary(boost::dll::shared_library library, const palyra_plugin* plugin)
      : library_(std::move(library)), plugin_(plugin) {}
  const palyra_plugin& plugin() const override { return *plugin_; }

 private:
  boost::dll::shared_library library_;
  const palyra_plugin* plugin_;
};

// `query` is the last member of version 0.9 and may be null; all others are needed.
constexpr size_t kSmallestDescriptor = offsetof(palyra_plugin, query) + sizeof(void*);

Status check_descriptor(const FoundPlugin& found, const palyra_plugin* plugin) {
  const std::string file = found.path.string();
  if (plugin == nullptr) {
    return {Code::kFailedPrecondition, file + ": palyra_plugin_entry returned no descriptor"};
  }
  if (plugin->struct_size < kSmallestDescriptor) {
    return {Code::kFailedPrecondition, file + ": its descriptor is too small; rebuild the plugin"};
  }
  if (plugin->abi_major != PALYRA_ABI_MAJOR || plugin->abi_minor > PALYRA_ABI_MINOR) {
    return {Code::kFailedPrecondition,
            file + " speaks plugin ABI " + std::to_string(plugin->abi_major) + '.' +
                std::to_string(plugin->abi_minor) + ", this host speaks " +
                std::to_string(PALYRA_ABI_MAJOR) + '.' + std::to_string(PALYRA_ABI_MINOR)};
  }
  if (plugin->manifest.ptr == nullptr || view(plugin->manifest) != found.manifest_text) {
    return {Code::kFailedPrecondition,
            file +
                ": the manifest of its descriptor is not that of its ELF note; rebuild it with "
                "palyra_add_plugin"};
  }
  if (plugin->create == nullptr || plugin->init == nullptr || plugin->start == nullptr ||
      plugin->drain == nullptr || plugin->stop == nullptr || plugin->destroy == nullptr) {
    return {Code::kFailedPrecondition, file + ": its descriptor lacks a lifecycle function"};
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<Library>> load(const FoundPlugin& found) {
  namespace dll = boost::dll;
  const std::string file = found.path.string();
  try {
    // The throwing overload: only it says what the dynamic linker missed.
    dll::shared_library library(std::filesystem::absolute(found.path),
                                dll::load_mode::rtld_now | dll::load_mode::rtld_local);
    if (!library.has(PALYRA_PLUGIN_ENTRY)) {
      return Status(Code::kFailedPrecondition, file + ": exports no " PALYRA_PLUGIN_ENTRY);
    }
    const auto entry = library.get<const palyra_plugin*()>(PALYRA_PLUGIN_ENTRY);
    const palyra_plugin* plugin = entry();
    if (Status status = check_descriptor(found, plugin); !status.ok()) return status;
    return std::shared_ptr<Library>(std::make_shared<LoadedLibrary>(std::move(library), plugin));
  } catch (const std::exception& error) {
    return Status(Code::kFailedPrecondition, file + ": " + error.what());
  } catch (...) {
    return Status(Code::kFailedPrecondition, file + ": threw while it was loaded");
  }
}

}  // namespace palyra::host
