#include "plugins/common/digest/digest.h"
#include "plugins/journal/backup/read.h"
#include "plugins/journal/backup/segments.h"
#include "plugins/journal/backup/testing.h"

#include <atomic>
#include <csignal>
#include <fstream>
#include <map>
#include <mutex>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace palyra::journal::backup {
namespace {

using contract::Commit;

TEST_F(BackupTest, OneOfABusyStoreIsExactlyTheStateAtItsPosition) {
  ASSERT_TRUE(store_.open().ok());
  // What each stream's newest record is at each position.
  std::map<uint64_t, std::pair<std::string, std::string>> truth;
  std::mutex mutex;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> written{0};
  std::thread writer([&] {
    for (uint64_t i = 0; !stop; ++i) {
      const std::string stream = "run/" + std::to_string(i % 5);
      const std::string text = std::to_string(i) + std::string(i % 3000, 'x');
      const auto done = store_.commit(Commit().append(stream, text).put("last", stream, text));
      ASSERT_TRUE(done.ok()) << done.status().to_string();
      const std::lock_guard lock(mutex);
      truth[done->position()] = {stream, text};
      written = i;
    }
  });
  while (written < 300) std::this_thread::yield();
  const uint64_t before = written;
  const auto made = create("busy");
  const uint64_t after = written;
  while (written < after + 20) std::this_thread::yield();
  stop = true;
  writer.join();
  ASSERT_TRUE(made.ok()) << made.status().to_string();
  EXPECT_GE(made->position, before);
  store_.close();
  const auto verified = verify(file("busy"));
  ASSERT_TRUE(verified.ok()) << verified.status().to_string();
  EXPECT_EQ(verified->check.records, made->position);
  const auto restored = restore(file("busy"), true);
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  EXPECT_EQ(restored->place.position, made->position);
  EXPECT_EQ(restored->runs, 5u);

  ASSERT_TRUE(store_.open().ok());
  std::map<std::string, std::string> expected;
  for (const auto& [position, what] : truth) {
    if (position <= made->position) expected[what.first] = what.second;
  }
  for (const auto& [stream, text] : expected) {
    EXPECT_EQ(store_.last(stream), text);
    EXPECT_EQ(store_.read(contract::read(stream, 0, 1, true))->records(0).payload(), text);
    EXPECT_TRUE(store_.verify(stream)->ok());
  }
  EXPECT_EQ(store_.info()->position(), made->position);
  store_.close();
  DiskStore old(restored->aside);
  ASSERT_TRUE(old.open().ok()) << "the store that was there is kept whole";
  EXPECT_EQ(old.info()->position(), truth.rbegin()->first);
}

TEST_F(BackupTest, ListsTheNewestFirstAndPrunesTheOldest) {
  write_some(3);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(backup::create({store_path_, backups_, "", kWallMs + i / 2 * 1000}).ok());
  }
  std::ofstream(backups_ + "/note.json") << "not a manifest";
  auto all = list_backups(backups_);
  ASSERT_EQ(all->size(), 4u);
  EXPECT_EQ((*all)[0].name, "20260121T125321Z-2");
  EXPECT_EQ((*all)[3].name, "20260121T125320Z");
  EXPECT_EQ(prune(backups_, 1)->backups.size(), 3u);
  all = list_backups(backups_);
  ASSERT_EQ(all->size(), 1u);
  EXPECT_TRUE(verify(file("20260121T125321Z-2")).ok());
  EXPECT_TRUE(list_backups(directory_.path() + "/nowhere")->empty());
}

