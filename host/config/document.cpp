// SPDX-License-Identifier: Apache-2.0
#include "host/config/document.h"

#include <toml++/toml.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

namespace palyra::host {
namespace {

constexpr size_t kMaxFileSize = size_t{4} << 20;

Position position_of(const toml::source_region& region) {
  return {region.begin.line, region.begin.column};
}

template <typename T>
std::string as_text(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

nlohmann::json convert(const toml::node& node, const std::string& pointer, SourceMap& positions) {
  switch (node.type()) {
    case toml::node_type::table: {
      auto object = nlohmann::json::object();
      for (const auto& [key, value] : *node.as_table()) {
        std::string child = join_pointer(pointer, key.str());
        positions.set(child, position_of(key.source()));
        object[std::string(key.str())] = convert(value, child, positions);
      }
      return object;
    }
    case toml::node_type::array: {
      auto array = nlohmann::json::array();
      for (const auto& value : *node.as_array()) {
        std::string child = pointer + '/' + std::to_string(array.size());
        positions.set(child, position_of(value.source()));
        array.push_back(convert(value, child, positions));
      }
      return array;
    }
    case toml::node_type::string:
      return node.as_string()->get();
    case toml::node_type::integer:
      return node.as_integer()->get();
    case toml::node_type::floating_point: {
      const double value = node.as_floating_point()->get();
      // JSON has no inf and nan: as strings, a schema that wants a number refuses them.
      if (!std::isfinite(value)) return as_text(value);
      return value;
    }
    case toml::node_type::boolean:
      return node.as_boolean()->get();
    case toml::node_type::date:
      return as_text(node.as_date()->get());
    case toml::node_type::time:
      return as_text(node.as_time()->get());
    case toml::node_type::date_time:
      return as_text(node.as_date_time()->get());
    case toml::node_type::none:
      break;
  }
  return nullptr;
}

}  // namespace

std::optional<Document> parse_document(std::string_view text, const std::string& file,
                                       std::vector<Problem>& problems) {
  try {
    const toml::table table = toml::parse(text, file);
    Document document;
    document.file = file;
    document.root = convert(table, "", document.positions);
    return document;
  } catch (const toml::parse_error& error) {
    problems.push_back({file, position_of(error.source()), std::string(error.description())});
  }
  return std::nullopt;
}

std::optional<Document> read_document(const std::string& file, std::vector<Problem>& problems) {
  std::ifstream in(file, std::ios::binary);
  std::string text;
  if (in) {
    text.resize(kMaxFileSize + 1);
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(in.gcount()));
  }
  if (!in.is_open() || in.bad()) {
    problems.push_back({file, {}, std::string("cannot be read: ") + std::strerror(errno)});
    return std::nullopt;
  }
  if (text.size() > kMaxFileSize) {
    problems.push_back({file, {}, "is larger than 4 MiB; a configuration file is small"});
    return std::nullopt;
  }
  return parse_document(text, file, problems);
}

}  // namespace palyra::host
