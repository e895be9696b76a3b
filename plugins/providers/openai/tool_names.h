// Tool names for an API that allows only [a-zA-Z0-9_-]{1,64}.
#pragma once

#include <map>
#include <string>

namespace palyra::openai {

// Maps names both ways for one request: "fs.read" <-> "fs_read". Two names never share one: the
// later gets a number. A name that is allowed as it is, and first, stays.
class ToolNames {
 public:
  // The same name always gets the same answer.
  const std::string& to_api(const std::string& name);
  // A name that was never mapped comes back as it is.
  std::string from_api(const std::string& name) const;

 private:
  std::map<std::string, std::string> to_api_;
  std::map<std::string, std::string> from_api_;
};

}  // namespace palyra::openai
