// SPDX-License-Identifier: Apache-2.0
// The manifest of a plugin file, read from its ELF note without running any of its code.
#pragma once

#include "palyra/status.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace palyra::host {

// Reads exactly `size` bytes at `offset`; false if they are not all there.
using ReadAt = std::function<bool(uint64_t offset, size_t size, void* out)>;

// The text of the first note of owner "Palyra" and type 1 in an ELF64 little-endian shared object
// of `file_size` bytes. Nothing in the file is trusted. Errors: INVALID_ARGUMENT (not such a file,
// or damaged), NOT_FOUND (no such note).
Result<std::string> read_manifest_note(const ReadAt& read_at, uint64_t file_size);
Result<std::string> read_manifest_note(std::string_view file);

// The same for a file on disk. Errors also: UNAVAILABLE (cannot be opened).
Result<std::string> read_manifest_file(const std::filesystem::path& path);

}  // namespace palyra::host
