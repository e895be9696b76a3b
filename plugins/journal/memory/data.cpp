#include "plugins/journal/memory/data.h"

#include "plugins/journal/request_check.h"

#include <algorithm>

namespace palyra::journal {

Result<StreamHead> MemoryStore::Data::head(const std::string& stream) {
  StreamHead head;
  const auto found = streams.find(stream);
  if (found == streams.end()) return head;
  const v1::Record& last = *found->second.back();
  head.seq = last.seq();
  std::copy(last.hash().begin(), last.hash().end(), head.hash.begin());
  return head;
}

Status MemoryStore::Data::append(StreamHead&, const RecordRow& row) {
  v1::Record& record = log.emplace_back();
  record.set_stream(row.stream.data(), row.stream.size());
  record.set_seq(row.seq);
  record.set_position(row.position);
  record.set_type(row.type.data(), row.type.size());
  record.set_wall_time_ns(row.wall_time_ns);
  record.set_payload(row.payload.data(), row.payload.size());
  record.set_salt(row.salt.data(), row.salt.size());
  record.set_payload_digest(row.payload_digest.data(), row.payload_digest.size());
  record.set_prev_hash(row.prev_hash.data(), row.prev_hash.size());
  record.set_hash(row.hash.data(), row.hash.size());
  streams[record.stream()].push_back(&record);
  return {};
}

Result<uint64_t> MemoryStore::Data::version(const std::string& collection, const std::string& key) {
  const auto documents = collections.find(collection);
  if (documents == collections.end()) return uint64_t{0};
  const auto found = documents->second.find(key);
  return found == documents->second.end() ? uint64_t{0} : found->second.version;
}

Result<std::optional<std::string>> MemoryStore::Data::unique_owner(int64_t index_id,
                                                                   const std::string& value) {
  const IndexRows& rows = indexes[index_id];
  const auto found = rows.lower_bound({value, ""});
  if (found == rows.end() || found->first != value) return std::optional<std::string>();
  return std::optional<std::string>(found->second);
}

Status MemoryStore::Data::put(const std::string& collection, const std::string& key,
                              std::string_view value, uint64_t version,
                              std::span<const IndexEntry> entries) {
  StoredDocument& document = collections[collection][key];
  for (const auto& [index, old] : document.entries) indexes[index].erase({old, key});
  document.entries.clear();
  for (const IndexEntry& entry : entries) {
    const auto& [index, fresh] = document.entries.emplace_back(entry.index_id, entry.value);
    indexes[index].insert({fresh, key});
  }
  document.version = version;
  document.value.assign(value);
  return {};
}

Status MemoryStore::Data::remove(const std::string& collection, const std::string& key) {
  const auto found = collections[collection].find(key);
  if (found == collections[collection].end()) return {};
  for (const auto& [index, old] : found->second.entries) indexes[index].erase({old, key});
  collections[collection].erase(found);
  return {};
}

Result<LeaseRow> MemoryStore::Data::lease(const std::string& name) {
  const auto found = leases.find(name);
  return found == leases.end() ? LeaseRow() : found->second;
}

Status MemoryStore::Data::put_lease(const std::string& name, const LeaseRow& lease) {
  leases[name] = lease;
  return {};
}

Status MemoryStore::Data::erase(const std::string& stream, uint64_t first_seq, uint64_t last_seq) {
  for (uint64_t seq = first_seq; seq <= last_seq; ++seq) {
    v1::Record* const record = streams[stream][seq - 1];
    if (record == nullptr || is_journals_own(record->type())) continue;
    record->clear_payload();
    record->clear_salt();
    record->set_erased(true);
  }
  return {};
}

Result<std::vector<SegmentRow>> MemoryStore::Data::segments(const std::string& stream) {
  const auto found = archived.find(stream);
  return found == archived.end() ? std::vector<SegmentRow>() : found->second;
}

Status MemoryStore::Data::close_segment(const std::string& stream, const SegmentRow& row) {
  std::vector<v1::Record*>& records = streams[stream];
  for (uint64_t seq = row.first_seq; seq <= row.last_seq; ++seq) {
    records[seq - 1]->Clear();
    records[seq - 1] = nullptr;
  }
  archived[stream].push_back(row);
  return {};
}

Status MemoryStore::Data::replace_segment(const std::string& stream, const SegmentRow& row) {
  for (SegmentRow& stored : archived[stream]) {
    if (stored.first_seq == row.first_seq) stored = row;
  }
  return {};
}

Status MemoryStore::Data::put_garbage(const std::string& digest) {
  garbage.insert(digest);
  return {};
}

Status MemoryStore::Data::remove_garbage(const std::string& digest) {
  garbage.erase(digest);
  return {};
}

std::vector<std::string> MemoryStore::Data::blob_digests() const {
  std::vector<std::string> digests;
  for (const auto& [digest, blob] : blobs) digests.push_back(digest);
  return digests;
}

bool MemoryStore::Data::matches(const QueryPlan& plan, const std::string& key) const {
  const auto rows = indexes.find(plan.index_id);
  if (rows == indexes.end()) return false;
  return std::all_of(plan.words.begin(), plan.words.end(), [&](const QueryWord& word) {
    if (!word.prefix) return rows->second.count({word.word, key}) != 0;
    for (auto it = rows->second.lower_bound({word.word, ""});
         it != rows->second.end() && it->first.compare(0, word.word.size(), word.word) == 0; ++it) {
      if (it->second == key) return true;
    }
    return false;
  });
}

v1::QueryResponse MemoryStore::Data::run(const QueryPlan& plan) const {
  v1::QueryResponse response;
  const auto documents = collections.find(plan.collection);
  if (documents == collections.end()) return response;
  // Every candidate in order; a store for tests need not be fast.
  std::vector<Place> places;
  if (plan.by == QueryPlan::By::kIndex) {
    if (const auto rows = indexes.find(plan.index_id); rows != indexes.end()) {
      for (const auto& [value, key] : rows->second) places.push_back({value, key});
    }
  } else {
    for (const auto& [key, document] : documents->second) {
      if (plan.by == QueryPlan::By::kKey || matches(plan, key)) places.push_back({"", key});
    }
  }
  if (plan.descending) std::reverse(places.begin(), places.end());
  const Place* last = nullptr;
  size_t bytes = 0;
  for (const Place& place : places) {
    const std::string& bound = plan.by == QueryPlan::By::kIndex ? place.value : place.key;
    if (bound < plan.from || (!plan.to.empty() && bound >= plan.to)) continue;
    if (plan.after) {
      const auto here = std::tie(place.value, place.key);
      const auto after = std::tie(plan.after->value, plan.after->key);
      if (plan.descending ? here >= after : here <= after) continue;
    }
    if (response.documents_size() == static_cast<int>(plan.limit) || bytes >= kMaxQueryBytes) {
      response.set_next_cursor(encode_cursor(*last));
      break;
    }
    const StoredDocument& document = documents->second.at(place.key);
    v1::Document* const out = response.add_documents();
    out->set_key(place.key);
    out->set_value(document.value);
    out->set_version(document.version);
    bytes += document.value.size();
    last = &place;
  }
  return response;
}

}  // namespace palyra::journal
