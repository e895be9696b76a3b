// SPDX-License-Identifier: Apache-2.0
// A JSON Schema (draft 7), parsed once and then applied to many documents.
//
// Always holds: a Schema that exists is usable; its references are local and cannot send validation
// round in circles; its patterns compile. Immutable, cheap to copy, [any].
#pragma once

#include "palyra/status.hpp"
#include "plugins/common/json_schema/json_text.h"

#include <memory>
#include <string_view>

namespace palyra::json_schema {

class Schema {
 public:
  // An empty text or "{}" accepts everything. INVALID_ARGUMENT: not JSON, not a schema, a reference
  // that leaves the document, leads nowhere or never ends, a pattern that does not compile;
  // RESOURCE_EXHAUSTED: over 256 KiB or nested deeper than 64.
  static Result<Schema> parse(std::string_view text);

  // INVALID_ARGUMENT names the place as a JSON pointer and what was expected there, at most three
  // of them: `/limit: expected integer, got string`. A string over 4 KiB cannot be matched against
  // a pattern and is refused by a schema that has one for it.
  Status validate(std::string_view json_text, Limits limits = {}) const;
  // The same for a value that is parsed already.
  Status validate_value(const nlohmann::json& document) const;

 private:
  struct Parsed;
  explicit Schema(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}

  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace palyra::json_schema
