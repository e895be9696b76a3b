// SPDX-License-Identifier: Apache-2.0
#include "host/loader/manifest.h"

#include <algorithm>
#include <charconv>

namespace palyra::host {
namespace {

using nlohmann::json;

Status bad(const std::string& what) { return {Code::kInvalidArgument, "its manifest " + what}; }

bool is_reverse_dns(std::string_view id) {
  if (id.size() > 128 || id.find('.') == std::string_view::npos) return false;
  bool dot = true;
  for (const char c : id) {
    if (c == '.' && dot) return false;
    dot = c == '.';
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_' || c == '.';
    if (!fine) return false;
  }
  return !dot;
}

// The string at `name`, `otherwise` if it is missing, nothing if it is not a string.
std::optional<std::string> text(const json& object, const char* name, const char* otherwise = "") {
  const auto it = object.find(name);
  if (it == object.end()) return otherwise;
  if (!it->is_string()) return std::nullopt;
  return it->get<std::string>();
}

Status read_services(const json& object, const char* name, std::vector<ServiceNeed>& out) {
  const auto it = object.find(name);
  if (it == object.end()) return {};
  const Status wrong =
      bad(std::string("has a bad '") + name + "': a list of {\"id\": \"palyra.x/1\"} is wanted");
  if (!it->is_array()) return wrong;
  for (const auto& entry : *it) {
    if (!entry.is_object()) return wrong;
    const auto id = text(entry, "id");
    if (!id || id->empty()) return wrong;
    const auto optional = entry.find("optional");
    if (optional != entry.end() && !optional->is_boolean()) return wrong;
    out.push_back({*id, optional != entry.end() && optional->get<bool>()});
  }
  return {};
}

}  // namespace

bool Manifest::offers(std::string_view service) const {
  return std::find(provides.begin(), provides.end(), service) != provides.end();
}

Result<Manifest> parse_manifest(const std::string& source) {
  const json object = json::parse(source, nullptr, false);
  if (!object.is_object()) return bad("is not a JSON object");
  Manifest manifest;
  struct Text {
    const char* name;
    std::string* to;
    const char* otherwise;
  };
  std::string concurrency;
  for (const Text& entry :
       {Text{"id", &manifest.id, ""}, Text{"version", &manifest.version, ""},
        Text{"vendor", &manifest.vendor, ""}, Text{"section", &manifest.section, ""},
        Text{"isolation", &manifest.isolation, "either"},
        Text{"concurrency", &concurrency, "lane"}}) {
    const auto value = text(object, entry.name, entry.otherwise);
    if (!value) return bad(std::string("has a '") + entry.name + "' that is not a string");
    *entry.to = *value;
  }
  if (!is_reverse_dns(manifest.id)) {
    return bad("has no 'id' in reverse DNS form (\"com.example.plugin\")");
  }
  if (manifest.version.empty()) return bad("has no 'version'");
  if (concurrency != "lane" && concurrency != "any") {
    return bad("has a bad 'concurrency': \"lane\" or \"any\" is wanted");
  }
  manifest.parallel = concurrency == "any";
  if (manifest.isolation != "either" && manifest.isolation != "in_process" &&
      manifest.isolation != "process") {
    return bad("has a bad 'isolation': \"either\", \"in_process\" or \"process\" is wanted");
  }
  if (const auto it = object.find("abi"); it != object.end()) {
    const bool fine = it->is_object() && it->contains("major") && it->contains("minor") &&
                      (*it)["major"].is_number_unsigned() && (*it)["minor"].is_number_unsigned();
    if (!fine) return bad("has a bad 'abi': {\"major\": 0, \"minor\": 9} is wanted");
    manifest.abi_major = (*it)["major"].get<unsigned>();
    manifest.abi_minor = (*it)["minor"].get<unsigned>();
  } else {
    return bad("has no 'abi'");
  }
  std::vector<ServiceNeed> provides;
  if (Status status = read_services(object, "provides", provides); !status.ok()) return status;
  for (auto& service : provides) manifest.provides.push_back(std::move(service.id));
  if (Status status = read_services(object, "requires", manifest.requires_); !status.ok()) {
    return status;
  }
  if (const auto it = object.find("config"); it != object.end()) {
    if (!it->is_object()) return bad("has a 'config' that is not a JSON Schema");
    manifest.config = *it;
  }
  return manifest;
}

int compare_versions(std::string_view a, std::string_view b) {
  const auto split = [](std::string_view version) {
    version = version.substr(0, version.find('+'));
    const size_t dash = version.find('-');
    return std::pair(version.substr(0, dash),
                     dash == std::string_view::npos ? std::string_view() : version.substr(dash));
  };
  auto [numbers_a, suffix_a] = split(a);
  auto [numbers_b, suffix_b] = split(b);
  while (!numbers_a.empty() || !numbers_b.empty()) {
    const auto take = [](std::string_view& numbers) {
      const std::string_view part = numbers.substr(0, numbers.find('.'));
      numbers.remove_prefix(std::min(numbers.size(), part.size() + 1));
      uint64_t value = 0;
      std::from_chars(part.data(), part.data() + part.size(), value);
      return value;
    };
    const uint64_t part_a = take(numbers_a);
    const uint64_t part_b = take(numbers_b);
    if (part_a != part_b) return part_a < part_b ? -1 : 1;
  }
  if (suffix_a.empty() != suffix_b.empty()) return suffix_a.empty() ? 1 : -1;
  return suffix_a.compare(suffix_b);
}

}  // namespace palyra::host
