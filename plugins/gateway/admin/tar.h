// The frame of a tar archive, POSIX ustar: a header before each file, zeros behind it.
#pragma once

#include <cstdint>
#include <string>

namespace palyra::gateway::tar {

constexpr uint64_t kBlock = 512;

// 512 bytes of a regular file's header, mode 0600. `directory` (at most 155 bytes) and `name` (at
// most 100) are joined by a slash; sizes from 8 GiB on are written as GNU tar does.
std::string header(const std::string& directory, const std::string& name, uint64_t size,
                   int64_t time_s);
// Zeros behind a file of this size: it fills whole blocks.
std::string padding(uint64_t size);
// Two empty blocks.
std::string end();

}  // namespace palyra::gateway::tar
