// Every tape ever released folds, to what it folded to when it was made; the loop that made it
// makes it again.
#include "plugins/common/json_schema/schema.h"
#include "plugins/gateway/replay/run_file.h"
#include "plugins/gateway/replay/run_file_probe.h"
#include "tests/compat/summary.h"

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace palyra::compat {
namespace {

namespace fs = std::filesystem;
namespace api = palyra::gateway::v1;
namespace replay = palyra::gateway::replay;

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string check_schema(std::string_view schema_json, std::string_view text) {
  auto schema = json_schema::Schema::parse(schema_json);
  return schema.ok() ? schema->validate(text).message() : schema.status().message();
}

std::vector<fs::path> tapes() {
  const char* source = std::getenv("PALYRA_SOURCE_DIR");
  std::vector<fs::path> found;
  const fs::path directory = fs::path(source != nullptr ? source : ".") / "tests/compat/tapes";
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".ndjson") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

TEST(Compat, EveryTapeEverReleasedFoldsToWhatItWas) {
  int read = 0;
  for (const fs::path& path : tapes()) {
    replay::RunFileReader reader;
    ASSERT_TRUE(reader.feed(slurp(path)).ok()) << path;
    const auto file = reader.finish();
    ASSERT_TRUE(file.ok()) << path << ": " << file.status().message();
    EXPECT_EQ(summary_of(file->records), slurp(fs::path(path).replace_extension(".json"))) << path;
    const auto report = replay::check(file->records, check_schema);
    if (report.verdict() != api::REPLAY_VERDICT_OTHER_VERSION) {
      EXPECT_EQ(report.verdict(), api::REPLAY_VERDICT_SAME)
          << path << ": "
          << (report.divergences_size() > 0 ? replay::to_line(report.divergences(0)) : "");
    }
    ++read;
  }
  EXPECT_GE(read, 40);
}

// What the fuzz target does with what it finds, here with a few steps from each tape.
TEST(Compat, NoBytesThatAreNearlyATapeDoHarm) {
  const google::protobuf::LogSilencer silence;
  const char* given = std::getenv("PALYRA_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  std::printf("PALYRA_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 dice(seed);
  for (const fs::path& path : tapes()) {
    const std::string tape = slurp(path);
    EXPECT_TRUE(replay::probe_run_file(tape)) << path;
    for (int round = 0; round < 4; ++round) {
      std::string changed = tape;
      for (uint64_t edits = 1 + dice() % 8; edits > 0; --edits) {
        const size_t at = dice() % changed.size();
        switch (dice() % 4) {
          case 0:
            changed[at] = static_cast<char>(dice());
            break;
          case 1:
            changed.erase(at, dice() % 600);
            break;
          case 2:
            changed.insert(at, tape.substr(dice() % tape.size(), dice() % 600));
            break;
          default:
            changed[at] = tape[dice() % tape.size()];
        }
        if (changed.empty()) break;
      }
      static_cast<void>(replay::probe_run_file(changed));
    }
  }
}

}  // namespace
}  // namespace palyra::compat
