// [storage] of palyra.toml.
#pragma once

#include "palyra/status.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace palyra::journal {

struct Config {
  // Absolute; empty = journal.sqlite in the instance's state directory.
  std::string path;
  size_t group_commit_max = 256;
  size_t readers = 2;
  // Absolute; empty = segments/ beside the store.
  std::string segments_dir;
  // 0 = no limit but the disk's; else at least 4 MiB.
  uint64_t max_bytes = 0;
  uint64_t min_free_bytes = 64u << 20;
  // Absolute; empty = backups beside the store.
  std::string backup_dir;
  // 0 = all.
  size_t backups_keep = 0;
  bool archive = false;
  // Absolute; empty = archive beside the store.
  std::string archive_dir;
};

// From the JSON that the host has validated. INVALID_ARGUMENT names the key.
Result<Config> parse_config(std::string_view json);

}  // namespace palyra::journal
