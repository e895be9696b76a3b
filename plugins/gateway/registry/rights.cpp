#include "plugins/gateway/registry/rights.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace palyra::registry {
namespace {

using Json = nlohmann::json;
using IdSet = std::set<std::string, std::less<>>;

Status bad(const std::string& where, const std::string& what) {
  return Status(Code::kInvalidArgument, where + ": " + what, PALYRA_ERROR_USER_FAULT);
}

// A list of ids, each a string or an object with "id".
Result<IdSet> parse_ids(const Json& list, const std::string& where) {
  if (!list.is_array()) return bad(where, "must be a list of service ids");
  IdSet ids;
  for (const Json& entry : list) {
    const Json* id = &entry;
    if (entry.is_object()) {
      const auto found = entry.find("id");
      if (found == entry.end()) return bad(where, "an entry has no \"id\"");
      id = &*found;
    }
    if (!id->is_string() || !is_service_id(id->get_ref<const std::string&>())) {
      return bad(where, "an id must look like \"palyra.tool/1\", not " +
                            id->dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 80));
    }
    ids.insert(id->get<std::string>());
  }
  return ids;
}

Result<IdSet> list_of(const Json& object, const char* key, const std::string& document) {
  const auto found = object.find(key);
  if (found == object.end()) return IdSet();
  return parse_ids(*found, document + "." + key);
}

Status narrow(IdSet& ids, const Json& grant, const char* key) {
  if (grant.find(key) == grant.end()) return {};
  auto allowed = list_of(grant, key, "grant");
  if (!allowed.ok()) return allowed.status();
  for (auto it = ids.begin(); it != ids.end();) {
    it = allowed->count(*it) != 0 ? std::next(it) : ids.erase(it);
  }
  return {};
}

template <size_t N>
bool one_of(std::string_view id, const std::array<std::string_view, N>& ids) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

Result<Rights> Rights::parse(std::string_view manifest, std::string_view grant) {
  const Json parsed = Json::parse(manifest, nullptr, false);
  if (!parsed.is_object()) return bad("manifest", "is not a JSON object");
  Rights rights;
  auto provides = list_of(parsed, "provides", "manifest");
  if (!provides.ok()) return provides.status();
  rights.provides = std::move(*provides);
  auto required = list_of(parsed, "requires", "manifest");
  if (!required.ok()) return required.status();
  rights.requires_ids = std::move(*required);
  if (const auto found = parsed.find("concurrency"); found != parsed.end()) {
    if (*found != "lane" && *found != "any") {
      return bad("manifest.concurrency", "must be \"lane\" or \"any\"");
    }
    rights.concurrent = *found == "any";
  }
  if (grant.empty()) return rights;
  const Json allowed = Json::parse(grant, nullptr, false);
  if (!allowed.is_object()) return bad("grant", "is not a JSON object");
  if (Status status = narrow(rights.provides, allowed, "provides"); !status.ok()) return status;
  if (Status status = narrow(rights.requires_ids, allowed, "requires"); !status.ok()) return status;
  return rights;
}

bool is_single_service(std::string_view service_id) {
  static constexpr std::array<std::string_view, 5> kIds = {"palyra.journal/1", "palyra.memory/1",
                                                           "palyra.schedule/1", "palyra.policy/1",
                                                           "palyra.vault/1"};
  return one_of(service_id, kIds);
}

bool is_hub_service(std::string_view service_id) {
  static constexpr std::array<std::string_view, 5> kIds = {"palyra.inbound/1", "palyra.runs/1",
                                                           "palyra.egress/1", "palyra.registry/1",
                                                           "palyra.registry_host/1"};
  return one_of(service_id, kIds);
}

bool is_service_id(std::string_view id) {
  const size_t slash = id.find('/');
  if (slash == std::string_view::npos || slash == 0 || id.size() > 128) return false;
  const std::string_view version = id.substr(slash + 1);
  if (version.empty() || version.size() > 4 || version[0] == '0') return false;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return std::all_of(version.begin(), version.end(), digit) &&
         std::all_of(id.begin(), id.begin() + static_cast<std::ptrdiff_t>(slash), [&](char c) {
           return digit(c) || (c >= 'a' && c <= 'z') || c == '.' || c == '_' || c == '-';
         });
}

}  // namespace palyra::registry
