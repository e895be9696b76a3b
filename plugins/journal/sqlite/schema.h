// The tables on disk and their versions. PRAGMA user_version holds the version, application_id says
// that the file is ours.
#pragma once

#include "palyra/status.hpp"
#include "plugins/journal/catalogue.h"
#include "plugins/journal/sqlite/database.h"

#include <cstdint>
#include <string>

namespace palyra::journal::sqlite {

// Bytes of a page of the file, SQLite's default.
constexpr uint64_t kPageSize = 4096;
// How long a connection waits for another one's lock.
constexpr int kBusyTimeoutMs = 5000;
constexpr int64_t kSchemaVersion = 3;
constexpr int64_t kApplicationId = 0x504C5952;  // "PLYR"

// Makes the schema or brings it forward, each step in its own transaction. Before a file is brought
// forward it is copied, once, to "PATH.before-vN"; RESOURCE_EXHAUSTED if there is no room for that.
// FAILED_PRECONDITION if the file is newer than this program or another program's; DATA_LOSS if it
// is damaged.
Status prepare_schema(Database& db, const std::string& path);
// How every connection is set up.
Status configure(Database& db, bool writer);
// Empty if tables, indexes, triggers and views are those that prepare_schema() makes; otherwise
// what is missing, other or more, in a sentence. Some of what the journal is sure of, the indexes
// see to.
Result<std::string> altered_schema(Database& db);
Result<Catalogue> load_catalogue(Database& db);
Status store_change(Database& db, const v1::DeclareRequest& request, const Catalogue& after,
                    const Catalogue::Change& change);

}  // namespace palyra::journal::sqlite
