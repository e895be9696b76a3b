// SPDX-License-Identifier: Apache-2.0
// The tools of one instance by name: the catalogue, and the way from a request to the tool.
//
// Always holds: names are unique and every schema parses; a tool sees only arguments that fit its
// schema. On the lane.
#pragma once

#include "plugins/common/json_schema/schema.h"
#include "plugins/common/tool/tool.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace palyra::tool {

class ToolSet {
 public:
  // INVALID_ARGUMENT names the tool whose name or schema is wrong.
  static Result<ToolSet> create(std::vector<std::shared_ptr<Tool>> tools);

  service::v1::ListToolsResponse list() const;
  // NOT_FOUND: no such tool. Arguments that do not fit the schema are an is_error result.
  Task<Result<service::v1::InvokeResult>> invoke(service::v1::InvokeRequest request,
                                                 CancelToken cancel) const;
  Task<Result<service::v1::VerifyCallResponse>> verify(service::v1::VerifyCallRequest request,
                                                       CancelToken cancel) const;

 private:
  struct Entry {
    std::shared_ptr<Tool> tool;
    service::v1::ToolInfo info;
    json_schema::Schema schema;
  };
  ToolSet() = default;
  Result<const Entry*> find(const std::string& name) const;

  std::map<std::string, Entry> entries_;
};

}  // namespace palyra::tool
