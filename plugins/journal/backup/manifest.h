// What a backup says of itself: NAME.json beside NAME.sqlite.
#pragma once

#include "palyra/status.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace palyra::journal::backup {

struct Manifest {
  static constexpr int64_t kFormat = 1;

  std::string name;
  int64_t schema_version = 0;
  int64_t created_ms = 0;  // wall time
  uint64_t position = 0;   // of the newest record in it
  uint64_t streams = 0;
  int64_t newest_record_ms = 0;
  uint64_t size = 0;        // bytes of the database
  std::string sha256;       // of the database, 64 hex digits
  std::string audit_head;   // hash of the last record of stream `audit`, hex; empty = none
  std::string log_salt;     // the log to replay first, 16 hex digits; empty = none
  int64_t log_frames = -1;  // of that log that are in the backup, at most; -1 = not known
  std::string version;      // of Palyra, when it was made
};

std::string to_json(const Manifest& manifest);
// INVALID_ARGUMENT for what is no manifest, FAILED_PRECONDITION for a newer format.
Result<Manifest> parse_manifest(const std::string& json);

// 1..64 of [A-Za-z0-9._-], beginning with a letter or digit: a name is never a path.
bool is_name(const std::string& name);
// "20260131T120005Z".
std::string time_name(int64_t wall_ms);

// Of a backup in its directory.
std::string database_of(const std::string& directory, const std::string& name);
std::string manifest_of(const std::string& directory, const std::string& name);

// "NAME.sqlite" or "NAME.json" -> the manifest and the database's path. NOT_FOUND, DATA_LOSS.
struct Backup {
  Manifest manifest;
  std::string path;
};
Result<Backup> open_backup(const std::string& file);
// OK, or DATA_LOSS if the manifest tells something else of the database than is in it.
Status check_facts(const Backup& backup);

// All of a directory, the newest first. An absent directory has none. `unreadable` gets a sentence
// for each manifest that tells nothing, such as one of a newer Palyra: what it needs is not known.
Result<std::vector<Manifest>> list_backups(const std::string& directory,
                                           std::vector<std::string>* unreadable = nullptr);

}  // namespace palyra::journal::backup
