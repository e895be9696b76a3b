#include "tests/chaos/fault_vfs/control.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace palyra::chaos {

FaultControl* map_control(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return nullptr;
  void* at = MAP_FAILED;
  if (::ftruncate(fd, sizeof(FaultControl)) == 0) {
    at = ::mmap(nullptr, sizeof(FaultControl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  ::close(fd);
  return at == MAP_FAILED ? nullptr : static_cast<FaultControl*>(at);
}

const char* name_of(StoreFile file) { return file == StoreFile::kLog ? "log" : "database"; }

const char* name_of(Operation operation) {
  switch (operation) {
    case Operation::kWrite:
      return "write";
    case Operation::kSync:
      return "sync";
    case Operation::kTruncate:
      return "truncate";
  }
  return "?";
}

const char* name_of(Cut cut) {
  switch (cut) {
    case Cut::kBefore:
      return "before";
    case Cut::kTorn:
      return "torn";
    case Cut::kAfter:
      return "after";
  }
  return "?";
}

}  // namespace palyra::chaos
