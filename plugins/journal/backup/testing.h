// A store on disk under the tests of backups, with a truth to compare copies with.
#pragma once

#include "plugins/journal/backup/create.h"
#include "plugins/journal/backup/restore.h"
#include "plugins/journal/contract/backend.h"
#include "plugins/journal/contract/requests.h"
#include "plugins/journal/sqlite/store.h"
#include "plugins/journal/sqlite/test_directory.h"

#include <memory>
#include <string>
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

}  // namespace palyra::journal::backup
