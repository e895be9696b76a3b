#include "plugins/journal/sqlite/store.h"

#include "plugins/journal/query_plan.h"
#include "plugins/journal/request_check.h"
#include "plugins/journal/sqlite/full_check.h"
#include "plugins/journal/sqlite/read_ahead.h"
#include "plugins/journal/sqlite/schema.h"
#include "plugins/journal/sqlite/store_write.h"

#include <sqlite3.h>

#include <algorithm>
#include <optional>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <utility>

namespace palyra::journal {

using sqlite::Batch;
using sqlite::Checkpointer;
using sqlite::Database;
using sqlite::Reader;
using sqlite::ReaderPool;
using sqlite::Write;

namespace {

// What an opener looks at before it trusts the store.
constexpr uint64_t kCheckedBytes = 4 << 20;

uint64_t file_size(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

Result<std::unique_ptr<Database>> connect(const std::string& path, bool writer) {
  auto connection = Database::open(path, false, writer ? nullptr : sqlite::read_ahead_vfs());
  if (!connection.ok()) return connection.status();
  if (Status status = sqlite::configure(**connection, writer); !status.ok()) return status;
  return connection;
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

// A new store is not begun, without a word, where one was.
Status refuse_a_lost_store(const std::string& path) {
  if (file_size(path) > 0) return {};
  for (const char* suffix : {"-wal", ".checked"}) {
    const std::string left = path + suffix;
    if (file_size(left) == 0) continue;
    return {Code::kFailedPrecondition,
            "journal " + path + " is not there any more, and " + left +
                ", which belongs to it, is; bring a backup back with: palyra backup restore; to "
                "begin anew, move that file away"};
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(SqliteOptions options, const Clock& clock,
                                                       Random& random) {
  Result<sqlite::FileLock> lock = sqlite::FileLock::take(options.path + ".lock");
  if (!lock.ok()) return lock.status();
  if (options.archive_dir.empty()) {
    if (Status status = sqlite::WalArchive::forget(options.path); !status.ok()) return status;
  }
  Status status = refuse_a_lost_store(options.path);
  if (!status.ok()) return status;
  Result<std::unique_ptr<Database>> db = Database::open(options.path, true);
  if (!db.ok()) return db.status();
  status = sqlite::configure(**db, true);
  if (status.ok()) status = sqlite::prepare_schema(**db, options.path);
  if (status.ok() && options.max_bytes != 0) {
    const std::string limit =
        "PRAGMA max_page_count=" +
        std::to_string(std::max<uint64_t>(options.max_bytes / sqlite::kPageSize, 1));
    status = (*db)->execute(limit.c_str());
  }
  if (status.ok()) {
    status = sqlite::check_newest(**db, options.checked_records, kCheckedBytes);
    if (status.code() == Code::kDataLoss) {
      status = Status(Code::kDataLoss, "journal " + options.path + ": " + status.message() +
                                           "; bring a backup back with: palyra backup restore "
                                           "--force (the damaged store is kept)");
    }
  }
  if (!status.ok()) return status;
  Result<Catalogue> catalogue = sqlite::load_catalogue(**db);
  if (!catalogue.ok()) return catalogue.status();

  if (options.segments_dir.empty()) options.segments_dir = directory_of(options.path) + "/segments";
  std::unique_ptr<SqliteStore> store(new SqliteStore(
      std::move(options), clock, random, std::move(*lock), std::move(*db), std::move(*catalogue)));
  status = store->start_checkpoints();
  if (status.ok()) status = store->load();
  if (!status.ok()) return status;
  return store;
}

Status SqliteStore::start_checkpoints() {
  std::unique_ptr<Database> guard;
  const std::string& directory = options_.archive_dir;
  if (!directory.empty()) {
    auto archive = sqlite::WalArchive::open(directory, options_.path);
    if (!archive.ok()) return archive.status();
    archive_ = std::move(*archive);
    // What a crash left. If it cannot be archived now, no checkpoint is made until it can.
    (void)archive_->follow();
    auto connection = connect(options_.path, false);
    if (!connection.ok()) return connection.status();
    guard = std::move(*connection);
  }
  auto connection = connect(options_.path, true);
  if (!connection.ok()) return connection.status();
  checkpointer_ = std::make_unique<Checkpointer>(std::move(*connection), std::move(guard),
                                                 archive_.get(), [this] { queue_.nudge(); });
  return {};
}

SqliteStore::SqliteStore(SqliteOptions options, const Clock& clock, Random& random,
                         sqlite::FileLock lock, std::unique_ptr<Database> db, Catalogue catalogue)
    : options_(std::move(options)),
      clock_(clock),
      lock_(std::move(lock)),
      files_(options_.segments_dir),
      space_(clock, directory_of(options_.path), options_.min_free_bytes, options_.max_bytes),
      db_(std::move(db)),
      tables_(*db_),
      applier_(clock, random),
      staged_(std::move(catalogue)),
      begin_(db_->prepare("BEGIN IMMEDIATE")),
      commit_(db_->prepare("COMMIT")),
      rollback_(db_->prepare("ROLLBACK")),
      catalogue_(std::make_shared<const Catalogue>(staged_)),
      queue_(options_.group_commit_max, options_.queue) {}

Status SqliteStore::load() {
  // The last one is upkeep's.
  std::vector<std::unique_ptr<Reader>> readers;
  for (size_t i = 0; i < options_.readers + 1; ++i) {
    auto connection = connect(options_.path, false);
    if (!connection.ok()) return connection.status();
    readers.push_back(std::make_unique<Reader>(std::move(*connection), segments_));
  }
  std::vector<std::unique_ptr<Reader>> keeper;
  keeper.push_back(std::move(readers.back()));
  readers.pop_back();
  readers_ = std::make_unique<ReaderPool>(std::move(readers));
  upkeep_ = std::make_unique<ReaderPool>(std::move(keeper));
  const Result<int64_t> position = db_->number("SELECT max(position) FROM record");
  if (!position.ok()) return position.status();
  const Result<int64_t> upload = db_->number("SELECT max(upload) FROM blob_part");
  if (!upload.ok()) return upload.status();
  Status status = db_->execute(
      "DELETE FROM blob_part WHERE upload IN (SELECT id FROM upload); DELETE FROM upload;");
  if (!status.ok()) return status;
  upload_base_ = static_cast<uint64_t>(*upload);
  durable_position_ = static_cast<uint64_t>(*position);
  applier_.set_position(durable_position_);
  position_ = durable_position_;
  watches_ = std::make_unique<WatchHub>(
      [this](uint64_t from, const std::string& prefix, Done<WatchPage> done) {
        readers_->post([from, prefix, done = std::move(done)](Reader* reader) {
          done(reader != nullptr ? reader->scan(from, prefix) : Result<WatchPage>(closing()));
        });
      },
      durable_position_);
  Checkpointer::reserve(*db_, options_.path);
  sqlite3_wal_hook(
      db_->raw(),
      [](void* checkpointer, sqlite3*, const char*, int pages) {
        static_cast<Checkpointer*>(checkpointer)->log_has(pages);
        return SQLITE_OK;
      },
      checkpointer_.get());
  writer_ = std::thread([this] { write_loop(); });
  // What a crash in the middle of an archiving or an erasure has left.
  upkeep_->post([this](Reader* reader) {
    if (reader != nullptr) (void)remove_garbage(*reader);
  });
  return {};
}

SqliteStore::~SqliteStore() {
  if (watches_) watches_->close(closing());
  closing_ = true;
  // It waits for writes of its own, so it ends while the writer still writes.
  if (upkeep_) upkeep_->close();
  queue_.close();
  if (writer_.joinable()) writer_.join();
  // A log that is kept keeps its size, too.
  (void)db_->execute("PRAGMA journal_size_limit=-1");
  if (archive_) (void)archive_->follow();
  checkpointer_.reset();
  if (readers_) readers_->close();
}

// ---- writes -----------------------------------------------------------------------------------

void SqliteStore::write_loop() {
  while (true) {
    Batch batch = queue_.take();
    if (!batch.empty()) run(std::move(batch));
    if (checkpointer_->take_finish()) checkpointer_->finish(*db_);
    clear_log_if_due();
    if (queue_.closed()) return;
  }
}

sqlite::Room SqliteStore::room(uint64_t pages, uint64_t free_pages) const {
  sqlite::Room room;
  struct statvfs disk {};
  if (::statvfs(options_.path.c_str(), &disk) == 0) {
    room.disk_free = uint64_t{disk.f_bavail} * disk.f_frsize;
  }
  room.file_free = free_pages * sqlite::kPageSize;
  room.used = (pages - std::min(pages, free_pages)) * sqlite::kPageSize;
  return room;
}

// Before a batch: whether new work is taken.
void SqliteStore::look_for_space() {
  if (space_.due()) {
    const Result<int64_t> pages = db_->number("PRAGMA page_count");
    const Result<int64_t> free_pages = db_->number("PRAGMA freelist_count");
    if (pages.ok() && free_pages.ok()) {
      space_.look(room(static_cast<uint64_t>(*pages), static_cast<uint64_t>(*free_pages)));
    }
  }
  applier_.refuse_new(space_.refusal());
}

void SqliteStore::run(Batch batch) {
  look_for_space();
  const Status status = write_all(batch);
  if (status.ok()) space_.wrote();
  if (status.code() == Code::kResourceExhausted) space_.failed();
  if (status.ok()) {
    if (std::exchange(staged_changed_, false)) {
      auto published = std::make_shared<const Catalogue>(staged_);
      const std::lock_guard lock(shared_mutex_);
      catalogue_ = std::move(published);
    }
    durable_position_ = applier_.position();
    position_ = durable_position_;
    commits_ += batch.size();
    ++syncs_;
  } else {
    roll_back();
  }
  note(status);
  for (const auto& write : batch) write->complete(status);
  watches_->advanced(durable_position_);
}

Status SqliteStore::write_all(Batch& batch) {
  if (!broken_.ok()) return broken_;
  if (Status status = db_->status(begin_.step()); !status.ok()) return status;
  for (const auto& write : batch) {
    if (Status status = write->run(); !status.ok()) return status;
  }
  const int code = commit_.step();
  Status status = db_->status(code);
  if (code == SQLITE_IOERR_FSYNC) {
    broken_ = Status(status.code(), status.message() +
                                        "; nothing is written until the daemon is restarted, "
                                        "because what the disk kept is unknown");
  }
  return status;
}

void SqliteStore::roll_back() {
  if (sqlite3_get_autocommit(db_->raw()) == 0) (void)rollback_.step();
  tables_.forget();
  applier_.set_position(durable_position_);
  uploads_.clear();
  staged_ = *catalogue();
  staged_changed_ = false;
}

void SqliteStore::note(const Status& status) {
  const std::lock_guard lock(shared_mutex_);
  write_refusal_ = status.message();
}

void SqliteStore::commit(v1::CommitRequest request, Done<v1::CommitResponse> done) {
  if (Status status = check(request); !status.ok()) {
    return answer(std::move(done),
                  [status](Reader&) { return Result<v1::CommitResponse>(status); });
  }
  const size_t bytes = request.ByteSizeLong();
  write(
      std::move(done),
      [this, request = std::move(request)](bool& wrote) {
        return applier_.commit(tables_, staged_, request, wrote);
      },
      bytes);
}

void SqliteStore::declare(v1::DeclareRequest request, Done<v1::DeclareResponse> done) {
  write(std::move(done),
        [this, request = std::move(request)](bool& wrote) -> Result<v1::DeclareResponse> {
          if (Status status = check(request); !status.ok()) return status;
          const Result<Catalogue::Change> change = staged_.declare(request);
          if (!change.ok()) return change.status();
          if (!change->any) return v1::DeclareResponse();
          wrote = staged_changed_ = true;
          Status status = sqlite::store_change(*db_, request, staged_, *change);
          if (!status.ok()) return status;
          return v1::DeclareResponse();
        });
}

void SqliteStore::put_blob(v1::PutBlobRequest request, std::string uploader,
                           Done<v1::PutBlobResponse> done) {
  const size_t bytes = request.data().size();
  write(
      std::move(done),
      [this, request = std::move(request), uploader = std::move(uploader)](bool& wrote) {
        return put_part(request, uploader, wrote);
      },
      bytes);
}

Result<v1::PutBlobResponse> SqliteStore::put_part(const v1::PutBlobRequest& request,
                                                  const std::string& uploader, bool& wrote) {
  if (Status status = check(request); !status.ok()) return status;
  v1::PutBlobResponse response;
  const Result<bool> exists = tables_.touch_blob(request.digest(), clock_.wall_now());
  if (!exists.ok()) return exists.status();
  response.set_exists(*exists);
  if (*exists) return response;
  uint64_t failed = 0;
  const Result<Uploads::Step> step = uploads_.accept(request, uploader, failed);
  // Refused, but what came before goes too.
  if (failed != 0) {
    Status status = tables_.drop_parts(upload_base_ + failed);
    if (status.ok()) status = tables_.end_upload(upload_base_ + failed);
    wrote = !status.ok();
    if (wrote) return status;
  }
  if (!step.ok()) return step.status();
  wrote = true;
  const uint64_t id = upload_base_ + step->id;
  Status status;
  if (step->dropped != 0) {
    status = tables_.drop_parts(upload_base_ + step->dropped);
    if (status.ok()) status = tables_.end_upload(upload_base_ + step->dropped);
  }
  if (status.ok() && !step->fresh.empty()) status = tables_.put_part(id, step->offset, step->fresh);
  if (status.ok() && step->first && !step->complete) status = tables_.begin_upload(id);
  if (status.ok() && step->complete) {
    status = tables_.put_blob(request.digest(), id, step->offset + step->fresh.size(),
                              clock_.wall_now());
    if (status.ok() && !step->first) status = tables_.end_upload(id);
  }
  if (!status.ok()) return status;
  return response;
}

// ---- reads ------------------------------------------------------------------------------------

template <typename T, typename Fn>
void SqliteStore::answer(Done<T> done, Fn fn) {
  readers_->post([done = std::move(done), fn = std::move(fn)](Reader* reader) {
    done(reader != nullptr ? fn(*reader) : Result<T>(closing()));
  });
}

std::shared_ptr<const Catalogue> SqliteStore::catalogue() const {
  const std::lock_guard lock(shared_mutex_);
  return catalogue_;
}

void SqliteStore::read(v1::ReadRequest request, Done<v1::ReadResponse> done) {
  answer(std::move(done),
         [request = std::move(request)](Reader& reader) -> Result<v1::ReadResponse> {
           Status status = check(request);
           if (!status.ok()) return status;
           return reader.read(request);
         });
}

void SqliteStore::get(v1::GetRequest request, Done<v1::GetResponse> done) {
  answer(std::move(done),
         [request = std::move(request)](Reader& reader) -> Result<v1::GetResponse> {
           Status status = check(request);
           if (!status.ok()) return status;
           return reader.get(request);
         });
}

void SqliteStore::query(v1::QueryRequest request, Done<v1::QueryResponse> done) {
  answer(std::move(done),
         [this, request = std::move(request)](Reader& reader) -> Result<v1::QueryResponse> {
           if (Status status = check(request); !status.ok()) return status;
           const Result<QueryPlan> plan = plan_query(request, *catalogue());
           if (!plan.ok()) return plan.status();
           return reader.query(*plan);
         });
}

void SqliteStore::get_blob(v1::GetBlobRequest request, Done<v1::GetBlobResponse> done) {
  answer(std::move(done),
         [request = std::move(request)](Reader& reader) -> Result<v1::GetBlobResponse> {
           Status status = check(request);
           if (!status.ok()) return status;
           return reader.get_blob(request);
         });
}

void SqliteStore::verify(v1::VerifyRequest request, Done<v1::VerifyResponse> done) {
  answer(std::move(done),
         [request = std::move(request)](Reader& reader) -> Result<v1::VerifyResponse> {
           Status status = check(request);
           if (!status.ok()) return status;
           return reader.verify(request);
         });
}

void SqliteStore::heads(v1::HeadsRequest request, Done<v1::HeadsResponse> done) {
  answer(std::move(done),
         [this, request = std::move(request)](Reader& reader) -> Result<v1::HeadsResponse> {
           Status status = check(request);
           if (!status.ok()) return status;
           return reader.audit().heads(request, position_);
         });
}

void SqliteStore::verify_store(v1::VerifyStoreRequest request, Done<v1::VerifyStoreResponse> done) {
  answer(std::move(done), [this, request = std::move(request)](Reader& reader) {
    return reader.audit().verify(request, position_);
  });
}

void SqliteStore::list_streams(v1::ListStreamsRequest request, Done<v1::ListStreamsResponse> done) {
  answer(std::move(done),
         [this, request = std::move(request)](Reader& reader) -> Result<v1::ListStreamsResponse> {
           Status status = check(request);
           if (!status.ok()) return status;
           return reader.audit().list(request, position_);
         });
}

void SqliteStore::info(Done<v1::InfoResponse> done) {
  answer(std::move(done), [this](Reader& reader) -> Result<v1::InfoResponse> {
    v1::InfoResponse response;
    response.set_backend("sqlite");
    response.set_location(options_.path);
    response.set_schema_version(static_cast<uint32_t>(sqlite::kSchemaVersion));
    response.set_position(position_);
    response.set_size_bytes(file_size(options_.path) + file_size(options_.path + "-wal"));
    struct statvfs disk {};
    if (::statvfs(options_.path.c_str(), &disk) == 0) {
      response.set_free_bytes(uint64_t{disk.f_bavail} * disk.f_frsize);
    }
    // Streams are never removed, so the last id is their number.
    const Result<int64_t> streams = reader.number("SELECT max(id) FROM stream");
    if (streams.ok()) response.set_streams(static_cast<uint64_t>(*streams));
    response.set_commits(commits_);
    response.set_syncs(syncs_);
    if (space_.due()) {
      // Without work nobody else looks.
      const Result<int64_t> pages = reader.number("PRAGMA page_count");
      const Result<int64_t> free_pages = reader.number("PRAGMA freelist_count");
      if (pages.ok() && free_pages.ok()) {
        space_.look(room(static_cast<uint64_t>(*pages), static_cast<uint64_t>(*free_pages)));
      }
    }
    const Status space = space_.refusal();
    const std::lock_guard lock(shared_mutex_);
    response.set_write_refusal(write_refusal_.empty() ? space.message() : write_refusal_);
    return response;
  });
}

std::shared_ptr<Watch> SqliteStore::watch(v1::WatchRequest request, WatchCallbacks callbacks) {
  return watches_->add(std::move(request), std::move(callbacks));
}

}  // namespace palyra::journal
