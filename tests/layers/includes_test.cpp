// Who includes whom: host, clients and plugins know the SDK; a plugin knows no other plugin.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

fs::path root() { return std::getenv("PALYRA_SOURCE_DIR"); }

struct Source {
  std::string path;  // from the root
  std::string text;
};

// Every file of the tree below `folder` that somebody wrote.
std::vector<Source> files_below(const fs::path& folder) {
  std::vector<Source> files;
  for (auto at = fs::recursive_directory_iterator(root() / folder);
       at != fs::recursive_directory_iterator(); ++at) {
    const std::string name = at->path().filename();
    if (at->is_directory()) {
      const bool ours = name == ".ci" || name[0] != '.';
      if (!ours || name == "node_modules" || name.rfind("build", 0) == 0) {
        at.disable_recursion_pending();
      }
      continue;
    }
    if (!at->is_regular_file() || name == ".git") continue;
    std::ifstream file(at->path(), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    files.push_back({fs::relative(at->path(), root()), text.str()});
  }
  return files;
}

bool is_code(const std::string& path) {
  const std::string suffix = fs::path(path).extension();
  return suffix == ".h" || suffix == ".hpp" || suffix == ".c" || suffix == ".cpp";
}

// Tests may bring plugins together: "_test.cpp", "testing.h", "testing/", "contract/".
bool is_test(const std::string& path) {
  return std::regex_search(
      path, std::regex(R"(_test\.cpp$|testing\.h$|/(testing|testdata|contract|tests)/)"));
}

// plugins/NAME, or plugins/FAMILY/NAME in the folders that hold several plugins.
std::string plugin_of(const std::string& path) {
  static const std::regex pattern(R"(^plugins/((providers|connectors)/[^/]+|[^/]+)/)");
  std::smatch found;
  return std::regex_search(path, found, pattern) ? found[1].str() : "";
}

void expect_includes(const fs::path& folder, const std::string& rule,
                     const std::function<bool(const Source&, const std::string&)>& allowed) {
  static const std::regex include(R"re((?:^|\n)\s*#\s*include\s+["<]([^">\n]+)[">])re");
  size_t seen = 0;
  for (const Source& source : files_below(folder)) {
    if (!is_code(source.path) || is_test(source.path)) continue;
    for (std::sregex_iterator at(source.text.begin(), source.text.end(), include), end; at != end;
         ++at) {
      ++seen;
      EXPECT_TRUE(allowed(source, (*at)[1]))
          << source.path << " includes " << (*at)[1] << ": " << rule;
    }
  }
  EXPECT_GT(seen, 10U) << folder << " has no includes at all";
}

bool starts_with(const std::string& text, const std::string& start) {
  return text.rfind(start, 0) == 0;
}

bool is_ours(const std::string& header) {
  return std::regex_search(header, std::regex(R"(^(host|plugins|clients|tests|bench)/)"));
}

bool is_protobuf(const std::string& header) {
  return std::regex_search(header, std::regex(R"(\.pb\.h$|^google/protobuf/|^grpc)"));
}

TEST(Includes, APluginIncludesNoOtherPluginsHeaders) {
  expect_includes("plugins", "plugins meet by service id; shared code lives in plugins/common",
                  [](const Source& source, const std::string& header) {
                    if (!is_ours(header)) return true;
                    const std::string other = plugin_of(header);
                    return other == "common" || (!other.empty() && other == plugin_of(source.path));
                  });
}

TEST(Includes, OnlyTheGatewayNamesGrpc) {
  expect_includes("plugins", "gRPC lives in plugins/gateway/transport/grpc and the plugin's wiring",
                  [](const Source& source, const std::string& header) {
                    const bool grpc =
                        std::regex_search(header, std::regex(R"(^grpc|\.grpc\.pb\.h$)"));
                    return !grpc || starts_with(source.path, "plugins/gateway/transport/") ||
                           source.path == "plugins/gateway/plugin.cpp";
                  });
}

TEST(Includes, TheHostKnowsTheSdkAndNoProtobuf) {
  expect_includes(
      "host", "the host knows itself and the SDK", [](const Source&, const std::string& header) {
        return !is_protobuf(header) && (!is_ours(header) || starts_with(header, "host/"));
      });
}

TEST(Includes, TheSdkDependsOnNothingElseOfTheTree) {
  expect_includes("sdk/include", "the SDK installs on its own",
                  [](const Source&, const std::string& header) { return !is_ours(header); });
}

TEST(Includes, TheSdksCHeadersNeedNothingButC) {
  expect_includes("sdk/include", "the contract is C11 headers",
                  [](const Source& source, const std::string& header) {
                    if (fs::path(source.path).extension() != ".h") return true;
                    return starts_with(header, "palyra/") ||
                           std::regex_match(header, std::regex(R"(std(int|def|bool)\.h)"));
                  });
}

TEST(Includes, ClientsKnowTheSchemasOnly) {
  expect_includes("clients", "clients speak gRPC", [](const Source&, const std::string& header) {
    return !is_ours(header) || starts_with(header, "clients/");
  });
}

TEST(Tree, NamesNoPlaceOutsideOfItself) {
  // In pieces, so that this file is clean too.
  const std::regex outside(
      "\\.\\./sha"
      "red|(^|[^A-Za-z0-9_.})-])/wo"
      "rk/");
  size_t files = 0;
  for (const Source& source : files_below(".")) {
    if (fs::path(source.path).extension() == ".bin") continue;
    ++files;
    std::istringstream lines(source.text);
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      EXPECT_FALSE(line.size() < 4096 && std::regex_search(line, outside))
          << source.path << ":" << number << ": " << line;
    }
  }
  EXPECT_GT(files, 100U);
}

}  // namespace
