#include "plugins/journal/sqlite/store.h"

#include "plugins/journal/query_plan.h"
#include "plugins/journal/request_check.h"
#include "plugins/journal/sqlite/schema.h"

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

Status closing() { return {Code::kUnavailable, "the journal is closing", PALYRA_ERROR_RETRYABLE}; }

uint64_t file_size(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

Result<std::unique_ptr<Database>> connect(const std::string& path, bool writer) {
  auto connection = Database::open(path, false);
  if (!connection.ok()) return connection.status();
  if (Status status = sqlite::configure(**connection, writer); !status.ok()) return status;
  return connection;
}

}  // namespace

// A write whose work is fn(wrote) -> Result<T>; `wrote` says that a failure left half of it.
template <typename T, typename Fn>
class SqliteStore::WriteOf : public Write {
 public:
  WriteOf(Done<T> done, Fn fn) : done_(std::move(done)), fn_(std::move(fn)) {}

  Status run() override {
    bool wrote = false;
    result_.emplace(fn_(wrote));
    return !result_->ok() && wrote ? result_->status() : Status();
  }
  void complete(const Status& batch) override {
    const bool refused = result_ && !result_->ok();
    done_(batch.ok() || refused ? std::move(*result_) : Result<T>(batch));
  }

 private:
  Done<T> done_;
  Fn fn_;
  std::optional<Result<T>> result_;
};

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(SqliteOptions options, const Clock& clock,
                                                       Random& random) {
  Result<sqlite::FileLock> lock = sqlite::FileLock::take(options.path + ".lock");
  if (!lock.ok()) return lock.status();
  Result<std::unique_ptr<Database>> db = Database::open(options.path, true);
  if (!db.ok()) return db.status();
  Status status = sqlite::configure(**db, true);
  if (status.ok()) status = sqlite::prepare_schema(**db, options.path);
  if (status.ok() && options.max_bytes != 0) {
    const std::string limit =
        "PRAGMA max_page_count=" + std::to_string(std::max<uint64_t>(options.max_bytes / 4096, 1));
    status = (*db)->execute(limit.c_str());
  }
  if (!status.ok()) return status;
  Result<Catalogue> catalogue = sqlite::load_catalogue(**db);
  if (!catalogue.ok()) return catalogue.status();

  std::vector<std::unique_ptr<Reader>> readers;
  for (size_t i = 0; i < options.readers; ++i) {
    auto connection = connect(options.path, false);
    if (!connection.ok()) return connection.status();
    readers.push_back(std::make_unique<Reader>(std::move(*connection)));
  }
  std::unique_ptr<SqliteStore> store(new SqliteStore(
      std::move(options), clock, random, std::move(*lock), std::move(*db), std::move(*catalogue)));
  status = store->start_checkpoints();
  if (status.ok()) status = store->load(std::move(readers));
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
      db_(std::move(db)),
      tables_(*db_),
      applier_(clock, random),
      staged_(std::move(catalogue)),
      begin_(db_->prepare("BEGIN IMMEDIATE")),
      commit_(db_->prepare("COMMIT")),
      rollback_(db_->prepare("ROLLBACK")),
      catalogue_(std::make_shared<const Catalogue>(staged_)),
      queue_(options_.group_commit_max) {}

Status SqliteStore::load(std::vector<std::unique_ptr<Reader>> readers) {
  readers_ = std::make_unique<ReaderPool>(std::move(readers));
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
  return {};
}

SqliteStore::~SqliteStore() {
  if (watches_) watches_->close(closing());
  queue_.close();
  if (writer_.joinable()) writer_.join();
  // A log that is kept keeps its size, too.
  (void)db_->execute("PRAGMA journal_size_limit=-1");
  if (archive_) (void)archive_->follow();
  checkpointer_.reset();
  if (readers_) readers_->close();
}

// ---- writes -----------------------------------------------------------------------------------

template <typename T, typename Fn>
void SqliteStore::write(Done<T> done, Fn fn) {
  std::unique_ptr<Write> write = std::make_unique<WriteOf<T, Fn>>(std::move(done), std::move(fn));
  if (!queue_.push(write)) write->complete(closing());
}

void SqliteStore::write_loop() {
  while (true) {
    Batch batch = queue_.take();
    if (!batch.empty()) run(std::move(batch));
    if (checkpointer_->take_finish()) checkpointer_->finish(*db_);
    if (queue_.closed()) return;
  }
}

void SqliteStore::run(Batch batch) {
  const Status status = write_all(batch);
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
  write(std::move(done), [this, request = std::move(request)](bool& wrote) {
    return applier_.commit(tables_, staged_, request, wrote);
  });
}

void SqliteStore::erase(EraseRequest request, Done<v1::CommitResponse> done) {
  write(std::move(done), [this, request = std::move(request)](bool& wrote) {
    return applier_.erase(tables_, request, wrote);
  });
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
  write(std::move(done), [this, request = std::move(request), uploader = std::move(uploader)](
                             bool& wrote) { return put_part(request, uploader, wrote); });
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

void SqliteStore::sweep_blobs(int64_t min_age_ns, Done<uint64_t> done) {
  const int64_t newest = clock_.wall_now() - min_age_ns;
  readers_->post([this, newest, done = std::move(done)](Reader* reader) {
    if (reader == nullptr) return done(closing());
    Result<std::vector<std::string>> unnamed = reader->unnamed_blobs(newest);
    if (!unnamed.ok()) return done(unnamed.status());
    if (unnamed->empty()) return done(uint64_t{0});
    // A blob that was asked for meanwhile is young again and stays.
    write<uint64_t>(done,
                    [this, newest, digests = std::move(*unnamed)](bool& wrote) -> Result<uint64_t> {
                      wrote = true;
                      uint64_t count = 0;
                      for (const std::string& digest : digests) {
                        const Result<bool> removed = tables_.remove_blob(digest, newest);
                        if (!removed.ok()) return removed.status();
                        count += *removed ? 1 : 0;
                      }
                      return count;
                    });
  });
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
    const std::lock_guard lock(shared_mutex_);
    response.set_write_refusal(write_refusal_);
    return response;
  });
}

std::shared_ptr<Watch> SqliteStore::watch(v1::WatchRequest request, WatchCallbacks callbacks) {
  return watches_->add(std::move(request), std::move(callbacks));
}

}  // namespace palyra::journal
