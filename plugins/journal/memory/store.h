// The store in memory, for tests and the deterministic simulation: no threads, no clock, no file.
#pragma once

#include "palyra/world.hpp"
#include "plugins/journal/apply.h"
#include "plugins/journal/archive.h"
#include "plugins/journal/store.h"
#include "plugins/journal/uploads.h"
#include "plugins/journal/watch_hub.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace palyra::journal {

// Behaves as a real store does across a power cut. A commit waits in the current batch; sync, a
// function posted to the executor, makes the whole batch durable and visible at once; completions
// are posted behind it. crash() may come anywhere between:
//   before sync   the commit is lost and its completion never comes
//   after sync    the commit is there, and its completion never comes
// All functions on the executor's lane. The store must outlive what it posted.
class MemoryStore : public Store {
 public:
  struct Options {
    // Commits of one batch; more wait for the next sync.
    size_t group_commit_max = 64;
  };
  // Where a fault may be injected: the hook may call crash().
  enum class Step {
    kBeforeSync,
    kAfterSync,
    // A file of the archive is written and no record names it yet; an old one is about to be
    // removed.
    kFileWritten,
    kBeforeFileRemoved,
  };

  MemoryStore(const Clock& clock, Executor& executor, Random& random, Options options);
  MemoryStore(const Clock& clock, Executor& executor, Random& random);
  ~MemoryStore() override;

  // The power goes: the batch, all completions to come, watches and uploads are gone; what was
  // durable stays. The store may be used at once, by the next life of its user.
  void crash();
  void on_step(std::function<void(Step)> hook) { hook_ = std::move(hook); }
  // Sees each commit and its result in the order of the log, inside sync, before anybody is told.
  using OnCommit = std::function<void(const v1::CommitRequest&, const Result<v1::CommitResponse>&)>;
  void on_commit(OnCommit hook) { on_commit_ = std::move(hook); }
  // While not OK, every write fails with it ("disk full") and reads go on.
  void refuse_writes(Status status) { refusal_ = std::move(status); }
  // Batches made durable so far.
  uint64_t syncs() const { return syncs_; }
  // For tests of verification: the stored record, to be altered; null if there is none.
  v1::Record* stored(const std::string& stream, uint64_t seq);
  // The same of what the store holds of a stream's archive, in order; there is some.
  std::vector<SegmentRow>& archived(const std::string& stream);
  // The archive directory; what is in it survives a crash.
  MemorySegmentFiles& files() { return files_; }

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

 private:
  struct Data;
  class Audit;
  // Writes to the tables; gives back what to run once the batch is durable.
  using Job = std::function<std::function<void()>()>;

  // Runs on the lane, unless there is a crash first.
  void post(std::function<void()> fn);
  template <typename T, typename Fn>
  void write(Done<T> done, Fn fn);
  template <typename T, typename Fn>
  void answer(Done<T> done, Fn fn);
  // upkeep.cpp: one archiving, erasing or maintaining after the other.
  void upkeep(std::function<void()> begin);
  void next_upkeep();
  void upkeep_done();
  template <typename T>
  Done<T> ends_upkeep(Done<T> done);
  void write_archive(const v1::ArchiveRequest& request, Done<v1::ArchiveResponse> done);
  void write_erased(const EraseRequest& request, Done<v1::CommitResponse> done);
  v1::MaintainResponse report() const;
  uint64_t sweep(int64_t min_age_ns);
  // False: the hook has crashed the store.
  bool put_file(const SegmentRow& row, const std::string& bytes);
  bool remove_garbage();
  void sync();
  void scan(uint64_t from, const std::string& prefix, Done<WatchPage> done);

  const Clock& clock_;
  Executor& executor_;
  const Options options_;
  Applier applier_;
  std::unique_ptr<Data> data_;
  MemorySegmentFiles files_;
  Archive archive_{files_};
  Uploads uploads_;
  std::unique_ptr<WatchHub> watches_;
  std::deque<Job> batch_;
  bool sync_posted_ = false;
  std::deque<std::function<void()>> upkeep_;
  bool upkeep_runs_ = false;
  // Grows with each crash; what was posted before does not run.
  std::shared_ptr<uint64_t> life_;
  uint64_t syncs_ = 0;
  uint64_t commits_ = 0;
  Status refusal_;
  std::function<void(Step)> hook_;
  OnCommit on_commit_;
};

template <typename T, typename Fn>
void MemoryStore::write(Done<T> done, Fn fn) {
  batch_.push_back([this, done = std::move(done), fn = std::move(fn)]() -> std::function<void()> {
    Result<T> result = refusal_.ok() ? fn() : Result<T>(refusal_);
    return [done, result = std::move(result)] { done(result); };
  });
  if (!std::exchange(sync_posted_, true)) post([this] { sync(); });
}

}  // namespace palyra::journal
