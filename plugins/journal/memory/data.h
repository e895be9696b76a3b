// The tables of the memory store.
#pragma once

#include "plugins/journal/apply.h"
#include "plugins/journal/memory/store.h"
#include "plugins/journal/query_plan.h"

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace palyra::journal {

struct MemoryStore::Data : Tables {
  struct StoredDocument {
    uint64_t version = 0;
    std::string value;
    // (index, value)
    std::vector<std::pair<int64_t, std::string>> entries;
  };
  struct Blob {
    std::string data;
    int64_t created_wall_ns = 0;
  };
  using Documents = std::map<std::string, StoredDocument>;
  // (value, key)
  using IndexRows = std::set<std::pair<std::string, std::string>>;

  Catalogue catalogue;
  // By position - 1. A deque, so that rows stay where they are. Empty ones were archived.
  std::deque<v1::Record> log;
  // By seq - 1; null if archived.
  std::map<std::string, std::vector<v1::Record*>> streams;
  std::map<std::string, std::vector<SegmentRow>> archived;
  std::set<std::string> garbage;
  std::map<std::string, Documents> collections;
  std::map<int64_t, IndexRows> indexes;
  std::map<std::string, LeaseRow> leases;
  std::map<std::string, Blob> blobs;
  // Parts of uploads that are not complete.
  std::map<uint64_t, std::string> parts;

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

  std::vector<std::string> blob_digests() const;

  v1::QueryResponse run(const QueryPlan& plan) const;

 private:
  bool matches(const QueryPlan& plan, const std::string& key) const;
};

template <typename T, typename Fn>
void MemoryStore::answer(Done<T> done, Fn fn) {
  post([done = std::move(done), fn = std::move(fn)] { done(fn()); });
}

}  // namespace palyra::journal