TEST_F(BackupTest, ANameIsNeverAPath) {
  write_some(1);
  for (const std::string name : {"../escape", "/tmp/x", "a/b", ".hidden", "-o", "a b", "a\n"}) {
    EXPECT_EQ(create(name).status().code(), Code::kInvalidArgument) << name;
  }
  for (const std::string name : {"foo.sqlite", "foo.json"}) {
    EXPECT_EQ(create(name).status().code(), Code::kInvalidArgument) << "it would mean the file";
  }
  EXPECT_EQ(create(std::string(65, 'x')).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(create("good-1.0_x").ok());
  EXPECT_EQ(create("good-1.0_x").status().code(), Code::kAlreadyExists);
}

TEST_F(BackupTest, ATruncatedAlteredOrForeignFileIsRefusedAndTheStoreStays) {
  write_some(50);
  store_.close();
  ASSERT_TRUE(create("good").ok());
  const auto refused = [&](const std::string& name, Code code, const std::string& words) {
    for (const Status& status : {verify(file(name)).status(), restore(file(name), true).status()}) {
      EXPECT_EQ(status.code(), code) << name << ": " << status.to_string();
      EXPECT_NE(status.message().find(words), std::string::npos)
          << name << ": " << status.to_string();
    }
  };
  const auto copy_as = [&](const std::string& name) {
    for (const auto& path : {&database_of, &manifest_of}) {
      std::filesystem::copy_file((*path)(backups_, "good"), (*path)(backups_, name));
    }
  };
  copy_as("truncated");
  std::filesystem::resize_file(file("truncated"), 4096);
  refused("truncated", Code::kDataLoss, "truncated");
  copy_as("altered");
  {
    std::fstream altered(file("altered"), std::ios::in | std::ios::out | std::ios::binary);
    altered.seekp(9000);
    altered.put('!');
  }
  refused("altered", Code::kDataLoss, "SHA-256 differs");
  // Somebody who also makes the manifest anew is caught by the chain.
  copy_as("forged");
  run_sql(file("forged"), "UPDATE payload SET data=CAST('forged' AS BLOB) WHERE position=7");
  sign_again("forged");
  refused("forged", Code::kDataLoss, "record 7 of run/1");
  copy_as("foreign");
  std::filesystem::remove(file("foreign"));
  run_sql(file("foreign"), "CREATE TABLE theirs(x)");
  sign_again("foreign");
  refused("foreign", Code::kDataLoss, "not a database of Palyra");
  copy_as("newer");
  run_sql(file("newer"), "PRAGMA user_version=99");
  sign_again("newer");
  refused("newer", Code::kFailedPrecondition, "schema 99");
  copy_as("no-manifest");
  std::filesystem::remove(manifest_of(backups_, "no-manifest"));
  refused("no-manifest", Code::kNotFound, "manifest");
  copy_as("bad-manifest");
  std::ofstream(manifest_of(backups_, "bad-manifest")) << "{}";
  refused("bad-manifest", Code::kDataLoss, "not a manifest");
  copy_as("new-format");
  std::ofstream(manifest_of(backups_, "new-format")) << R"({"format": 2})";
  refused("new-format", Code::kFailedPrecondition, "format 2");

  ASSERT_TRUE(store_.open().ok());
  EXPECT_EQ(store_.info()->position(), 50u) << "nothing was lost";
  EXPECT_FALSE(files::exists(store_path_ + ".restoring"));
  EXPECT_TRUE(verify(file("good")).ok()) << "verifying changes nothing";
}

TEST_F(BackupTest, ARestoreOverALiveStoreIsRefusedNamingTheDaemon) {
  write_some(3);
  ASSERT_TRUE(create("b").ok());
  const Status live = restore(file("b"), true).status();
  EXPECT_EQ(live.code(), Code::kFailedPrecondition);
  EXPECT_NE(live.message().find("process " + std::to_string(::getpid())), std::string::npos)
      << live.to_string();
  EXPECT_TRUE(store_.commit(Commit().append("run/1", "alive")).ok());
  store_.close();
  const Status occupied = restore(file("b")).status();
  EXPECT_EQ(occupied.code(), Code::kFailedPrecondition);
  EXPECT_NE(occupied.message().find("--force"), std::string::npos) << occupied.to_string();
  const auto restored = restore(file("b"), true);
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  const auto again = restore(file("b"), true);
  ASSERT_TRUE(again.ok());
  EXPECT_NE(restored->aside, again->aside) << "each is kept";
  DiskStore old(restored->aside);
  ASSERT_TRUE(old.open().ok());
  EXPECT_EQ(old.info()->position(), 4u);
}

TEST_F(BackupTest, ARestoreMakesAStoreWhereThereWasNone) {
  write_some(3);
  ASSERT_TRUE(create("b").ok());
  store_.close();
  std::filesystem::remove(store_path_);  // its log stays, and must not be replayed
  ASSERT_TRUE(restore(file("b")).ok());
  ASSERT_TRUE(store_.open().ok());
  EXPECT_EQ(store_.info()->position(), 3u);
  EXPECT_TRUE(store_.commit(Commit().append("run/1", "on it goes", 3)).ok());
  v1::GetBlobRequest get;
  get.set_digest(digest::sha256("blob"));
  EXPECT_EQ(store_.get_blob(get)->data(), "blob");
}

TEST_F(BackupTest, ARestoreByRootIsTheDirectorysOwners) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  write_some(3);
  ASSERT_TRUE(create("b").ok());
  const std::string state = directory_.path() + "/state";
  std::filesystem::create_directory(state);
  ASSERT_EQ(::chown(state.c_str(), 12345, 12346), 0);
  // A restore that was killed left this; the owner made a link to what is not the owner's.
  std::ofstream(state + "/journal.sqlite.restoring") << "half";
  const std::string others = directory_.path() + "/others";
  std::ofstream(others) << "root's";
  std::filesystem::create_hard_link(others, state + "/journal.sqlite.lock");
  RestoreOptions options;
  options.store = state + "/journal.sqlite";
  options.file = file("b");
  options.wall_ns = kWallMs * 1'000'000;
  ASSERT_TRUE(backup::restore(options).ok());
  struct stat info {};
  ASSERT_EQ(::stat(options.store.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 12345u);
  EXPECT_EQ(info.st_gid, 12346u);
  ASSERT_EQ(::stat(others.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0u);
  std::ofstream(options.store + ".restoring-journal") << "half";
  remove_draft(options.store);
  EXPECT_FALSE(files::exists(options.store + ".restoring-journal"));
}

TEST_F(BackupTest, AFenceOfBeforeTheRestoreNeverHoldsAgain) {
  ASSERT_TRUE(store_.open().ok());
  const auto take = [&](const std::string& lease, const std::string& owner) {
    const auto taken = store_.commit(Commit().take(lease, owner, 1'000'000));
    return taken.ok() ? taken->lease_tokens(0) : 0;
  };
  const uint64_t in_backup = take("kept", "one");
  ASSERT_TRUE(create("b").ok());
  ASSERT_TRUE(store_.commit(Commit().release("kept", in_backup)).ok());
  // What the backup knows nothing of.
  const uint64_t later = take("kept", "two");
  const uint64_t fresh = take("fresh", "two");
  store_.close();
  ASSERT_TRUE(restore(file("b"), true).ok());
  ASSERT_TRUE(store_.open().ok());
  std::vector<uint64_t> old_tokens = {in_backup, later, fresh, 1, 2, 3};
  const auto expect_dead = [&](const char* when) {
    for (const uint64_t token : old_tokens) {
      for (const std::string lease : {"kept", "fresh", "never"}) {
        EXPECT_EQ(store_.commit(Commit().append("s", "x").fence(lease, token)).status().code(),
                  Code::kFailedPrecondition)
            << lease << " " << token << " " << when;
      }
    }
  };
  expect_dead("before anybody took it");
  for (int i = 0; i < 5; ++i) {
    for (const std::string lease : {"kept", "fresh", "never"}) {
      const uint64_t token = take(lease, "three");
      EXPECT_TRUE(store_.commit(Commit().append("s", "x").fence(lease, token)).ok());
      ASSERT_TRUE(store_.commit(Commit().release(lease, token)).ok());
    }
    expect_dead("while others take it");
  }
  // The same backup once more, later: the tokens of the life in between are dead, too.
  old_tokens.push_back(take("fresh", "three"));
  store_.close();
  RestoreOptions options;
  options.store = store_path_;
  options.file = file("b");
  options.force = true;
  options.wall_ns = (kWallMs + 1000) * 1'000'000;
  ASSERT_TRUE(backup::restore(options).ok());
  ASSERT_TRUE(store_.open().ok());
  take("fresh", "four");
  expect_dead("after the second restore");
}

TEST_F(BackupTest, TheFilesOfArchivedSegmentsAreKeptOnceForAllBackups) {
  write_some(30);
  v1::ArchiveRequest request;
  request.set_stream("run/1");
  request.set_up_to_seq(20);
  const auto archived = store_.archive(request);
  ASSERT_TRUE(archived.ok()) << archived.status().to_string();
  const std::string segments = directory_.path() + "/segments";
  for (const std::string name : {"one", "two"}) {
    const auto made = backup::create({.store = store_path_,
                                      .directory = backups_,
                                      .name = name,
                                      .wall_ms = kWallMs + (name == "two" ? 1 : 0),
                                      .segments = segments});
    ASSERT_TRUE(made.ok()) << made.status().to_string();
  }
  const auto count = [&] {
    return std::distance(std::filesystem::directory_iterator(backups_ + "/segments"), {});
  };
  EXPECT_EQ(count(), 1);
  store_.close();
  std::filesystem::remove_all(segments);
  const auto restored = restore(file("one"), true);
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  EXPECT_TRUE(restored->missing_segments.empty());
  ASSERT_TRUE(store_.open().ok());
  EXPECT_EQ(store_.read(contract::read("run/1", 1, 1))->records(0).seq(), 1u);
  EXPECT_TRUE(store_.verify("run/1")->ok());
  ASSERT_TRUE(prune(backups_, 1).ok());
  EXPECT_EQ(count(), 1) << "the one that stays needs it";
  EXPECT_TRUE(verify(file("two")).ok());
  // Cut off, altered with the same size, gone: verify and restore name the file to bring.
  const auto entry = *std::filesystem::directory_iterator(backups_ + "/segments");
  const std::string name = entry.path().filename();
  const auto size = entry.file_size();
  const std::string whole = *files::read(entry.path(), 1 << 20);
  store_.close();
  for (const char* how : {"cut", "altered", "gone"}) {
    SCOPED_TRACE(how);
    if (how == std::string("cut")) std::filesystem::resize_file(entry.path(), 10);
    if (how == std::string("altered")) {
      std::ofstream(entry.path(), std::ios::binary) << std::string(size, 'x');
    }
    if (how == std::string("gone")) std::filesystem::remove(entry.path());
    const Status damaged = verify(file("two")).status();
    EXPECT_EQ(damaged.code(), Code::kDataLoss);
    EXPECT_NE(damaged.message().find(name), std::string::npos) << damaged.message();
    std::filesystem::remove_all(segments);
    const auto part = restore(file("two"), true);
    ASSERT_TRUE(part.ok()) << part.status().to_string();
    EXPECT_EQ(part->missing_segments, std::vector<std::string>{name});
    EXPECT_EQ(part->segments, segments);
  }
  std::ofstream(segments + "/" + name, std::ios::binary) << whole;
  ASSERT_TRUE(store_.open().ok());
  EXPECT_EQ(store_.read(contract::read("run/1", 1, 1))->records_size(), 1) << "brought back";
}

TEST_F(BackupTest, AManifestThatTellsSomethingElseThanItsDatabaseIsFound) {
  write_some(30);
  const auto made = create("one");
  ASSERT_TRUE(made.ok()) << made.status().to_string();
  ASSERT_TRUE(verify(file("one")).ok());
  const auto expect_found = [&](const char* what, const std::function<void(Manifest&)>& alter) {
    Manifest manifest = *made;
    alter(manifest);
    ASSERT_TRUE(files::write(manifest_of(backups_, "one"), to_json(manifest)).ok());
    const Status found = verify(file("one")).status();
    EXPECT_EQ(found.code(), Code::kDataLoss) << what;
    EXPECT_NE(found.message().find(what), std::string::npos) << found.message();
  };
  expect_found("position", [](Manifest& manifest) { manifest.position = 5; });
  expect_found("streams", [](Manifest& manifest) { manifest.streams = 5; });
  expect_found("newest_record_ms", [](Manifest& manifest) { manifest.newest_record_ms = 5; });
  expect_found("audit_head",
               [](Manifest& manifest) { manifest.audit_head = std::string(64, 'a'); });
}

TEST_F(BackupTest, AlteredFilesOfArchivedSegmentsAreReplacedByWholeOnes) {
  write_some(30);
  const std::filesystem::path live = archive_some();
  ASSERT_TRUE(create_all("one").ok());
  const std::string shared = shared_segments(backups_) + "/" + live.filename().string();
  const std::string whole = *files::read(live, 1 << 20);
  std::string flipped = whole;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 1);
  for (const std::string& bytes : {flipped, whole.substr(0, 10), std::string()}) {
    SCOPED_TRACE(std::to_string(bytes.size()) + " bytes");
    std::ofstream(shared, std::ios::binary) << bytes;
    EXPECT_EQ(verify(file("one")).status().code(), Code::kDataLoss);
    const std::string name = "next-" + std::to_string(bytes.size());
    ASSERT_TRUE(create_all(name).ok());
    EXPECT_TRUE(verify(file(name)).ok()) << "a backup mends what backups share";
    store_.close();
    std::ofstream(live, std::ios::binary) << bytes;
    const auto restored = restore(file("one"), true);
    ASSERT_TRUE(restored.ok()) << restored.status().to_string();
    EXPECT_TRUE(restored->missing_segments.empty());
    EXPECT_EQ(*files::read(live, 1 << 20), whole) << "a restore mends what the store has";
    ASSERT_TRUE(store_.open().ok());
    EXPECT_TRUE(store_.verify("run/1")->ok());
  }
  // What is whole nowhere is told, and what backups have is not replaced by what is worse.
  std::ofstream(live, std::ios::binary) << flipped;
  std::vector<std::string> missing;
  const auto create_told = [&](const std::string& name) {
    return backup::create({.store = store_path_,
                           .directory = backups_,
                           .name = name,
                           .wall_ms = kWallMs,
                           .segments = segments_},
                          {}, &missing);
  };
  ASSERT_TRUE(create_told("kept").ok());
  EXPECT_TRUE(missing.empty());
  EXPECT_TRUE(verify(file("kept")).ok());
  std::filesystem::remove(shared);
  ASSERT_TRUE(create_told("lacking").ok());
  EXPECT_EQ(missing, std::vector<std::string>{live.filename()});
}

TEST_F(BackupTest, PiecesAreOfABackupAndOfNothingElse) {
  write_some(30);
  archive_some();
  const auto made = create_all("one");
  ASSERT_TRUE(made.ok()) << made.status().to_string();
  const auto part = [&](const std::string& name, const std::string& file_name = "",
                        uint64_t offset = 0) {
    v1::BackupPart wanted;
    wanted.set_name(name);
    wanted.set_file(file_name);
    wanted.set_offset(offset);
    return read_part(backups_, wanted);
  };
  const auto list = part("one");
  ASSERT_TRUE(list.ok()) << list.status().to_string();
  ASSERT_EQ(list->files_size(), 3);
  EXPECT_EQ(list->files(1).name(), "one.sqlite");
  EXPECT_EQ(list->files(1).size(), made->size);
  for (const auto& each : list->files()) {
    std::string bytes;
    while (bytes.size() < each.size()) {
      const auto piece = part("one", each.name(), bytes.size());
      ASSERT_TRUE(piece.ok()) << piece.status().to_string();
      ASSERT_FALSE(piece->data().empty());
      bytes += piece->data();
    }
    EXPECT_EQ(bytes, *files::read(backups_ + "/" + each.name(), size_t{64} << 20));
    EXPECT_TRUE(part("one", each.name(), each.size())->data().empty());
    EXPECT_TRUE(part("one", each.name(), UINT64_MAX)->data().empty());
  }
  EXPECT_EQ(part("two").status().code(), Code::kNotFound);
  EXPECT_EQ(part("../one").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(part("").status().code(), Code::kInvalidArgument);
  std::ofstream(backups_ + "/other.sqlite") << "not of this backup";
  for (const std::string path :
       {"other.sqlite", "../journal.sqlite", "/etc/passwd", "segments/../one.sqlite", "segments/",
        "segments/../../journal.sqlite", "one.sqlite/", "segments/one.sqlite"}) {
    EXPECT_EQ(part("one", path).status().code(), Code::kInvalidArgument) << path;
  }
}

TEST_F(BackupTest, ABackupLeavesTheReserveOfTheStoreFree) {
  write_some(3);
  CreateOptions options{store_path_, backups_, "one", kWallMs};
  options.reserve = uint64_t{1} << 60;
  const Status refused = backup::create(options).status();
  EXPECT_EQ(refused.code(), Code::kResourceExhausted);
  EXPECT_NE(refused.message().find("min_free_bytes"), std::string::npos) << refused.message();
  EXPECT_TRUE(list_backups(backups_)->empty());
  options.reserve = 1;
  EXPECT_TRUE(backup::create(options).ok());
}

TEST_F(BackupTest, AStopIsHeardWhereverTheBackupIs) {
  write_some(30, 50'000);
  archive_some();
  // Each report of progress once as the last one.
  size_t reports = SIZE_MAX;
  for (size_t last = 0; last < reports; ++last) {
    size_t seen = 0;
    uint64_t before = 0;
    const auto made = backup::create({.store = store_path_,
                                      .directory = backups_,
                                      .name = "b" + std::to_string(last),
                                      .wall_ms = kWallMs,
                                      .segments = segments_},
                                     [&](uint64_t done, uint64_t total) {
                                       EXPECT_LE(before, done) << "a bar does not go back";
                                       EXPECT_LE(done, total);
                                       before = done;
                                       return seen++ < last;
                                     });
    if (made.ok()) {
      reports = seen;
      EXPECT_GE(seen, 4u) << "pages, segments, digest";
    } else {
      EXPECT_EQ(made.status().code(), Code::kCancelled);
      EXPECT_TRUE(list_backups(backups_)->empty());
      for (const std::string& name : files_there()) {
        EXPECT_TRUE(name == ".lock" || name == "segments") << name;
      }
    }
  }
}

TEST_F(BackupTest, ACrashInTheMiddleLeavesNothingThatIsTakenForABackup) {
  write_some(60, 50'000);
  store_.close();
  for (const uint64_t part : {0u, 30u, 99u}) {
    const int code = in_child([&] {
      (void)backup::create({store_path_, backups_, "cut", kWallMs},
                           [&](uint64_t done, uint64_t total) {
                             if (done * 100 >= total * part) ::raise(SIGKILL);
                             return true;
                           });
      return 0;
    });
    ASSERT_EQ(code, 128 + SIGKILL) << part;
    EXPECT_TRUE(list_backups(backups_)->empty());
    EXPECT_EQ(verify(file("cut")).status().code(), Code::kNotFound);
  }
  EXPECT_GT(files_there().size(), 1u) << "the crash did leave something";
  ASSERT_TRUE(create("cut").ok());
  EXPECT_TRUE(verify(file("cut")).ok());
  EXPECT_EQ(files_there(), (std::vector<std::string>{".lock", "cut.json", "cut.sqlite"}))
      << "and the next one took it away";
}

TEST_F(BackupTest, AStoppedOneLeavesNothing) {
  write_some(20, 50'000);
  const auto made = backup::create({store_path_, backups_, "", kWallMs},
                                   [](uint64_t, uint64_t) { return false; });
  EXPECT_EQ(made.status().code(), Code::kCancelled);
  EXPECT_EQ(files_there(), std::vector<std::string>{".lock"});
}

TEST_F(BackupTest, AFullDiskEndsItInAClearSentenceAndHurtsNobody) {
  write_some(60, 50'000);
  store_.close();
  const int code = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{64 * 1024, 64 * 1024};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto made = create("full");
    const bool clear = made.status().code() == Code::kResourceExhausted &&
                       made.status().message().find("free space") != std::string::npos;
    if (!clear) std::fprintf(stderr, "%s\n", made.status().to_string().c_str());
    return clear ? 0 : 1;
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(files_there(), std::vector<std::string>{".lock"});
  const Status room = files::check_room(store_path_, uint64_t{1} << 60, "the backup");
  EXPECT_EQ(room.code(), Code::kResourceExhausted);
  EXPECT_NE(room.message().find("MiB free"), std::string::npos) << room.to_string();
  ASSERT_TRUE(store_.open().ok());
  EXPECT_EQ(store_.info()->position(), 60u);
}

}  // namespace
}  // namespace palyra::journal::backup
