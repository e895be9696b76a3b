// What was erased is in no file of the store any more: pages, free pages, log, archive.
#include "plugins/journal/contract/backend.h"
#include "plugins/journal/contract/requests.h"
#include "plugins/journal/sqlite/store.h"
#include "plugins/journal/sqlite/test_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace palyra::journal::contract {
namespace {

namespace fs = std::filesystem;

constexpr char kSecret[] = "THE-COMBINATION-IS-12345";

class EraseTest : public testing::Test, public Backend {
 protected:
  EraseTest() { open(); }
  void open() {
    auto opened =
        SqliteStore::open({.path = directory_.store(), .archive_dir = archive_dir_}, clock, random);
    ASSERT_TRUE(opened.ok()) << opened.status().to_string();
    store_ = std::move(*opened);
  }
  SqliteStore& store() override { return *store_; }
  void alter_payload(const std::string&, uint64_t, const std::string&) override {}
  void lose_payload(const std::string&, uint64_t) override {}

  // Files in which the bytes are, of the store and what lies beside it.
  std::string found(const std::string& bytes) const {
    std::string names;
    for (const auto& entry : fs::recursive_directory_iterator(directory_.path())) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      std::ostringstream text;
      text << file.rdbuf();
      if (text.str().find(bytes) != std::string::npos) {
        names += entry.path().filename().string() + " ";
      }
    }
    return names;
  }
  Status clear_log() {
    v1::MaintainRequest request;
    request.set_clear_log(true);
    return maintain(request).status();
  }
  static v1::CommitRequest put(const std::string& key, const std::string& value,
                               const std::string& words) {
    v1::CommitRequest request;
    v1::PutDocument& document = *request.add_puts();
    document.set_collection("last");
    document.set_key(key);
    document.set_value(value);
    v1::IndexValue& index = *document.add_index_values();
    index.set_index("words");
    index.set_value(words);
    return request;
  }

  sqlite::TestDirectory directory_;
  std::string archive_dir_;
  std::unique_ptr<SqliteStore> store_;
};

TEST_F(EraseTest, ErasedBytesAreInNoFileOfTheStore) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 engine(seed);
  v1::DeclareRequest declare;
  declare.set_collection("last");
  declare.add_indexes()->set_name("words");
  declare.mutable_indexes(0)->set_kind(v1::INDEX_KIND_TEXT);
  ASSERT_TRUE(this->declare(declare).ok());
  // Much moves between pages: secrets of all sizes, documents that grow and shrink, strangers.
  for (int i = 0; i < 250; ++i) {
    const std::string stream = (i % 3 == 0 ? "secret/" : "other/") + std::to_string(i % 7);
    const size_t size = engine() % 5 == 0 ? engine() % 60'000 : engine() % 900;
    std::string payload(size, static_cast<char>('a' + i % 26));
    if (i % 3 == 0) payload.insert(engine() % (size + 1), kSecret);
    const std::string key = (i % 2 == 0 ? "secret" : "other") + std::to_string(engine() % 40);
    std::string value(engine() % 3000, 'v');
    if (i % 2 == 0) value += kSecret;
    v1::CommitRequest both = put(key, value, i % 2 == 0 ? kSecret : "harmless words");
    const v1::CommitRequest record = Commit().append(stream, payload);
    *both.add_appends() = record.appends(0);
    ASSERT_TRUE(commit(both).ok());
    if (i % 60 == 59) {
      v1::ArchiveRequest request;
      request.set_stream("secret/" + std::to_string(engine() % 7));
      ASSERT_TRUE(archive(request).ok());
    }
  }
  ASSERT_NE(found(kSecret), "");
  for (int i = 0; i < 7; ++i) {
    ASSERT_TRUE(erase({"secret/" + std::to_string(i), 1, 0, "asked to", "user:ann"}).ok());
  }
  for (int i = 0; i < 40; ++i) {
    const std::string key = "secret" + std::to_string(i);
    ASSERT_TRUE(commit(put(key, "[erased]", "")).ok());
  }
  EXPECT_NE(found(kSecret), "") << "it is still in the log";
  const Status cleared = clear_log();
  ASSERT_TRUE(cleared.ok()) << cleared.to_string();
  EXPECT_EQ(found(kSecret), "");
  EXPECT_EQ(found("combination"), "") << "a word of an index";
  for (int i = 0; i < 7; ++i) EXPECT_TRUE(verify("secret/" + std::to_string(i))->ok());
  ASSERT_TRUE(commit(Commit().append("s", "and on it goes")).ok());
  store_.reset();
  EXPECT_EQ(found(kSecret), "");
  open();
  EXPECT_EQ(read(contract::read("s"))->records_size(), 1);
}

TEST_F(EraseTest, TheLogIsNotClearedWhileAnOlderStateIsRead) {
  ASSERT_TRUE(commit(Commit().append("s", kSecret)).ok());
  {
    auto reader = sqlite::Database::open(directory_.store(), false);
    ASSERT_TRUE(reader.ok());
    ASSERT_TRUE((*reader)->execute("BEGIN").ok());
    ASSERT_TRUE((*reader)->number("SELECT count(*) FROM record").ok());
    ASSERT_TRUE(erase({"s", 1, 0, "asked to", "user:ann"}).ok());
    EXPECT_EQ(clear_log().code(), Code::kUnavailable);
    ASSERT_TRUE(commit(Commit().append("s", "meanwhile")).ok()) << "nobody waits behind it";
  }
  EXPECT_TRUE(clear_log().ok());
  EXPECT_EQ(found(kSecret), "");
}

TEST_F(EraseTest, ArchivedLogsKeepWhatWasErasedAndStillFollowEachOther) {
  store_.reset();
  archive_dir_ = directory_.path() + "/logs";
  open();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(commit(Commit().append("s", kSecret)).ok());
    ASSERT_TRUE(erase({"s", 1, 0, "asked to", "user:ann"}).ok());
    ASSERT_TRUE(clear_log().ok());
  }
  ASSERT_TRUE(commit(Commit().append("s", "later")).ok());
  store_.reset();
  const std::string where = found(kSecret);
  EXPECT_NE(where, "") << "a restore to a point in time needs it";
  EXPECT_EQ(where.find("sqlite"), std::string::npos) << where;
  const auto logs = sqlite::list_segments(archive_dir_);
  ASSERT_TRUE(logs.ok());
  ASSERT_GE(logs->size(), 4u);
  for (size_t i = 1; i < logs->size(); ++i) {
    EXPECT_TRUE((*logs)[i - 1].leads_to((*logs)[i])) << (*logs)[i].path;
  }
}

}  // namespace
}  // namespace palyra::journal::contract
