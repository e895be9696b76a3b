// The files of archived segments that a store names. Backups share theirs, by digest, in the folder
// `segments` beside them.
#pragma once

#include "palyra/status.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace palyra::journal::backup {

// Of the backups in a directory.
inline std::string shared_segments(const std::string& directory) { return directory + "/segments"; }

struct SegmentFile {
  std::string name;
  uint64_t bytes = 0;
};

// Those that the database names; none for one that knows no archive.
Result<std::vector<SegmentFile>> segments_of(const std::string& database);

// Copies what `to` does not have yet, each durable under its name at once. The names of those that
// are in neither; a file that is not what its name says is none.
Result<std::vector<std::string>> copy_segments(const std::string& database, const std::string& from,
                                               const std::string& to);

// OK, or DATA_LOSS naming the files that are missing or are not what their names say.
Status check_segments(const std::string& database, const std::string& directory);

// Removes shared files that none of these databases names.
Status prune_segments(const std::vector<std::string>& databases, const std::string& directory);

}  // namespace palyra::journal::backup
