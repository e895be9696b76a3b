// SPDX-License-Identifier: Apache-2.0
// A TOML file as JSON, with the position of every key.
#pragma once

#include "host/config/source_map.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::host {

struct Document {
  std::string file;  // as messages name it
  nlohmann::json root = nlohmann::json::object();
  SourceMap positions;  // of keys; of elements in arrays

  Problem problem(std::string_view pointer, std::string message) const {
    return {file, positions.find(pointer), std::move(message)};
  }
};

// Dates and times become strings. A syntax error is added to `problems` and gives nothing.
std::optional<Document> parse_document(std::string_view text, const std::string& file,
                                       std::vector<Problem>& problems);

// Reads at most 4 MiB. A file that cannot be read is a problem.
std::optional<Document> read_document(const std::string& file, std::vector<Problem>& problems);

}  // namespace palyra::host
