// Writes to a store for ever and says on standard output what was acknowledged: the process that
// the fault tests kill. journal_writer PATH SEED [ARCHIVE]: lines "STREAM SEQ".
#include "plugins/journal/sqlite/store.h"
#include "plugins/journal/sqlite/system_world.h"

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <unistd.h>

namespace palyra::journal {
namespace {

int write_for_ever(const char* path, uint64_t seed, const char* archive) {
  SystemWorld world;
  auto store = SqliteStore::open({.path = path, .archive_dir = archive}, world, world);
  if (!store.ok()) {
    const std::string text = store.status().to_string() + "\n";
    (void)!::write(STDERR_FILENO, text.data(), text.size());
    return 1;
  }
  std::mutex mutex;
  std::condition_variable changed;
  int in_flight = 0;
  std::mt19937_64 engine(seed);
  while (true) {
    v1::CommitRequest request;
    v1::Append* const append = request.add_appends();
    append->set_stream("s/" + std::to_string(engine() % 8));
    v1::NewRecord* const record = append->add_records();
    record->set_type("noted");
    record->set_payload(std::string(engine() % 3000, 'x'));
    v1::PutDocument* const put = request.add_puts();
    put->set_collection("last");
    put->set_key(append->stream());
    put->set_value(record->payload());
    // A store that is restored elsewhere has no files of segments.
    if (std::string_view(archive).empty() && engine() % 64 == 0) {
      v1::ArchiveRequest oldest;
      oldest.set_stream(append->stream());
      (*store)->archive(std::move(oldest), [](const Result<v1::ArchiveResponse>&) {});
    }
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return in_flight < 16; });
      ++in_flight;
    }
    (*store)->commit(std::move(request), [&](Result<v1::CommitResponse> result) {
      if (result.ok()) {
        // One write a line, so that a line is there whole or not at all.
        const std::string line = result->appended(0).stream() + " " +
                                 std::to_string(result->appended(0).last_seq()) + "\n";
        (void)!::write(STDOUT_FILENO, line.data(), line.size());
      }
      const std::lock_guard lock(mutex);
      --in_flight;
      changed.notify_one();
    });
  }
}

}  // namespace
}  // namespace palyra::journal

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) return 2;
  return palyra::journal::write_for_ever(argv[1], std::strtoull(argv[2], nullptr, 10),
                                         argc == 4 ? argv[3] : "");
}
