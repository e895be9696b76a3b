// The store on SQLite: what the daemon uses by default.
#pragma once

#include "palyra/world.hpp"
#include "plugins/journal/apply.h"
#include "plugins/journal/archive.h"
#include "plugins/journal/catalogue.h"
#include "plugins/journal/sqlite/checkpointer.h"
#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/sqlite/file_lock.h"
#include "plugins/journal/sqlite/reader_pool.h"
#include "plugins/journal/sqlite/space_guard.h"
#include "plugins/journal/sqlite/tables.h"
#include "plugins/journal/sqlite/wal_archive.h"
#include "plugins/journal/sqlite/write_queue.h"
#include "plugins/journal/store.h"
#include "plugins/journal/uploads.h"
#include "plugins/journal/watch_hub.h"

#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace palyra::journal {

struct SqliteOptions {
  std::string path;
  // Writes that may share one sync, 1..1,000.
  size_t group_commit_max = 256;
  // Reading threads, 1..16.
  size_t readers = 2;
  // What may wait for the writer; more ends RESOURCE_EXHAUSTED, retryable.
  sqlite::WriteQueue::Bounds queue = {};
  // The database grows no further: writes that need more end RESOURCE_EXHAUSTED. 0 = no limit but
  // the disk's.
  uint64_t max_bytes = 0;
  // Where every life of the log is archived, for restores to a point in time; empty = nowhere.
  std::string archive_dir = {};
  // Below so much free space no new stream begins; see SpaceGuard.
  uint64_t min_free_bytes = 0;
  // Records that are verified at the opening; 0 = none, for who looks at a damaged store.
  uint64_t checked_records = 1000;
  // Of archived segments; empty = segments/ beside the store.
  std::string segments_dir = {};
};

// Threads: one writer, which alone writes and completes writes; the readers, which complete reads
// and deliver watches; one that makes checkpoints beside the writer, so that no commit pays for
// them; one for upkeep, which archives, erases and sweeps, one thing after the other.
//
// What always holds: a batch is one transaction, synchronous FULL, so a commit is completed after
// the sync that makes it durable; conditions are checked before the first row is written, so a
// refused commit costs its batch nothing; an error of the disk rolls back and fails the whole
// batch; after a failed sync nothing is written any more until the store is opened again, because
// what the kernel kept is unknown. One process at a time has the store open.
class SqliteStore : public Store {
 public:
  // Makes the file if there is none, brings an older one forward, and verifies the newest records.
  // FAILED_PRECONDITION (in use, newer schema), PERMISSION_DENIED, DATA_LOSS, RESOURCE_EXHAUSTED.
  // `clock` and `random` outlive the store; `random` is used by the writer only.
  static Result<std::unique_ptr<SqliteStore>> open(SqliteOptions options, const Clock& clock,
                                                   Random& random);
  // Completes everything that waits: writes are still written.
  ~SqliteStore() override;

  void commit(v1::CommitRequest request, Done<v1::CommitResponse> done) override;
  void read(v1::ReadRequest request, Done<v1::ReadResponse> done) override;
  void get(v1::GetRequest request, Done<v1::GetResponse> done) override;
  void query(v1::QueryRequest request, Done<v1::QueryResponse> done) override;
  void put_blob(v1::PutBlobRequest request, std::string uploader,
                Done<v1::PutBlobResponse> done) override;
  void get_blob(v1::GetBlobRequest request, Done<v1::GetBlobResponse> done) override;
  void declare(v1::DeclareRequest request, Done<v1::DeclareResponse> done) override;
  void verify(v1::VerifyRequest request, Done<v1::VerifyResponse> done) override;
  void info(Done<v1::InfoResponse> done) override;
  std::shared_ptr<Watch> watch(v1::WatchRequest request, WatchCallbacks callbacks) override;
  void erase(EraseRequest request, Done<v1::CommitResponse> done) override;
  void heads(v1::HeadsRequest request, Done<v1::HeadsResponse> done) override;
  void verify_store(v1::VerifyStoreRequest request, Done<v1::VerifyStoreResponse> done) override;
  void list_streams(v1::ListStreamsRequest request, Done<v1::ListStreamsResponse> done) override;
  void sweep_blobs(int64_t min_age_ns, Done<uint64_t> done) override;
  void archive(v1::ArchiveRequest request, Done<v1::ArchiveResponse> done) override;
  void maintain(v1::MaintainRequest request, Done<v1::MaintainResponse> done) override;

