// palyra backup: a running daemon makes backups; palyra-store, beside this program, does what must
// be possible without one.
#include "clients/cli/commands.h"
#include "clients/cli/connection.h"
#include "clients/cli/terminal.h"
#include "palyra/gateway/v1/backup.grpc.pb.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <thread>
#include <unistd.h>
#include <vector>

namespace palyra::cli {

namespace {

constexpr std::chrono::milliseconds kAskEvery{100};

std::string store_program() {
  std::error_code ignored;
  const auto beside =
      std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / "palyra-store";
  return std::filesystem::exists(beside, ignored) ? beside.string() : "palyra-store";
}

// Becomes palyra-store with the places that palyra.toml names; returns only if that fails.
int become_store(const GlobalOptions& global, std::vector<std::string> arguments) {
  if (const std::string problem = config_problem(global); !problem.empty()) {
    return complain(problem, kExitConfig);
  }
  const StorePlaces places = find_store(global);
  const std::string program = store_program();
  std::vector<std::string> all = {program,
                                  "--store",
                                  places.store,
                                  "--backups",
                                  places.backups,
                                  "--archive",
                                  places.archive,
                                  "--segments",
                                  places.segments,
                                  "--output",
                                  global.output == Output::kText   ? "text"
                                  : global.output == Output::kJson ? "json"
                                                                   : "ndjson"};
  if (global.quiet) all.emplace_back("--quiet");
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::fflush(nullptr);
  execvp(program.c_str(), argv.data());
  return complain("cannot run " + program + ": " + std::strerror(errno) +
                      "; install palyra-store beside palyra or into the PATH",
                  kExitInternal);
}

std::string progress_words(const service::v1::BackupProgress& progress) {
  const std::string words = "backing up " + progress.name();
  if (progress.total_bytes() == 0) return words;
  constexpr uint64_t kCells = 20;
  const uint64_t cells = progress.done_bytes() * kCells / progress.total_bytes();
  std::string bar;
  for (uint64_t i = 0; i < kCells; ++i) bar += i < cells ? '#' : '.';
  return words + " [" + bar + "] " +
         std::to_string(progress.done_bytes() * 100 / progress.total_bytes()) + " %";
}

}  // namespace

int create_backup(const GlobalOptions& global, const std::string& name) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const auto stub = api::BackupService::NewStub(connection.channel());
  api::CreateBackupRequest request;
  request.set_name(name);
  api::CreateBackupResponse begun;
  auto context = connection.context();
  grpc::Status status = stub->CreateBackup(context.get(), request, &begun);
  if (!status.ok()) return connection.explain(status);
  api::ListBackupsResponse found;
  {
    Progress progress("backing up " + begun.name());
    api::ListBackupsRequest ask;
    ask.set_progress_only(true);
    do {
      std::this_thread::sleep_for(kAskEvery);
      context = connection.context();
      status = stub->ListBackups(context.get(), ask, &found);
      if (!status.ok()) return connection.explain(status);
      progress.describe(progress_words(found.progress()));
    } while (found.progress().name() == begun.name() && found.progress().running());
  }
  if (found.progress().name() == begun.name() && !found.progress().error().empty()) {
    return complain("the backup failed: " + found.progress().error(), kExitCannotCreate);
  }
  context = connection.context();
  status = stub->ListBackups(context.get(), {}, &found);
  if (!status.ok()) return connection.explain(status);
  for (const auto& backup : found.backups()) {
    if (backup.name() != begun.name()) continue;
    if (global.output != Output::kText) {
      std::printf("%s\n", to_json(backup, global.output == Output::kJson).c_str());
    } else if (global.quiet) {
      std::printf("%s\n", backup.name().c_str());
    } else {
      std::printf("%s: up to position %llu, %.1f MiB, in %s\n", backup.name().c_str(),
                  static_cast<unsigned long long>(backup.position()),
                  static_cast<double>(backup.size_bytes()) / (1 << 20),
                  one_line(found.directory()).c_str());
      std::printf("Next: palyra backup verify %s\n", backup.name().c_str());
    }
    return kExitOk;
  }
  return complain("the backup " + begun.name() + " is gone from " + found.directory(),
                  kExitInternal);
}

int list_backups(const GlobalOptions& global) { return become_store(global, {"list"}); }

int verify_backup(const GlobalOptions& global, const std::string& name) {
  return become_store(global, {"verify", "--", name});
}

int restore_backup(const GlobalOptions& global, const RestoreOptions& options) {
  std::vector<std::string> arguments = {"restore"};
  if (!options.to_time.empty()) {
    arguments.insert(arguments.end(), {"--to-time", options.to_time});
  }
  if (!options.to_position.empty()) {
    arguments.insert(arguments.end(), {"--to-position", options.to_position});
  }
  if (options.to_latest) arguments.emplace_back("--to-latest");
  if (options.force) arguments.emplace_back("--force");
  if (!options.name.empty()) arguments.insert(arguments.end(), {"--", options.name});
  return become_store(global, std::move(arguments));
}

int prune_backups(const GlobalOptions& global, int keep) {
  return become_store(global, {"prune", "--keep", std::to_string(keep)});
}

}  // namespace palyra::cli
