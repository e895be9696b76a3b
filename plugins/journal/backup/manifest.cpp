#include "plugins/journal/backup/manifest.h"

#include "plugins/common/digest/digest.h"
#include "plugins/journal/sqlite/database.h"
#include "plugins/journal/sqlite/files.h"
#include "plugins/journal/sqlite/snapshot.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <ctime>
#include <filesystem>

namespace palyra::journal::backup {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxManifest = 64 * 1024;
constexpr char kDatabase[] = ".sqlite";
constexpr char kManifest[] = ".json";

bool is_hex(const std::string& text, size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

std::string to_json(const Manifest& manifest) {
  const Json json = {{"format", Manifest::kFormat},
                     {"name", manifest.name},
                     {"created_ms", manifest.created_ms},
                     {"schema_version", manifest.schema_version},
                     {"position", manifest.position},
                     {"streams", manifest.streams},
                     {"newest_record_ms", manifest.newest_record_ms},
                     {"size", manifest.size},
                     {"sha256", manifest.sha256},
                     {"audit_head", manifest.audit_head},
                     {"log_salt", manifest.log_salt},
                     {"log_frames", manifest.log_frames},
                     {"version", manifest.version}};
  return json.dump(2) + "\n";
}

Result<Manifest> parse_manifest(const std::string& text) {
  Manifest manifest;
  try {
    const Json json = Json::parse(text);
    if (const int64_t format = json.at("format"); format != Manifest::kFormat) {
      return Status(Code::kFailedPrecondition, "the manifest has format " + std::to_string(format) +
                                                   ", this program knows " +
                                                   std::to_string(Manifest::kFormat) +
                                                   "; use the Palyra that made the backup");
    }
    json.at("name").get_to(manifest.name);
    json.at("created_ms").get_to(manifest.created_ms);
    json.at("schema_version").get_to(manifest.schema_version);
    json.at("position").get_to(manifest.position);
    json.at("streams").get_to(manifest.streams);
    json.at("newest_record_ms").get_to(manifest.newest_record_ms);
    json.at("size").get_to(manifest.size);
    json.at("sha256").get_to(manifest.sha256);
    json.at("audit_head").get_to(manifest.audit_head);
    json.at("log_salt").get_to(manifest.log_salt);
    // Older backups do not say.
    manifest.log_frames = json.value("log_frames", int64_t{-1});
    json.at("version").get_to(manifest.version);
  } catch (const Json::exception& error) {
    return Status(Code::kInvalidArgument, std::string("not a manifest: ") + error.what());
  }
  if (!is_name(manifest.name) || !is_hex(manifest.sha256, 64) ||
      (!manifest.log_salt.empty() && !is_hex(manifest.log_salt, 16)) ||
      (!manifest.audit_head.empty() && !is_hex(manifest.audit_head, 64))) {
    return Status(Code::kInvalidArgument, "not a manifest: a name or a digest is malformed");
  }
  return manifest;
}

bool is_name(const std::string& name) {
  const auto plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  };
  return !name.empty() && name.size() <= 64 && plain(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; });
}

std::string time_name(int64_t wall_ms) {
  const std::time_t seconds = wall_ms / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return text;
}

std::string database_of(const std::string& directory, const std::string& name) {
  return directory + "/" + name + kDatabase;
}

std::string manifest_of(const std::string& directory, const std::string& name) {
  return directory + "/" + name + kManifest;
}

Result<Backup> open_backup(const std::string& file) {
  std::filesystem::path path(file);
  if (path.extension() == kManifest) path.replace_extension(kDatabase);
  std::filesystem::path manifest_path = path;
  manifest_path.replace_extension(kManifest);
  const Result<std::string> text = files::read(manifest_path, kMaxManifest);
  if (!text.ok()) {
    return Status(text.status().code(), "no backup: its manifest cannot be read (" +
                                            text.status().message() +
                                            "); a backup is NAME.sqlite with NAME.json beside it");
  }
  const Result<Manifest> manifest = parse_manifest(*text);
  if (!manifest.ok()) {
    return Status(manifest.status().code() == Code::kInvalidArgument ? Code::kDataLoss
                                                                     : manifest.status().code(),
                  manifest_path.string() + ": " + manifest.status().message());
  }
  return Backup{*manifest, path};
}

Status check_facts(const Backup& backup) {
  auto db = sqlite::Database::open(backup.path, false);
  if (!db.ok()) return db.status();
  const auto facts = sqlite::facts_of(**db);
  if (!facts.ok()) return facts.status();
  const Manifest& manifest = backup.manifest;
  const char* const wrong =
      facts->position != manifest.position                             ? "position"
      : facts->streams != manifest.streams                             ? "streams"
      : facts->schema_version != manifest.schema_version               ? "schema_version"
      : facts->newest_wall_ns / 1'000'000 != manifest.newest_record_ms ? "newest_record_ms"
      : digest::to_hex(facts->audit_head) != manifest.audit_head       ? "audit_head"
                                                                       : nullptr;
  if (wrong == nullptr) return {};
  return {Code::kDataLoss, backup.path + ": its manifest has another " + wrong +
                               " than the database; the manifest was altered, use another backup"};
}

Result<std::vector<Manifest>> list_backups(const std::string& directory,
                                           std::vector<std::string>* unreadable) {
  std::vector<Manifest> found;
  std::error_code problem;
  std::filesystem::directory_iterator at(directory, problem), end;
  if (problem == std::errc::no_such_file_or_directory) return found;
  for (; !problem && at != end; at.increment(problem)) {
    const std::filesystem::path& path = at->path();
    const std::string name = path.stem();
    // One that begins with a point is of a backup that is not there yet.
    if (path.extension() != kManifest || name.front() == '.') continue;
    const Result<Backup> backup = open_backup(path);
    if (backup.ok() && is_name(name) && files::exists(backup->path)) {
      found.push_back(backup->manifest);
      found.back().name = name;  // it may have been renamed
    } else if (unreadable != nullptr) {
      unreadable->push_back(!backup.ok() ? backup.status().message()
                            : is_name(name)
                                ? path.string() + ": the database " + backup->path + " is missing"
                                : path.string() + ": no name of a backup");
    }
  }
  if (problem) return files::error(directory, problem.value());
  std::sort(found.begin(), found.end(), [](const Manifest& a, const Manifest& b) {
    return std::tie(a.created_ms, a.name) > std::tie(b.created_ms, b.name);
  });
  return found;
}

}  // namespace palyra::journal::backup
