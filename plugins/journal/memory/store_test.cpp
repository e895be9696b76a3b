#include "plugins/journal/memory/store.h"

#include "plugins/journal/contract/archive_fixture.h"
#include "plugins/journal/contract/backend.h"
#include "plugins/journal/contract/requests.h"

namespace palyra::journal {
namespace contract {
namespace {

class MemoryBackend : public Backend {
 public:
  MemoryStore& store() override { return store_; }
  void pump() override { executor_.run_all(); }
  bool has_threads() const override { return false; }
  void alter_payload(const std::string& stream, uint64_t seq, const std::string& payload) override {
    store_.stored(stream, seq)->set_payload(payload);
  }
  void lose_payload(const std::string& stream, uint64_t seq) override {
    store_.stored(stream, seq)->clear_payload();
    store_.stored(stream, seq)->clear_salt();
    store_.stored(stream, seq)->set_erased(true);
  }

  SegmentFiles& files() override { return store_.files(); }

  StepExecutor executor_;
  MemoryStore store_{clock, executor_, random};
};

INSTANTIATE_TEST_SUITE_P(Memory, JournalContract,
                         testing::Values(BackendFactory{
                             "memory", [] { return std::unique_ptr<Backend>(new MemoryBackend); }}),
                         [](const auto& made) { return std::string(made.param.name); });

INSTANTIATE_TEST_SUITE_P(Memory, JournalArchive,
                         testing::Values(BackendFactory{
                             "memory", [] { return std::unique_ptr<Backend>(new MemoryBackend); }}),
                         [](const auto& made) { return std::string(made.param.name); });

struct MemoryStoreTest : testing::Test {
  MemoryBackend backend;
  int completed = 0;
  void commit(const std::string& stream) {
    backend.store().commit(Commit().append(stream, "x"), [this](Result<v1::CommitResponse> result) {
      EXPECT_TRUE(result.ok());
      ++completed;
    });
  }
  uint64_t head(const std::string& stream) { return backend.read(read(stream))->head_seq(); }
};

TEST_F(MemoryStoreTest, ACrashBeforeTheSyncLosesTheCommitSilently) {
  commit("s");
  backend.store().crash();
  backend.pump();
  EXPECT_EQ(completed, 0);
  EXPECT_EQ(head("s"), 0u);
  commit("s");
  backend.pump();
  EXPECT_EQ(completed, 1);
}

TEST_F(MemoryStoreTest, ACrashBetweenSyncAndCompletionKeepsTheCommit) {
  commit("s");
  backend.store().on_step([this](MemoryStore::Step step) {
    if (step == MemoryStore::Step::kAfterSync) backend.store().crash();
  });
  backend.pump();
  EXPECT_EQ(completed, 0);
  EXPECT_EQ(head("s"), 1u);
}

TEST_F(MemoryStoreTest, CommitsOfOneMomentShareASync) {
  for (int i = 0; i < 100; ++i) commit("s");
  backend.pump();
  EXPECT_EQ(completed, 100);
  EXPECT_EQ(backend.store().syncs(), 2u);
}

TEST_F(MemoryStoreTest, AFullDiskRefusesWritesAndReadsGoOn) {
  commit("s");
  backend.pump();
  backend.store().refuse_writes(Status(Code::kResourceExhausted, "disk full"));
  EXPECT_EQ(backend.commit(Commit().append("s", "x")).status().code(), Code::kResourceExhausted);
  EXPECT_EQ(head("s"), 1u);
  EXPECT_EQ(backend.info()->write_refusal(), "disk full");
}

TEST_F(MemoryStoreTest, ACrashAtAnyStepOfArchivingLosesNothingAndLeavesNoFile) {
  using Step = MemoryStore::Step;
  for (const Step at :
       {Step::kFileWritten, Step::kBeforeSync, Step::kAfterSync, Step::kBeforeFileRemoved}) {
    SCOPED_TRACE(static_cast<int>(at));
    MemoryBackend life;
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(life.commit(Commit().append("s", "kept")).ok());
    v1::ArchiveRequest request;
    request.set_stream("s");
    request.set_up_to_seq(3);
    bool crashed = false;
    const auto crash_at = [&](Step step) {
      if (step == at && !std::exchange(crashed, true)) life.store_.crash();
    };
    life.store_.on_step(crash_at);
    life.store_.archive(request, [](const Result<v1::ArchiveResponse>&) {});
    life.pump();
    life.store_.erase({"s", 1, 2, "why", "who"}, [](const Result<v1::CommitResponse>&) {});
    life.pump();
    life.store_.on_step(nullptr);
    // The next life.
    ASSERT_TRUE(life.maintain({}).ok());
    const auto verdict = life.verify("s");
    EXPECT_TRUE(verdict->ok()) << verdict->reason();
    EXPECT_EQ(verdict->archive_missing(), 0u);
    EXPECT_EQ(life.read(read("s", 5, 1))->records(0).payload(), "kept");
    EXPECT_EQ(life.store_.files().files.size(), life.maintain({})->archived_segments());
    ASSERT_TRUE(life.erase({"s", 1, 2, "again", "who"}).ok());
    request.set_up_to_seq(0);
    ASSERT_TRUE(life.archive(request).ok());
    EXPECT_TRUE(life.read(read("s", 1, 1))->records(0).erased());
    EXPECT_TRUE(life.verify("s")->ok());
  }
}

TEST_F(MemoryStoreTest, NothingRunsAfterTheStoreIsGone) {
  StepExecutor executor;
  {
    MemoryStore store(backend.clock, executor, backend.random);
    store.commit(Commit().append("s", "x"), [](Result<v1::CommitResponse>) { FAIL(); });
  }
  executor.run_all();
}

}  // namespace
}  // namespace contract
}  // namespace palyra::journal
