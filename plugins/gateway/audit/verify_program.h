// The real verifier, and what an export's lines are changed with before it sees them.
#pragma once

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/audit/testing.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <vector>

namespace palyra::gateway::audit::testing {

using nlohmann::json;
using Lines = std::vector<std::string>;

inline Lines split(const std::string& text) {
  Lines lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

struct Said {
  int exit_code = -1;
  std::string out;
};

// Runs the real program in a directory of its own.
class Program {
 public:
  Program() {
    char name[] = "/tmp/palyra-verify-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~Program() { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& content) const {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  std::string make_directory(const std::string& name) const {
    std::filesystem::create_directories(directory_ + "/" + name);
    return directory_ + "/" + name;
  }
  Said run(const std::string& arguments) const {
    const std::string command =
        std::string(std::getenv("PALYRA_AUDIT_VERIFY")) + " " + arguments + " 2>&1";
    FILE* const pipe = ::popen(command.c_str(), "r");
    Said said;
    char buffer[4096];
    for (size_t size = 0; (size = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
      said.out.append(buffer, size);
    }
    const int status = ::pclose(pipe);
    said.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    return said;
  }
  Said verify(const std::string& content, const std::string& more = "") const {
    return run("--key " + digest::to_hex(test_key().public_key()) + " " + more + " " +
               write("export.ndjson", content));
  }
  Said verify(const Lines& lines, const std::string& more = "") const {
    std::string content;
    for (const std::string& line : lines) content += line + "\n";
    return verify(content, more);
  }

 private:
  std::string directory_;
};

// Finds the line of a record.
inline size_t at(const Lines& lines, const std::string& stream, int seq) {
  for (size_t i = 0; i < lines.size(); ++i) {
    const json line = json::parse(lines[i], nullptr, false);
    if (line.value("stream", "") == stream && line.value("seq", "") == std::to_string(seq)) {
      return i;
    }
  }
  ADD_FAILURE() << "no record " << seq << " of " << stream;
  return 0;
}
inline size_t at_key(const Lines& lines, const std::string& key, size_t which = 0) {
  for (size_t i = 0; i < lines.size(); ++i) {
    if (json::parse(lines[i], nullptr, false).contains(key) && which-- == 0) return i;
  }
  ADD_FAILURE() << "no line " << key;
  return 0;
}
inline void edit(std::string& line, const std::function<void(json&)>& change) {
  json parsed = json::parse(line);
  change(parsed);
  line = parsed.dump();
}
// The hash of a record's line made right again, as a forger would.
inline void rehash(json& line) {
  std::string fields;
  put_field(fields, "palyra.record.1");
  put_field(fields, line["stream"].get<std::string>());
  put_field(fields, static_cast<uint64_t>(std::stoull(line["seq"].get<std::string>())));
  put_field(fields, *digest::from_hex(line["prevHash"].get<std::string>()));
  put_field(fields, line["type"].get<std::string>());
  put_field(fields, static_cast<uint64_t>(std::stoll(line["timeNs"].get<std::string>())));
  put_field(fields, *digest::from_hex(line["payloadDigest"].get<std::string>()));
  line["hash"] = digest::to_hex(digest::sha256(fields));
}
inline void remove_lines(Lines& lines, const std::function<bool(const json&)>& which) {
  std::erase_if(lines, [&](const std::string& line) { return which(json::parse(line)); });
}

}  // namespace palyra::gateway::audit::testing
