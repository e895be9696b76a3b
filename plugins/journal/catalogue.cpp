#include "plugins/journal/catalogue.h"

#include <algorithm>

namespace palyra::journal {

const Collection& Catalogue::find(const std::string& collection) const {
  static const Collection kUndeclared;
  const auto found = collections_.find(collection);
  return found == collections_.end() ? kUndeclared : found->second;
}

const Index* Catalogue::find_index(const std::string& collection, const std::string& index) const {
  const auto& indexes = find(collection).indexes;
  const auto found = indexes.find(index);
  return found == indexes.end() ? nullptr : &found->second;
}

Result<Catalogue::Change> Catalogue::declare(const v1::DeclareRequest& request) {
  for (const v1::IndexDeclaration& declared : request.indexes()) {
    const Index* const stored = find_index(request.collection(), declared.name());
    if (stored != nullptr && stored->kind != declared.kind()) {
      return Status(Code::kFailedPrecondition,
                    "collection " + request.collection() + ": index " + declared.name() +
                        " exists with another kind; declare it under a new name",
                    PALYRA_ERROR_USER_FAULT);
    }
  }
  Change change;
  change.any = collections_.count(request.collection()) == 0;
  Collection& collection = collections_[request.collection()];
  if (request.audited() && !collection.audited) change.any = collection.audited = true;
  for (const v1::IndexDeclaration& declared : request.indexes()) {
    if (collection.indexes.count(declared.name()) != 0) continue;
    const Index index{++last_index_id_, declared.kind()};
    collection.indexes.emplace(declared.name(), index);
    change.fresh.emplace(declared.name(), index);
    change.any = true;
  }
  return change;
}

void Catalogue::restore_collection(const std::string& collection, bool audited) {
  collections_[collection].audited = audited;
}

void Catalogue::restore_index(const std::string& collection, const std::string& index,
                              Index value) {
  collections_[collection].indexes[index] = value;
  last_index_id_ = std::max(last_index_id_, value.id);
}

}  // namespace palyra::journal
