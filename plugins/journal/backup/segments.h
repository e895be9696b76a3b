// The files of archived segments that a store names. Backups share theirs, by digest, in the folder
// `segments` beside them.
#pragma once

#include "palyra/status.hpp"
#include "plugins/journal/sqlite/files.h"

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::journal::backup {

// Of the backups in a directory.
inline std::string shared_segments(const std::string& directory) { return directory + "/segments"; }

// A name that the journal makes from a digest.
bool is_segment_name(std::string_view name);

// FAILED_PRECONDITION if the shared folder of the backups in `directory` is the store's own one,
// `segments`: removing old backups would remove what the store reads. Empty = there is no store.
Status check_apart(const std::string& directory, const std::string& segments);

struct SegmentFile {
  std::string name;
  uint64_t bytes = 0;
};

// Those that the database names; none for one that knows no archive.
Result<std::vector<SegmentFile>> segments_of(const std::string& database);

// Copies what `to` does not have yet, each durable under its name at once; a file there that is not
// what its name says is replaced. The names of those that are whole in neither. CANCELLED, and what
// the disk says.
Result<std::vector<std::string>> copy_segments(const std::string& database, const std::string& from,
                                               const std::string& to,
                                               const files::Progress& progress = {});

// OK, or DATA_LOSS naming the files that are missing or are not what their names say.
Status check_segments(const std::string& database, const std::string& directory);

// Removes files of segments, finished or not, but for those of `needed`; files of another kind
// stay.
Status prune_segments(const std::set<std::string>& needed, const std::string& directory);

}  // namespace palyra::journal::backup
