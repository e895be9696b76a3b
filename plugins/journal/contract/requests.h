// Short ways to write the requests of tests.
#pragma once

#include "palyra/service/v1/journal.pb.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace palyra::journal::contract {

namespace v1 = palyra::service::v1;

// CommitRequest, one call a line.
class Commit {
 public:
  Commit& append(const std::string& stream, const std::string& payload,
                 std::optional<uint64_t> expected = {}) {
    v1::Append* const append = request_.add_appends();
    append->set_stream(stream);
    if (expected) append->set_expected_seq(*expected);
    v1::NewRecord* const record = append->add_records();
    record->set_type("noted");
    record->set_payload(payload);
    return *this;
  }
  // Only checks where the stream is.
  Commit& expect(const std::string& stream, std::optional<uint64_t> seq) {
    v1::Append* const append = request_.add_appends();
    append->set_stream(stream);
    if (seq) append->set_expected_seq(*seq);
    return *this;
  }
  Commit& put(const std::string& collection, const std::string& key, const std::string& value,
              const std::vector<std::pair<std::string, std::string>>& index_values = {},
              std::optional<uint64_t> expected = {}) {
    v1::PutDocument* const put = request_.add_puts();
    put->set_collection(collection);
    put->set_key(key);
    put->set_value(value);
    for (const auto& [index, index_value] : index_values) {
      v1::IndexValue* const out = put->add_index_values();
      out->set_index(index);
      out->set_value(index_value);
    }
    if (expected) put->set_expected_version(*expected);
    return *this;
  }
  Commit& remove(const std::string& collection, const std::string& key,
                 std::optional<uint64_t> expected = {}) {
    v1::DeleteDocument* const remove = request_.add_deletes();
    remove->set_collection(collection);
    remove->set_key(key);
    if (expected) remove->set_expected_version(*expected);
    return *this;
  }
  Commit& take(const std::string& name, const std::string& owner, int64_t ttl_ms,
               uint64_t token = 0) {
    v1::TakeLease* const take = request_.add_takes();
    take->set_name(name);
    take->set_owner(owner);
    take->set_ttl_ms(ttl_ms);
    take->set_token(token);
    return *this;
  }
  Commit& fence(const std::string& name, uint64_t token) {
    request_.add_fences()->set_name(name);
    request_.mutable_fences()->rbegin()->set_token(token);
    return *this;
  }
  Commit& release(const std::string& name, uint64_t token) {
    request_.add_releases()->set_name(name);
    request_.mutable_releases()->rbegin()->set_token(token);
    return *this;
  }
  operator v1::CommitRequest() const { return request_; }

 private:
  v1::CommitRequest request_;
};

inline v1::ReadRequest read(const std::string& stream, uint64_t from_seq = 0, uint32_t limit = 0,
                            bool descending = false) {
  v1::ReadRequest request;
  request.set_stream(stream);
  request.set_from_seq(from_seq);
  request.set_limit(limit);
  request.set_descending(descending);
  return request;
}

inline v1::DeclareRequest declare(const std::string& collection,
                                  const std::vector<std::pair<std::string, v1::IndexKind>>& indexes,
                                  bool audited = false) {
  v1::DeclareRequest request;
  request.set_collection(collection);
  request.set_audited(audited);
  for (const auto& [name, kind] : indexes) {
    v1::IndexDeclaration* const index = request.add_indexes();
    index->set_name(name);
    index->set_kind(kind);
  }
  return request;
}

inline v1::QueryRequest query(const std::string& collection, const std::string& index = "") {
  v1::QueryRequest request;
  request.set_collection(collection);
  request.set_index(index);
  return request;
}

inline v1::PutBlobRequest blob_part(const std::string& digest, uint64_t offset,
                                    const std::string& data, bool last) {
  v1::PutBlobRequest request;
  request.set_digest(digest);
  request.set_offset(offset);
  request.set_data(data);
  request.set_last(last);
  return request;
}

inline std::vector<std::string> keys(const v1::QueryResponse& response) {
  std::vector<std::string> keys;
  for (const v1::Document& document : response.documents()) keys.push_back(document.key());
  return keys;
}

}  // namespace palyra::journal::contract
