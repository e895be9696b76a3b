// SPDX-License-Identifier: Apache-2.0
// Replaces a file as one step: readers see the old or the new content, after a power cut as well.
#include "plugins/common/digest/digest.h"
#include "plugins/tools/file_tool.h"
#include "plugins/tools/tools.h"
#include "plugins/tools/workspace.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <mutex>
#include <optional>
#include <unistd.h>

namespace palyra::tools {
namespace {

constexpr const char* kAbsent = "absent";

// Where the file is to be: its directory, open, and its name there.
struct Target {
  Fd directory;
  std::string name;
  std::string shown;
};

// What is there now.
struct Current {
  std::string digest = kAbsent;  // hex SHA-256
  std::optional<mode_t> mode;
};

Status write_fully(int fd, const std::string& data, const std::string& shown) {
  size_t done = 0;
  while (done < data.size()) {
    const ssize_t put = ::write(fd, data.data() + done, data.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return file_error(errno, "cannot write", shown);
    done += static_cast<size_t>(put);
  }
  return {};
}

// Makes the directories of `relative`, one by one, each beneath the root.
Status make_directories(int root, const std::string& relative) {
  for (size_t slash = relative.find('/');; slash = relative.find('/', slash + 1)) {
    const std::string prefix = relative.substr(0, slash);
    Result<Fd> there = open_beneath(root, prefix, O_RDONLY | O_DIRECTORY);
    if (!there.ok()) {
      const size_t last = prefix.rfind('/');
      const std::string parent = last == std::string::npos ? "." : prefix.substr(0, last);
      const std::string name = last == std::string::npos ? prefix : prefix.substr(last + 1);
      Result<Fd> above = open_beneath(root, parent, O_RDONLY | O_DIRECTORY);
      if (!above.ok()) return above.status();
      if (::mkdirat(above->get(), name.c_str(), 0755) != 0) {
        // Something else is in the way; the first answer says what.
        if (errno == EEXIST) return there.status();
        return file_error(errno, "cannot create", prefix);
      }
      if (::fsync(above->get()) != 0) return file_error(errno, "cannot create", prefix);
    }
    if (slash == std::string::npos) return {};
  }
}

Result<Target> find_target(const FileCall& call, bool may_create) {
  const auto path = call.arguments["path"].get<std::string>();
  auto place = locate(call.roots, path);
  if (!place.ok()) return place.status();
  const size_t slash = place->relative.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : place->relative.substr(0, slash);
  Target target{Fd(), place->relative.substr(slash == std::string::npos ? 0 : slash + 1),
                place->shown};
  if (target.name == "." || target.name == ".." || path.back() == '/') {
    return tool::problem("\"" + path + "\" does not name a file");
  }
  if (may_create && parent != "." && call.arguments.value("create_directories", false)) {
    if (Status status = make_directories(place->root.get(), parent); !status.ok()) return status;
  }
  auto directory = open_beneath(place->root.get(), parent, O_RDONLY | O_DIRECTORY);
  if (!directory.ok()) {
    return Status(directory.status().code(),
                  directory.status().message() +
                      (may_create ? "; create_directories makes missing ones" : ""),
                  directory.status().flags());
  }
  target.directory = std::move(*directory);
  return target;
}

Result<Current> look(const Target& target, size_t limit) {
  // A link is never followed here: the name itself will be replaced.
  auto file = open_regular(target.directory.get(), target.name, target.shown, O_NOFOLLOW);
  if (!file.ok()) {
    struct stat info {};
    if (::fstatat(target.directory.get(), target.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 &&
        errno == ENOENT) {
      return Current{};
    }
    return file.status();
  }
  auto data = read_all(file->fd.get(), limit, target.shown);
  if (!data.ok()) return data.status();
  return Current{digest::to_hex(digest::sha256(*data)), file->info.st_mode & 0777u};
}

class FsWrite : public FileTool {
 public:
  FsWrite(Executor& executor, int64_t max_bytes)
      : FileTool(executor), max_bytes_(static_cast<size_t>(max_bytes)) {}

  service::v1::ToolInfo info() const override {
    service::v1::ToolInfo info;
    info.set_name("fs.write");
    info.set_description(
        "Writes a whole file of the workspace. \"expected\" is what must be there now: the sha256 "
        "that fs.read returned, or \"absent\" for a new file; if something else is there, nothing "
        "is written.");
    info.set_input_schema_json(R"({
      "type": "object",
      "properties": {
        "path": {"type": "string", "minLength": 1,
                 "description": "Relative to the workspace, or absolute inside it."},
        "content": {"type": "string", "description": "The new content, complete."},
        "expected": {"type": "string",
                     "description": "Hex SHA-256 of the current content, or \"absent\"."},
        "create_directories": {"type": "boolean",
                               "description": "Make missing directories; default false."}
      },
      "required": ["path", "content", "expected"],
      "additionalProperties": false
    })");
    info.set_effect(common::v1::EFFECT_CLASS_VERIFIABLE);
    info.set_access(service::v1::TOOL_ACCESS_WRITE);
    info.set_provenance(common::v1::PROVENANCE_WORKSPACE);
    return info;
  }

 protected:
  Result<nlohmann::json> run(const FileCall& call) const override {
    const auto& content = call.arguments["content"].get_ref<const std::string&>();
    auto expected = read_expected(call);
    if (!expected.ok()) return expected.status();
    if (content.size() > max_bytes_) {
      return tool::problem("the content is larger than " + std::to_string(max_bytes_) + " bytes");
    }
    auto target = find_target(call, true);
    if (!target.ok()) return target.status();
    const std::string wanted = digest::to_hex(digest::sha256(content));

    const std::string temporary = temporary_name(call);
    const int directory = target->directory.get();
    // One left behind by an attempt that was cut off.
    ::unlinkat(directory, temporary.c_str(), 0);
    Result<Fd> file =
        open_beneath(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
    if (!file.ok()) return file.status();
    Status status = write_fully(file->get(), content, target->shown);
    if (status.ok()) status = replace(*target, *file, temporary, *expected, wanted);
    if (!status.ok()) {
      ::unlinkat(directory, temporary.c_str(), 0);
      return status;
    }
    return report(*target, content.size(), wanted, *expected);
  }

  Result<service::v1::VerifyCallResponse> check(const FileCall& call) const override {
    service::v1::VerifyCallResponse response;
    response.set_outcome(service::v1::CALL_OUTCOME_UNKNOWN);
    const auto& content = call.arguments["content"].get_ref<const std::string&>();
    auto expected = read_expected(call);
    auto target = find_target(call, false);
    if (!expected.ok() || (!target.ok() && target.status().code() == Code::kNotFound)) {
      // Refused before writing, or not even a directory to write to.
      response.set_outcome(service::v1::CALL_OUTCOME_NOT_HAPPENED);
      return response;
    }
    if (!target.ok()) {
      if ((target.status().flags() & PALYRA_ERROR_USER_FAULT) == 0) return target.status();
      return response;
    }
    ::unlinkat(target->directory.get(), temporary_name(call).c_str(), 0);
    auto current = look(*target, max_bytes_);
    if (!current.ok()) {
      if ((current.status().flags() & PALYRA_ERROR_USER_FAULT) == 0) return current.status();
      return response;
    }
    const std::string wanted = digest::to_hex(digest::sha256(content));
    if (current->digest == wanted) {
      // Seen is not yet durable: the cut may have come before the directory was.
      if (::fsync(target->directory.get()) != 0) {
        return file_error(errno, "cannot make durable", target->shown);
      }
      response.set_outcome(service::v1::CALL_OUTCOME_HAPPENED);
      *response.mutable_result() =
          tool::json_result(report(*target, content.size(), wanted, *expected));
    } else if (current->digest == *expected) {
      response.set_outcome(service::v1::CALL_OUTCOME_NOT_HAPPENED);
    }
    return response;
  }

 private:
  static Result<std::string> read_expected(const FileCall& call) {
    auto text = call.arguments["expected"].get<std::string>();
    if (text == kAbsent) return text;
    const auto bytes = digest::from_hex(text);
    if (!bytes || bytes->size() != digest::kSha256Size) {
      return tool::problem("expected must be the sha256 of fs.read (64 hex digits) or \"absent\"");
    }
    return digest::to_hex(*bytes);
  }

  // The same in every attempt of a call, so that a later one finds what an earlier one left.
  static std::string temporary_name(const FileCall& call) {
    const std::string seed =
        call.idempotency_key.empty() ? call.arguments.dump() : call.idempotency_key;
    return ".palyra-" + digest::to_hex(digest::sha256(seed)).substr(0, 24) + ".tmp";
  }

  static nlohmann::json report(const Target& target, size_t size, const std::string& digest,
                               const std::string& expected) {
    return {{"path", target.shown},
            {"size", size},
            {"sha256", digest},
            {"created", expected == kAbsent}};
  }

  // Puts the temporary file into place if what is there is what the caller has seen.
  Status replace(const Target& target, const Fd& file, const std::string& temporary,
                 const std::string& expected, const std::string& wanted) const {
    const int directory = target.directory.get();
    if (::fsync(file.get()) != 0) return file_error(errno, "cannot write", target.shown);
    // Between looking and renaming no other write of this instance comes in.
    const std::lock_guard lock(mutex_);
    auto current = look(target, max_bytes_);
    if (!current.ok()) return current.status();
    if (current->digest == wanted) {
      ::unlinkat(directory, temporary.c_str(), 0);
    } else if (current->digest != expected) {
      return mismatch(target, *current, expected);
    } else {
      if (current->mode && ::fchmod(file.get(), *current->mode) != 0) {
        return file_error(errno, "cannot write", target.shown);
      }
      // A new file must not hit one that somebody else has just made.
      const unsigned flags = expected == kAbsent ? RENAME_NOREPLACE : 0u;
      if (::renameat2(directory, temporary.c_str(), directory, target.name.c_str(), flags) != 0) {
        return file_error(errno, "cannot write", target.shown);
      }
    }
    if (::fsync(directory) != 0) return file_error(errno, "cannot make durable", target.shown);
    return {};
  }

  static Status mismatch(const Target& target, const Current& current,
                         const std::string& expected) {
    if (current.digest == kAbsent) {
      return tool::problem(target.shown +
                           " does not exist; nothing was written; pass expected \"absent\" to "
                           "create it");
    }
    if (expected == kAbsent) {
      return tool::problem(target.shown +
                           " exists already; nothing was written; read it with fs.read and pass "
                           "its sha256 as expected");
    }
    return tool::problem(target.shown + " has changed: its sha256 is " + current.digest +
                         "; nothing was written; read it again with fs.read");
  }

  const size_t max_bytes_;
  mutable std::mutex mutex_;
};

}  // namespace

std::shared_ptr<tool::Tool> make_fs_write(Executor& executor, const Config& config) {
  return std::make_shared<FsWrite>(executor, config.max_file_bytes);
}

}  // namespace palyra::tools
