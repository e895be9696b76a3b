// Reads a backup piece by piece, for who takes it elsewhere.
#pragma once

#include "palyra/service/v1/journal_backup.pb.h"
#include "palyra/status.hpp"

#include <string>

namespace palyra::journal::backup {

// Of the backups in `directory`. INVALID_ARGUMENT (a name or file that no backup has), NOT_FOUND
// (no such backup, or it was removed meanwhile), and what the disk says. Blocks.
Result<service::v1::BackupData> read_part(const std::string& directory,
                                          const service::v1::BackupPart& part);

}  // namespace palyra::journal::backup
