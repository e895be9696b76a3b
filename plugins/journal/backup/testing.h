// A store on disk under the tests of backups, with a truth to compare copies with.
#pragma once

#include "plugins/common/digest/digest.h"
#include "plugins/journal/backup/create.h"
#include "plugins/journal/backup/restore.h"
#include "plugins/journal/contract/backend.h"
#include "plugins/journal/contract/requests.h"
#include "plugins/journal/sqlite/files.h"
#include "plugins/journal/sqlite/store.h"
#include "plugins/journal/sqlite/test_directory.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace palyra::journal::backup {

class DiskStore : public contract::Backend {
 public:
  explicit DiskStore(std::string path, std::string archive = "")
      : path_(std::move(path)), archive_(std::move(archive)) {}
  Status open() {
    auto opened = SqliteStore::open({.path = path_, .archive_dir = archive_}, clock, random);
    if (!opened.ok()) return opened.status();
    store_ = std::move(*opened);
    return {};
  }
  void close() { store_.reset(); }
  SqliteStore& store() override { return *store_; }
  void alter_payload(const std::string&, uint64_t, const std::string&) override {}
  void lose_payload(const std::string&, uint64_t) override {}

  std::string last(const std::string& key) {
    const auto found = get("last", key);
    return found.ok() ? found->document().value() : found.status().to_string();
  }

 private:
  const std::string path_;
  const std::string archive_;
  std::unique_ptr<SqliteStore> store_;
};

inline void run_sql(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
}

// Runs fn in a process of its own; its exit code, or 128 + the signal that ended it.
template <typename Fn>
int in_child(Fn fn) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(fn());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// A store, and backups beside it.
class BackupTest : public testing::Test {
 protected:
  void write_some(int count, size_t bytes = 0) {
    ASSERT_TRUE(store_.open().ok());
    for (int i = 0; i < count; ++i) {
      const std::string text = "text " + std::to_string(i) + std::string(bytes, 'x');
      ASSERT_TRUE(
          store_.commit(contract::Commit().append("run/1", text).put("last", "run/1", text)).ok());
    }
    ASSERT_TRUE(store_.put_blob(contract::blob_part(digest::sha256("blob"), 0, "blob", true)).ok());
  }
  Result<Manifest> create(const std::string& name = "") {
    return backup::create({store_path_, backups_, name, kWallMs});
  }
  Result<Restored> restore(const std::string& file, bool force = false) {
    RestoreOptions options;
    options.store = store_path_;
    options.file = file;
    options.force = force;
    options.wall_ns = kWallMs * 1'000'000;
    return backup::restore(options);
  }
  // Makes the manifest fit the file, as a forger would.
  void sign_again(const std::string& name) {
    Manifest manifest = open_backup(file(name))->manifest;
    const auto digest = files::digest(file(name));
    manifest.size = digest->size;
    manifest.sha256 = digest::to_hex(digest->sha256);
    ASSERT_TRUE(files::write(manifest_of(backups_, name), to_json(manifest)).ok());
  }
  std::string file(const std::string& name) const { return database_of(backups_, name); }
  std::vector<std::string> files_there() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(backups_)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  // Moves the beginning of run/1 into a file of the archive; its path.
  std::string archive_some() {
    v1::ArchiveRequest request;
    request.set_stream("run/1");
    request.set_up_to_seq(20);
    const auto archived = store_.archive(request);
    EXPECT_TRUE(archived.ok()) << archived.status().to_string();
    return std::filesystem::directory_iterator(segments_)->path();
  }
  Result<Manifest> create_all(const std::string& name, int64_t after_ms = 0) {
    return backup::create({.store = store_path_,
                           .directory = backups_,
                           .name = name,
                           .wall_ms = kWallMs + after_ms,
                           .segments = segments_});
  }

  static constexpr int64_t kWallMs = 1'769'000'000'000;
  sqlite::TestDirectory directory_;
  const std::string store_path_ = directory_.store();
  const std::string backups_ = directory_.path() + "/backups";
  const std::string segments_ = directory_.path() + "/segments";
  DiskStore store_{store_path_};
};

}  // namespace palyra::journal::backup
