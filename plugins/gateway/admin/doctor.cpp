#include "plugins/gateway/admin/doctor.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <ctime>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

namespace palyra::gateway {
namespace {

using Json = nlohmann::json;
namespace pb = ::palyra::service::v1;

Check make(std::string name, const char* status, std::string message, std::string fix = {}) {
  Check check;
  check.set_name(std::move(name));
  check.set_status(status);
  check.set_message(std::move(message));
  check.set_fix(std::move(fix));
  return check;
}

std::string field(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// "2026-01-31 12:00 UTC".
std::string minute(int64_t ms) {
  const std::time_t seconds = ms / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char words[32];
  std::strftime(words, sizeof words, "%Y-%m-%d %H:%M UTC", &parts);
  return words;
}

std::string megabytes(uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

std::vector<Check> host_checks(const Result<std::string>& json) {
  const Json list = json.ok() ? Json::parse(*json, nullptr, false) : Json();
  if (!list.is_array()) {
    return {make("host", "fail",
                 json.ok() ? "the host's checks do not parse" : json.status().message(),
                 "install palyrad and its plugins from the same release")};
  }
  std::vector<Check> checks;
  for (const Json& entry : list) {
    if (!entry.is_object()) continue;
    Check check = make(field(entry, "name"), "fail", field(entry, "message"), field(entry, "fix"));
    const std::string status = field(entry, "status");
    if (status == "ok" || status == "warn") check.set_status(status);
    if (check.status() != "ok" && check.fix().empty()) check.set_fix("see the daemon's log");
    checks.push_back(std::move(check));
  }
  return checks;
}

Check journal_check(const Result<pb::InfoResponse>& info) {
  if (!info.ok()) {
    return make(
        "journal", "fail", "no journal answers: " + info.status().message(),
        "look at \"palyra plugins list\" for why the journal is not active; without it no run "
        "can start");
  }
  if (!info->write_refusal().empty()) {
    return make("journal", "fail", "the journal refuses writes: " + info->write_refusal(),
                "free space at " + info->location() +
                    " (palyra storage status); it goes on by itself, but for an I/O error, "
                    "which needs a restart of the daemon");
  }
  const std::string room = megabytes(info->free_bytes()) + " free at " + info->location();
  const std::string fix = "free space at " + info->location() + ", or move daemon.state_dir";
  if (info->free_bytes() < kFullDisk) return make("journal", "fail", room, fix);
  if (info->free_bytes() < kLowDisk) return make("journal", "warn", room, fix);
  return make("journal", "ok",
              info->backend() + ", " + megabytes(info->size_bytes()) + ", " + room);
}

std::vector<Check> journal_keeping_checks(const Result<pb::CheckResponse>& keeping) {
  if (!keeping.ok()) {
    return {make("journal-check", "fail",
                 "the journal does not say how it is: " + keeping.status().message(),
                 "look at \"palyra plugins list\" for why the journal is not active")};
  }
  std::vector<Check> checks;
  const pb::StoreCheckProgress& check = keeping->check();
  const std::string repair =
      "stop the daemon, then: palyra backup restore --force; the damaged store is kept";
  switch (check.state()) {
    case pb::STORE_CHECK_STATE_DAMAGED:
      checks.push_back(make("journal-check", "fail", "damaged: " + check.detail(), repair));
      break;
    case pb::STORE_CHECK_STATE_FAILED:
      checks.push_back(make("journal-check", "warn",
                            "the store could not be checked: " + check.detail(),
                            "look at the daemon's log; it is tried again at the next start"));
      break;
    case pb::STORE_CHECK_STATE_RUNNING: {
      const uint64_t total = std::max<uint64_t>(check.records_total(), 1);
      const uint64_t part = std::min<uint64_t>(check.records_done() * 100 / total, 99);
      checks.push_back(make("journal-check", "ok", "running, " + std::to_string(part) + " %"));
      break;
    }
    case pb::STORE_CHECK_STATE_OK:
    case pb::STORE_CHECK_STATE_NOT_DUE:
      checks.push_back(make("journal-check", "ok",
                            "every page, chain and blob of the database verified at " +
                                minute(check.finished_ms()) +
                                " (archived files: palyra audit verify)"));
      break;
    default:
      checks.push_back(make("journal-check", "ok", "begins some seconds after the start"));
  }
  const pb::BackupProgress& backup = keeping->backup();
  if (!backup.error().empty()) {
    checks.push_back(make("backups", "warn",
                          (backup.name().empty() ? "" : "the last one failed: ") + backup.error(),
                          "remove the cause, then: palyra backup create"));
  } else if (!backup.note().empty()) {
    checks.push_back(make("backups", "warn", backup.name() + " was made, but " + backup.note(),
                          "remove the cause, then: palyra backup create"));
  } else if (!keeping->archive_problem().empty()) {
    checks.push_back(make("backups", "warn", "the archive: " + keeping->archive_problem(),
                          "remove the cause, then: palyra backup create"));
  } else if (backup.running()) {
    checks.push_back(make("backups", "ok", backup.name() + " is being made"));
  } else if (keeping->backups().empty()) {
    checks.push_back(make("backups", "ok", "none yet; make one with: palyra backup create"));
  } else {
    const pb::BackupInfo& newest = keeping->backups(0);
    checks.push_back(make("backups", "ok",
                          std::to_string(keeping->backups_size()) + " in " + keeping->directory() +
                              ", the newest of " + minute(newest.created_ms())));
  }
  return checks;
}

Check provider_check(const std::string& instance, const Result<pb::ListModelsResponse>& models) {
  const std::string name = "provider-" + instance;
  if (!models.ok()) {
    return make(name, "fail", models.status().message(),
                "look at \"palyra plugins list\" and the daemon's log for " + instance);
  }
  const std::string detail = models->detail().empty() ? std::string() : ": " + models->detail();
  switch (models->state()) {
    case pb::PROVIDER_STATE_READY:
      return make(name, "ok", std::to_string(models->models_size()) + " models");
    case pb::PROVIDER_STATE_KEY_MISSING:
      return make(name, "fail", "no usable API key" + detail,
                  "set the key that api_key of " + instance +
                      " refers to (env:NAME or file:PATH), then restart the daemon");
    case pb::PROVIDER_STATE_UNREACHABLE:
      return make(name, "fail", "the endpoint cannot be reached" + detail,
                  "check base_url of " + instance + " and the network");
    default:
      return make(name, "warn", "the provider does not say how it is" + detail,
                  "run \"palyra models list --probe\"");
  }
}

Check default_model_check(const std::string& model, const std::vector<std::string>& instances) {
  const std::string instance = model.substr(0, model.find('/'));
  if (std::find(instances.begin(), instances.end(), instance) != instances.end()) {
    return make("default-model", "ok", model);
  }
  return make(
      "default-model", "fail",
      "the default model " + model + " needs a provider \"" + instance + "\", which is not running",
      "add [plugins." + instance +
          "], or set gateway.model to one of \"palyra models "
          "list\"");
}

namespace {

// A file that is this user's only; `lost` is what to do if it is not there.
std::optional<Check> exposed(const char* name, const std::string& path, const std::string& lost,
                             const std::string& replace) {
  struct stat file {};
  if (::lstat(path.c_str(), &file) != 0) return make(name, "fail", path + " is missing", lost);
  if (!S_ISREG(file.st_mode)) {
    return make(name, "fail", path + " is not a regular file", "remove it, then: " + lost);
  }
  if ((file.st_mode & 077) != 0) {
    return make(name, "fail", path + " can be read by other users", "chmod 600 " + path + replace);
  }
  if (file.st_uid != ::geteuid()) {
    return make(name, "fail", path + " belongs to another user", "chown it to the daemon's user");
  }
  return {};
}

}  // namespace

Check owner_token_check(const std::string& path) {
  const auto wrong = exposed("owner-token", path, "restart the daemon, which makes a new one",
                             ", and replace the token: remove the file, restart");
  return wrong ? *wrong : make("owner-token", "ok", "only this user can read it");
}

Check audit_key_check(const AuditKeyFacts& key) {
  constexpr char kName[] = "audit-key";
  const std::string lost =
      "put your copy of it back; without one restart the daemon, which makes a new key, and give "
      "verifiers the old public key, too: --key " +
      key.in_use;
  const auto wrong =
      exposed(kName, key.path, lost,
              "; who has read it can sign, so if somebody may have, move it away and "
              "restart for a new one");
  if (wrong) return *wrong;
  if (!key.in_file.ok()) return make(kName, "fail", key.in_file.status().message(), lost);
  if (*key.in_file != key.in_use) {
    return make(kName, "fail", key.path + " holds another key than the one that is signed with",
                "if it was replaced on purpose, restart the daemon; otherwise " + lost);
  }
  if (!key.tampered.empty()) {
    return make(kName, "fail", key.tampered,
                "somebody changed the store behind the daemon's back: keep a copy of it, see what "
                "palyra audit verify finds, and restore a backup; checkpoints go on from the last "
                "one that is right");
  }
  if (!key.newest.empty() && key.newest != key.in_use) {
    return make(kName, "warn", "the newest checkpoint is signed with another key, " + key.newest,
                "if the key was replaced on purpose, verify with --key " + key.newest +
                    " too; otherwise put the old " + key.path + " back and restart");
  }
  return make(kName, "ok",
              "only this user can read it; " + (key.newest.empty()
                                                    ? std::string("there is no checkpoint yet")
                                                    : "the newest checkpoint is signed with it"));
}

Check storage_check(const std::string& problem) {
  if (problem.empty()) {
    return make("storage", "ok", "retention and erasures have nothing left to do");
  }
  return make("storage", "warn", problem,
              "palyra storage status says more; it is tried again by itself");
}

Check exposure_check(const std::string& endpoint) {
  const std::string host = endpoint.substr(0, endpoint.rfind(':'));
  if (host.rfind("127.", 0) == 0 || host == "[::1]" || host == "localhost") {
    return make("exposure", "ok", endpoint + " is reachable from this machine only");
  }
  return make("exposure", "fail", endpoint + " can be reached from outside, without TLS",
              "set gateway.grpc_listen to 127.0.0.1:7443 and use an SSH tunnel");
}

Check clock_check(int64_t wall_now_ns, int64_t known_ms) {
  // 2025-01-01 and 2100-01-01 in seconds.
  constexpr int64_t kEarliest = 1'735'689'600;
  constexpr int64_t kLatest = 4'102'444'800;
  const int64_t seconds = wall_now_ns / 1'000'000'000;
  // Clocks are set back by some seconds all the time.
  constexpr int64_t kTolerated = 60;
  if (const int64_t back = known_ms / 1000 - seconds; back > kTolerated) {
    return make(
        "clock", "warn",
        "the system clock is " + std::to_string(back) +
            " s behind the newest checkpoint: it was set back, or was wrong then",
        "set the clock (timedatectl set-ntp true); nothing is lost, but new runs are listed "
        "among older ones, and approvals and schedules rest on it");
  }
  if (seconds >= kEarliest && seconds < kLatest) return make("clock", "ok", "plausible");
  return make("clock", "fail", "the system clock says " + std::to_string(seconds) + " s since 1970",
              "set the clock (timedatectl set-ntp true); approvals and schedules rest on it");
}

}  // namespace palyra::gateway
