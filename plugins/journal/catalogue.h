// Declared collections and their indexes.
#pragma once

#include "palyra/service/v1/journal.pb.h"
#include "palyra/status.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace palyra::journal {

namespace v1 = palyra::service::v1;

struct Index {
  int64_t id = 0;
  v1::IndexKind kind = v1::INDEX_KIND_UNSPECIFIED;
};

struct Collection {
  bool audited = false;
  std::map<std::string, Index, std::less<>> indexes;
};

// A value: whoever shares it between threads shares copies. A collection that was never declared
// has no index and is not audited.
class Catalogue {
 public:
  const Collection& find(const std::string& collection) const;
  // The index, or null.
  const Index* find_index(const std::string& collection, const std::string& index) const;

  // What a declaration changes: `fresh` holds the indexes that are new, with their ids. A
  // collection that is audited stays so. FAILED_PRECONDITION for an index of another kind; then
  // nothing changes.
  struct Change {
    bool any = false;
    std::map<std::string, Index> fresh;
  };
  Result<Change> declare(const v1::DeclareRequest& request);

  // From storage.
  void restore_collection(const std::string& collection, bool audited);
  void restore_index(const std::string& collection, const std::string& index, Index value);

 private:
  std::map<std::string, Collection> collections_;
  int64_t last_index_id_ = 0;
};

}  // namespace palyra::journal
