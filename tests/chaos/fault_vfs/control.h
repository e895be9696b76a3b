// What a test and the faulty file system in the daemon share: a file of this shape, mapped by both.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace palyra::chaos {

enum class StoreFile : uint32_t { kDatabase, kLog };
constexpr int kStoreFiles = 2;
enum class Operation : uint32_t { kWrite, kSync, kTruncate };
constexpr int kOperations = 3;
// Where in an operation the power goes.
enum class Cut : uint32_t { kBefore, kTorn, kAfter };
constexpr int kCuts = 3;
// A place where the power can go.
struct StorePoint {
  StoreFile file = StoreFile::kLog;
  Operation operation = Operation::kWrite;
  Cut cut = Cut::kBefore;
  bool operator==(const StorePoint&) const = default;
};

// What every such operation answers while it lasts.
enum class Fault : uint32_t { kNone, kFull, kWriteError, kSyncError, kReadError };

// All zero = nothing happens. The test writes the first part, the daemon the second.
struct FaultControl {
  // Such operations on such a file until the power goes, that one included: 1 = the next one. 0 =
  // never.
  std::atomic<int64_t> countdown;
  std::atomic<StoreFile> file;
  std::atomic<Operation> operation;
  std::atomic<bool> any;  // on any file, whatever the two above say
  std::atomic<Cut> cut;
  // Percent of the writes since the last sync of their file that the disk did not keep.
  std::atomic<uint32_t> loss;
  std::atomic<uint64_t> seed;  // which of them
  std::atomic<Fault> fault;

  std::atomic<uint64_t> operations;
  std::atomic<uint64_t> refused;  // operations that failed by `fault`
  std::atomic<uint64_t> lost;     // writes that the power cut undid
  std::atomic<bool> was_cut;
};

// Names the file with the control in the daemon's environment; without it nothing is faulty.
constexpr char kControlVariable[] = "PALYRA_FAULT_CONTROL";

// Maps the control at `path`, which is made if need be. Null if that fails. Never unmapped.
FaultControl* map_control(const std::string& path);

const char* name_of(StoreFile file);
const char* name_of(Operation operation);
const char* name_of(Cut cut);

}  // namespace palyra::chaos
