// The npm package @dwmkerr/mock-llm, installed into the build directory and started on a free port.
#pragma once

#include <string>
#include <sys/types.h>

namespace palyra::openai {

// Owns the process; the destructor ends it.
class MockLlmServer {
 public:
  // `config` is mock-llm's YAML. On failure problem() says what to install or what went wrong.
  explicit MockLlmServer(const std::string& config);
  ~MockLlmServer();
  MockLlmServer(const MockLlmServer&) = delete;

  const std::string& problem() const { return problem_; }
  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }

 private:
  bool install(const std::string& directory);
  bool launch(const std::string& directory, const std::string& config);

  std::string problem_;
  int port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace palyra::openai
