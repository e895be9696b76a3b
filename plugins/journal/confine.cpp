#include "plugins/journal/confine.h"

#include <string>

namespace palyra::journal {

Status Caller::may_use(std::string_view name) const {
  if (hub_) return {};
  if (!name_.empty() && name.size() > name_.size() && name.substr(0, name_.size()) == name_ &&
      name[name_.size()] == '/') {
    return {};
  }
  return {Code::kPermissionDenied,
          "journal: " + std::string(name_) + " may use only names that begin with \"" +
              std::string(name_) + "/\", not \"" + std::string(name) + "\"",
          PALYRA_ERROR_USER_FAULT};
}

Status Caller::may(const v1::CommitRequest& request) const {
  if (hub_) return {};
  const auto all = [this](const auto& items, const auto& name) -> Status {
    for (const auto& item : items) {
      if (Status status = may_use(name(item)); !status.ok()) return status;
    }
    return {};
  };
  const auto collection = [](const auto& item) -> std::string_view { return item.collection(); };
  const auto lease = [](const auto& item) -> std::string_view { return item.name(); };
  Status status = all(request.appends(),
                      [](const v1::Append& item) -> std::string_view { return item.stream(); });
  if (status.ok()) status = all(request.puts(), collection);
  if (status.ok()) status = all(request.deletes(), collection);
  if (status.ok()) status = all(request.fences(), lease);
  if (status.ok()) status = all(request.takes(), lease);
  if (status.ok()) status = all(request.releases(), lease);
  return status;
}

Status Caller::confine(v1::WatchRequest& request) const {
  if (hub_) return {};
  if (request.stream_prefix().empty()) {
    request.set_stream_prefix(std::string(name_) + "/");
    return name_.empty() ? may_use("") : Status();
  }
  // The prefix itself may be exactly "<instance>/".
  return may_use(request.stream_prefix());
}

}  // namespace palyra::journal
