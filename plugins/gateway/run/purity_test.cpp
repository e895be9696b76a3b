// What the simulation rests on: these folders name no clock, timer, thread or random source, and
// the heart stays small and free of the world.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

fs::path gateway() {
  const char* source = std::getenv("PALYRA_SOURCE_DIR");
  return fs::path(source != nullptr ? source : PALYRA_FALLBACK_SOURCE_DIR) / "plugins/gateway";
}

std::vector<std::string> lines_of(const fs::path& path) {
  std::vector<std::string> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

bool is_source(const fs::path& path) {
  return path.extension() == ".h" || path.extension() == ".cpp";
}

// Tests and their fixtures ("testing.h", "testing/") play the world.
bool is_test(const fs::path& path) {
  return path.filename().string().find("_test.cpp") != std::string::npos ||
         path.stem() == "testing" || path.parent_path().filename() == "testing";
}

TEST(Purity, SessionsRunsBackgroundAndDeliveryNameNoClockTimerThreadOrRandomSource) {
  const std::regex forbidden(
      R"(std::chrono|std::this_thread|std::j?thread|std::async|io_context|steady_timer|system_timer)"
      R"(|random_device|std::mt19937|\b[s]?rand\(|\brandom\(|clock_gettime|gettimeofday|\btime\(|\bsleep\()"
      R"(|usleep|nanosleep|std::mutex|condition_variable|pthread_|getrandom|boost/asio)"
      R"(|<(chrono|thread|random|mutex|future|ctime|time\.h|unistd\.h)>)");
  size_t files = 0;
  for (const char* folder : {"session", "run", "run_loop", "agent", "background", "delivery"}) {
    if (!fs::exists(gateway() / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(gateway() / folder)) {
      if (!is_source(entry.path()) || is_test(entry.path())) continue;
      ++files;
      int number = 0;
      for (const std::string& line : lines_of(entry.path())) {
        ++number;
        const std::string code = line.substr(0, line.find("//"));
        std::smatch found;
        EXPECT_FALSE(std::regex_search(code, found, forbidden))
            << entry.path().string() << ":" << number << " names " << found.str()
            << "; take Clock, Executor or Ids from the World instead";
      }
    }
  }
  EXPECT_GT(files, 5U);
}

TEST(Purity, DecideAndEvolveStayUnderAThousandLinesTogether) {
  size_t lines = 0;
  for (const auto& entry : fs::directory_iterator(gateway() / "run")) {
    const std::string name = entry.path().filename().string();
    if (!is_source(entry.path()) || is_test(entry.path())) continue;
    if (name.rfind("decide", 0) == 0 || name.rfind("evolve", 0) == 0) {
      lines += lines_of(entry.path()).size();
    }
  }
  EXPECT_GT(lines, 100U);
  EXPECT_LT(lines, 1'000U);
}

TEST(Purity, TheCoreIncludesNothingOfTheWorld) {
  const std::regex include(R"re(^#include\s+["<]([^">]+)[">])re");
  const std::regex allowed(
      R"(plugins/gateway/(run|approval|policy)/.*|plugins/common/(digest|tokens|utf8)/.*)"
      R"(|palyra/(tape|common|service|gateway)/v1/.*\.pb\.h|google/protobuf/io/.*)"
      R"(|algorithm|array|cctype|cstdint|cstddef|functional|limits|map|memory|numeric|optional|string|string_view)"
      R"(|utility|vector|set)");
  size_t includes = 0;
  for (const auto& entry : fs::directory_iterator(gateway() / "run")) {
    if (!is_source(entry.path()) || is_test(entry.path())) continue;
    for (const std::string& line : lines_of(entry.path())) {
      std::smatch found;
      if (!std::regex_search(line, found, include)) continue;
      ++includes;
      EXPECT_TRUE(std::regex_match(found[1].str(), allowed))
          << entry.path().string() << " includes " << found[1];
    }
  }
  EXPECT_GT(includes, 20U);
}

}  // namespace