  // Null without one.
  sqlite::WalArchive* archive() { return archive_.get(); }

 private:
  template <typename T, typename Fn>
  class WriteOf;

  SqliteStore(SqliteOptions options, const Clock& clock, Random& random, sqlite::FileLock lock,
              std::unique_ptr<sqlite::Database> db, Catalogue catalogue);
  Status start_checkpoints();
  Status load();

  // `bytes`: what the write holds while it waits.
  template <typename T, typename Fn>
  void write(Done<T> done, Fn fn, size_t bytes = 0);
  template <typename T, typename Fn>
  void answer(Done<T> done, Fn fn);
  void write_loop();
  void look_for_space();
  sqlite::Room room(uint64_t pages, uint64_t free_pages) const;

  // upkeep.cpp, on the thread of upkeep.
  template <typename T, typename Fn>
  Result<T> write_now(Fn fn);
  template <typename T, typename Fn>
  void keep_up(Done<T> done, Fn fn);
  Result<v1::ArchiveResponse> archive_now(sqlite::Reader& reader,
                                          const v1::ArchiveRequest& request);
  Result<v1::CommitResponse> erase_now(sqlite::Reader& reader, EraseRequest request);
  Result<uint64_t> sweep_now(sqlite::Reader& reader, int64_t min_age_ns);
  Result<v1::MaintainResponse> maintain_now(sqlite::Reader& reader,
                                            const v1::MaintainRequest& request);
  // Waits for the writer, and a little for readers.
  Status clear_log();
  void clear_log_if_due();
  // The file is durable and will be removed unless a segment becomes its own.
  Status put_file(const std::string& digest, const std::string& bytes);
  Status remove_garbage(sqlite::Reader& reader);

  void run(sqlite::Batch batch);
  Status write_all(sqlite::Batch& batch);
  void roll_back();
  void note(const Status& status);
  std::shared_ptr<const Catalogue> catalogue() const;
  Result<v1::PutBlobResponse> put_part(const v1::PutBlobRequest& request,
                                       const std::string& uploader, bool& wrote);

  const SqliteOptions options_;
  const Clock& clock_;
  const sqlite::FileLock lock_;
  DirectorySegmentFiles files_;
  Archive segments_{files_};
  sqlite::SpaceGuard space_;

  // The writer's.
  std::unique_ptr<sqlite::Database> db_;
  sqlite::SqliteTables tables_;
  Applier applier_;
  Uploads uploads_;
  // Uploads of this life are numbered behind those on disk.
  uint64_t upload_base_ = 0;
  uint64_t durable_position_ = 0;
  Catalogue staged_;
  bool staged_changed_ = false;
  // A sync failed.
  Status broken_;
  sqlite::Statement begin_, commit_, rollback_;
  // The thread of upkeep asks for it and waits; under shared_mutex_.
  std::shared_ptr<std::promise<Status>> log_cleared_;
  std::atomic<bool> clear_log_due_{false};

  // Everybody's.
  mutable std::mutex shared_mutex_;
  std::shared_ptr<const Catalogue> catalogue_;
  std::string write_refusal_;
  std::atomic<uint64_t> position_{0};
  std::atomic<uint64_t> commits_{0};
  std::atomic<uint64_t> syncs_{0};
  std::atomic<bool> closing_{false};

  sqlite::WriteQueue queue_;
  std::unique_ptr<WatchHub> watches_;
  std::unique_ptr<sqlite::ReaderPool> readers_;
  std::unique_ptr<sqlite::WalArchive> archive_;
  std::unique_ptr<sqlite::ReaderPool> upkeep_;
  std::unique_ptr<sqlite::Checkpointer> checkpointer_;
  std::thread writer_;
};

}  // namespace palyra::journal
