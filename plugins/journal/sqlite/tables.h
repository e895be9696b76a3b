// The writer's side of the tables on disk.
#pragma once

#include "plugins/journal/apply.h"
#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/sqlite/segment_rows.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace palyra::journal::sqlite {

// Heads of the streams used last: two generations, the older one forgotten when the younger is
// full.
class HeadCache {
 public:
  explicit HeadCache(size_t capacity) : capacity_(capacity) {}
  const StreamHead* find(const std::string& stream);
  void put(std::string_view stream, const StreamHead& head);
  void clear();

 private:
  const size_t capacity_;
  std::unordered_map<std::string, StreamHead> young_;
  std::unordered_map<std::string, StreamHead> old_;
};

// A restored store forgets tokens that were given out after the backup. So that none of them is
// ever given to somebody else, a restore writes this row: tokens of all leases go on above its
// token. No caller can name it, since names have at least one byte.
constexpr char kLeaseFloorName[] = "";

// One thread, inside a transaction of `db`. After a rollback call forget().
class SqliteTables : public Tables {
 public:
  explicit SqliteTables(Database& db);

  void forget() { heads_.clear(); }

  void begin() override;
  Result<StreamHead> head(const std::string& stream) override;
  Status append(StreamHead& head, const RecordRow& row) override;
  Result<uint64_t> version(const std::string& collection, const std::string& key) override;
  Result<std::optional<std::string>> unique_owner(int64_t index_id,
                                                  const std::string& value) override;
  Status put(const std::string& collection, const std::string& key, std::string_view value,
             uint64_t version, std::span<const IndexEntry> entries) override;
  Status remove(const std::string& collection, const std::string& key) override;
  Result<LeaseRow> lease(const std::string& name) override;
  Status put_lease(const std::string& name, const LeaseRow& lease) override;
  Status erase(const std::string& stream, uint64_t first_seq, uint64_t last_seq) override;
  Result<std::vector<SegmentRow>> segments(const std::string& stream) override;
  Status close_segment(const std::string& stream, const SegmentRow& row) override;
  Status replace_segment(const std::string& stream, const SegmentRow& row) override;
  Status put_garbage(const std::string& digest) override;
  Status remove_garbage(const std::string& digest) override;

  // The blob's age is counted from `now` again. False if there is none.
  Result<bool> touch_blob(const std::string& digest, int64_t now);
  // An upload that is not in one part is written down, so that its parts go if it is never
  // completed.
  Status begin_upload(uint64_t upload) { return run(begin_upload_.bind(1, upload)); }
  Status end_upload(uint64_t upload) { return run(end_upload_.bind(1, upload)); }
  Status put_part(uint64_t upload, uint64_t start, std::string_view data);
  Status put_blob(const std::string& digest, uint64_t upload, uint64_t size, int64_t now);
  Status drop_parts(uint64_t upload);
  // True if it was there and not younger than `newest`.
  Result<bool> remove_blob(const std::string& digest, int64_t newest);

 private:
  // A document as it is stored.
  struct Stored {
    std::string collection;
    std::string key;
    int64_t id = 0;  // 0 = none
    uint64_t version = 0;
    std::string entries;  // see index_entries.h
  };

  Status run(Statement& statement) { return db_.status(statement.step()); }
  // Looks a document up and remembers it until begin().
  Result<Stored*> look_up(const std::string& collection, const std::string& key);
  // What version() found, in any order; looked up if it was not asked.
  Result<Stored*> known(const std::string& collection, const std::string& key);
  Status remove_entry(const IndexEntry& entry, const std::string& key);
  Status put_segment(int64_t stream, const SegmentRow& row);

  Database& db_;
  // The token before the first of a lease that was never taken; see kLeaseFloorName.
  Result<uint64_t> lease_floor();

  HeadCache heads_{4096};
  std::optional<uint64_t> lease_floor_;
  Statement find_stream_, last_record_, add_stream_, add_record_, add_payload_;
  Statement find_document_, add_document_, change_document_, remove_document_;
  Statement find_value_, add_entry_, remove_entry_;
  Statement find_lease_, put_lease_, erase_;
  Statement find_blob_, touch_blob_, add_part_, add_blob_, drop_parts_, remove_blob_;
  Statement begin_upload_, end_upload_;
  Statement drop_payloads_, drop_records_, put_segment_, drop_segment_blobs_, add_segment_blob_;
  Statement put_garbage_, remove_garbage_;
  // Documents of the commit at hand: the first `known_count_`, in the order in which they were
  // asked for. The others are kept for their memory.
  std::vector<Stored> known_;
  size_t known_count_ = 0;
  size_t known_next_ = 0;
  std::string packed_;
};

}  // namespace palyra::journal::sqlite
