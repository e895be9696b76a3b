// Whole files, made durable. Every function may be called from any thread and blocks on the disk.
#pragma once

#include "palyra/status.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace palyra::journal::files {

// Bytes done so far. False = stop: the function that reports then ends CANCELLED.
using Progress = std::function<bool(uint64_t done, uint64_t total)>;

struct Digest {
  std::string sha256;  // 32 bytes
  uint64_t size = 0;
};

// Errors name the path: NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED (full), UNAVAILABLE (I/O).
Status error(const std::string& path, int system_error);

bool exists(const std::string& path);
// 0 if there is none.
uint64_t size(const std::string& path);
// Bytes free where the file is or would be; UINT64_MAX if that cannot be told.
uint64_t free_bytes(const std::string& path);
// RESOURCE_EXHAUSTED unless there is room for `needed` bytes beside the file; `purpose` begins the
// sentence, such as "the backup".
Status check_room(const std::string& path, uint64_t needed, const std::string& purpose);

Result<Digest> digest(const std::string& path, const Progress& progress = {});
// `to` is made with mode 0600 and must not exist; synced. The digest is of what was read.
Result<Digest> copy(const std::string& from, const std::string& to, const Progress& progress = {});
// Whole content of a small file, at most `limit` bytes: OUT_OF_RANGE.
Result<std::string> read(const std::string& path, size_t limit);
// Makes or replaces the file, synced; not atomic.
Status write(const std::string& path, std::string_view content);
Status sync(const std::string& path);
// Of the directory that holds the path.
Status sync_directory_of(const std::string& path);
// Then synced, so that the new name survives.
Status rename(const std::string& from, const std::string& to);
// Absent is no error.
Status remove(const std::string& path);
// With its parents, mode 0700.
Status make_directory(const std::string& path);

}  // namespace palyra::journal::files
