// What was built: who links what, and what a plugin shows to the world.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

using testing::HasSubstr;
using testing::Not;

fs::path build() { return std::getenv("PALYRA_BUILD_DIR"); }

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  char buffer[4096];
  for (size_t size = 0; (size = fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    text.append(buffer, size);
  }
  EXPECT_EQ(pclose(pipe), 0) << command;
  return text;
}

// All that the loader would load for it, indirectly too.
std::string libraries_of(const fs::path& file) { return output_of("ldd '" + file.string() + "'"); }

std::vector<fs::path> plugins() {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(build() / "lib/palyra/plugins")) {
    if (entry.path().extension() == ".so") found.push_back(entry.path());
  }
  return found;
}

TEST(Links, TheHostLinksNeitherProtobufNorGrpc) {
  const std::string libraries = libraries_of(build() / "bin/palyrad");
  EXPECT_THAT(libraries, HasSubstr("libc.so"));
  EXPECT_THAT(libraries, Not(HasSubstr("protobuf")));
  EXPECT_THAT(libraries, Not(HasSubstr("libpalyra_proto")));
  EXPECT_THAT(libraries, Not(HasSubstr("grpc")));
}

TEST(Links, NoPluginButTheGatewayLinksGrpc) {
  EXPECT_GE(plugins().size(), 4U);
  for (const fs::path& plugin : plugins()) {
    if (plugin.stem() == "gateway") {
      EXPECT_THAT(libraries_of(plugin), HasSubstr("libgrpc++.so"));
    } else {
      EXPECT_THAT(libraries_of(plugin), Not(HasSubstr("grpc"))) << plugin;
    }
  }
}

TEST(Links, EveryPluginExportsExactlyOneSymbol) {
  for (const fs::path& plugin : plugins()) {
    const std::string symbols =
        output_of("nm -D --defined-only -f posix '" + plugin.string() + "' | cut -d' ' -f1");
    EXPECT_EQ(symbols, "palyra_plugin_entry\n") << plugin;
  }
}

// gRPC's threads outlive its last server; unmapping its code under them crashes the daemon's end.
TEST(Links, TheGatewayIsNeverUnmapped) {
  const fs::path gateway = build() / "lib/palyra/plugins/gateway.so";
  if (!fs::exists(gateway)) GTEST_SKIP() << "built without gRPC";
  EXPECT_THAT(output_of("readelf -d '" + gateway.string() + "'"), HasSubstr("NODELETE"));
}

// Generated code twice in a process aborts it.
TEST(Links, TheSchemasAreInOneSharedLibraryOnly) {
  for (const fs::path& plugin : plugins()) {
    EXPECT_THAT(libraries_of(plugin), HasSubstr("libpalyra_proto.so")) << plugin;
  }
}

}  // namespace
