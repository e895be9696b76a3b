// palyra backup: a running daemon makes backups; palyra-store, beside this program, does what must
// be possible without one.
#include "clients/cli/commands.h"
#include "clients/cli/connection.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/terminal.h"
#include "palyra/gateway/v1/backup.grpc.pb.h"

#include <openssl/evp.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <thread>
#include <unistd.h>
#include <utility>
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

std::string bar(const std::string& words, uint64_t done, uint64_t total) {
  if (total == 0) return words;
  constexpr uint64_t kCells = 20;
  std::string cells;
  for (uint64_t i = 0; i < kCells; ++i) cells += i < done * kCells / total ? '#' : '.';
  return words + " [" + cells + "] " + std::to_string(done * 100 / total) + " %";
}

std::string progress_words(const service::v1::BackupProgress& progress) {
  return bar("backing up " + progress.name(), progress.done_bytes(), progress.total_bytes());
}

// The archive as it comes: to a file beside the one that is wanted, with its digest.
class Download {
 public:
  explicit Download(std::string file) : file_(std::move(file)), digest_(EVP_MD_CTX_new()) {
    EVP_DigestInit_ex(digest_, EVP_sha256(), nullptr);
    ::unlink(part().c_str());
    fd_ = ::open(part().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  }
  ~Download() {
    EVP_MD_CTX_free(digest_);
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(part().c_str());
  }
  Download(const Download&) = delete;

  bool open() const { return fd_ >= 0; }
  bool write(const std::string& data) {
    EVP_DigestUpdate(digest_, data.data(), data.size());
    for (size_t at = 0; at < data.size();) {
      const ssize_t size = ::write(fd_, data.data() + at, data.size() - at);
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) return false;
      at += static_cast<size_t>(size);
    }
    bytes_ += data.size();
    return true;
  }
  uint64_t bytes() const { return bytes_; }
  // Once, at the end.
  std::string sha256() {
    unsigned char bytes[32];
    EVP_DigestFinal_ex(digest_, bytes, nullptr);
    std::string hex;
    for (const unsigned char byte : bytes) {
      hex.push_back("0123456789abcdef"[byte >> 4]);
      hex.push_back("0123456789abcdef"[byte & 15]);
    }
    return hex;
  }
  // Durable under its name.
  bool keep() {
    if (::fsync(fd_) != 0 || ::rename(part().c_str(), file_.c_str()) != 0) return false;
    ::close(std::exchange(fd_, -1));
    const std::string directory = std::filesystem::path(file_).parent_path();
    const int at = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_CLOEXEC);
    if (at >= 0) {
      (void)!::fsync(at);
      ::close(at);
    }
    return true;
  }
  std::string part() const { return file_ + ".part"; }

 private:
  const std::string file_;
  EVP_MD_CTX* const digest_;
  int fd_ = -1;
  uint64_t bytes_ = 0;
};

int cannot_write(const Download& into) {
  return complain("cannot write " + into.part() + ": " + std::strerror(errno), kExitCannotCreate);
}

int download(Connection& connection, const std::string& name, const std::string& file,
             Download& into) {
  const auto stub = api::BackupService::NewStub(connection.channel());
  api::DownloadBackupRequest request;
  request.set_name(name);
  const auto context = connection.context(0);
  const Interrupt interrupt;
  const auto stream = stub->DownloadBackup(context.get(), request);
  api::BackupChunk chunk;
  std::vector<std::string> missing;
  std::string sha256;
  uint64_t total = 0;
  int problem = 0;
  {
    Progress progress("fetching " + name);
    while (problem == 0 && !interrupt.seen() && stream->Read(&chunk)) {
      missing.insert(missing.end(), chunk.missing_segments().begin(),
                     chunk.missing_segments().end());
      if (!into.write(chunk.data())) problem = errno;
      sha256 = chunk.sha256();
      total = chunk.total_bytes();
      progress.describe(bar("fetching " + name, into.bytes(), total));
    }
  }
  if (problem != 0 || interrupt.seen()) context->TryCancel();
  const grpc::Status status = stream->Finish();
  if (problem != 0) {
    return complain("cannot write " + into.part() + ": " + std::strerror(problem),
                    kExitCannotCreate);
  }
  if (interrupt.seen())
    return complain("stopped; the backup " + name + " stays with the daemon", kExitInterrupted);
  if (!status.ok()) return connection.explain(status);
  if (sha256.empty() || into.bytes() != total || into.sha256() != sha256) {
    return complain(
        "what arrived is not what was sent; try again: palyra backup create --file " + file,
        kExitIo);
  }
  if (!into.keep()) {
    return complain("cannot write " + file + ": " + std::strerror(errno), kExitCannotCreate);
  }
  if (!connection.options().quiet) {
    std::fprintf(stderr, "%s: %.1f MiB, SHA-256 %s\nNext: tar xf %s && palyra backup verify %s\n",
                 file.c_str(), static_cast<double>(into.bytes()) / (1 << 20), sha256.c_str(),
                 file.c_str(), (name + "/" + name + ".sqlite").c_str());
  }
  if (missing.empty()) return kExitOk;
  for (const std::string& each : missing) {
    std::fprintf(stderr, "missing: %s\n", one_line(each).c_str());
  }
  return complain("files of " + std::to_string(missing.size()) +
                      " archived segments were gone when the backup was made; put them into the "
                      "directory of segments (palyra storage status) and make another",
                  kExitDamaged);
}

}  // namespace

int create_backup(const GlobalOptions& global, const std::string& name, const std::string& file) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  // Before the daemon works for nothing.
  std::error_code none;
  if (std::filesystem::is_directory(file, none)) {
    return complain(file + " is a directory; name a file in it", kExitCannotCreate);
  }
  if (!file.empty() && std::filesystem::exists(std::filesystem::symlink_status(file, none))) {
    return complain(file + " is there already and is not overwritten; name another file",
                    kExitCannotCreate);
  }
  if (!file.empty()) {
    // Tried and removed again: until the backup is made, Ctrl-C leaves nothing behind.
    if (const Download trial(file); !trial.open()) return cannot_write(trial);
  }
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
  if (found.progress().name() == begun.name() && !found.progress().note().empty()) {
    std::fprintf(stderr, "palyra: the backup was made, but %s\n",
                 one_line(found.progress().note()).c_str());
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
      if (file.empty()) std::printf("Next: palyra backup verify %s\n", backup.name().c_str());
    }
    if (file.empty()) return kExitOk;
    Download into(file);
    return into.open() ? download(connection, backup.name(), file, into) : cannot_write(into);
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
