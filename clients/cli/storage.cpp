#include "clients/cli/commands.h"
#include "clients/cli/connection.h"
#include "clients/cli/terminal.h"
#include "clients/cli/words.h"
#include "palyra/gateway/v1/storage.grpc.pb.h"

#include <cstdio>
#include <string>
#include <unistd.h>

namespace palyra::cli {

namespace {

using StorageStub = api::StorageService::Stub;

std::string size_words(uint64_t bytes) {
  if (bytes < 10 * 1024) return std::to_string(bytes) + " B";
  if (bytes < (uint64_t{10} << 20)) return std::to_string(bytes >> 10) + " KiB";
  return std::to_string(bytes >> 20) + " MiB";
}

void line(const char* name, const std::string& value) {
  std::printf("%-13s %s\n", name, one_line(value).c_str());
}

// An erasure cannot be undone: at a terminal it is asked for again.
bool confirmed(const std::string& what, bool yes) {
  if (yes) return true;
  if (isatty(STDIN_FILENO) == 0) return false;
  std::fprintf(stderr, "Erase %s for good? Type \"erase\": ", what.c_str());
  char word[16] = {};
  return std::fgets(word, sizeof word, stdin) != nullptr && std::string(word) == "erase\n";
}

template <typename Request>
int erase(const GlobalOptions& global, const std::string& what, const Request& request, bool yes,
          grpc::Status (StorageStub::*method)(grpc::ClientContext*, const Request&,
                                              api::EraseResponse*)) {
  if (!confirmed(what, yes)) {
    return complain("nothing was erased; to do it without a question, add --yes", kExitUsage);
  }
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const auto stub = api::StorageService::NewStub(connection.channel());
  Progress progress("erasing");
  auto context = connection.context(300);
  api::EraseResponse response;
  const grpc::Status status = (stub.get()->*method)(context.get(), request, &response);
  progress.alive();
  if (!status.ok()) return connection.explain(status);
  if (global.output != Output::kText) {
    std::printf("%s\n", to_json(response, global.output == Output::kJson).c_str());
  } else {
    std::printf("Erased %s: %s. Backups and archived logs made before still have it.\n",
                what.c_str(), counted(response.runs(), "run").c_str());
    if (!response.pending().empty()) {
      std::printf("Not overwritten yet, and tried again every minute: %s\n",
                  one_line(response.pending()).c_str());
    }
  }
  return kExitOk;
}

int print_status(const api::StorageStatus& status) {
  line("store", status.location() + ", " + size_words(status.file_bytes()));
  line("reclaimable", size_words(status.reclaimable_bytes()) +
                          (status.incremental() ? "" : "; see docs/operators.md"));
  line("disk free", size_words(status.disk_free_bytes()) + ", " +
                        size_words(status.min_free_bytes()) + " kept in reserve");
  line("archive", status.archive_location() + ", " + counted(status.archived_segments(), "file") +
                      ", " + counted(status.archived_records(), "record") + ", " +
                      size_words(status.archive_bytes()));
  const auto& retention = status.retention();
  std::string rules;
  if (status.retention_ttl_days() > 0) {
    rules = "after " + std::to_string(status.retention_ttl_days()) + " days";
  }
  if (status.retention_max_bytes() > 0) {
    rules += (rules.empty() ? "" : ", ") + std::string("above ") +
             size_words(status.retention_max_bytes());
  }
  line("retention", rules.empty() ? "off" : rules);
  if (retention.last_pass_ms() > 0) {
    line("last pass", local_time(retention.last_pass_ms()) + ", " +
                          counted(retention.sessions(), "session") + " archived so far");
  }
  if (!retention.problem().empty()) line("problem", retention.problem());
  if (status.pending_erasures() > 0) {
    line("erasures", std::to_string(status.pending_erasures()) + " not finished" +
                         (status.erasure_problem().empty() ? "" : ": " + status.erasure_problem()));
  }
  if (!status.refusal().empty()) line("refusing", status.refusal());
  return kExitOk;
}

}  // namespace

int erase_session(const GlobalOptions& global, const std::string& session_id,
                  const std::string& reason, bool yes) {
  api::EraseSessionRequest request;
  request.set_session_id(session_id);
  request.set_reason(reason);
  return erase(global, "session " + session_id, request, yes, &StorageStub::EraseSession);
}

int erase_run(const GlobalOptions& global, const std::string& run_id, const std::string& reason,
              bool yes) {
  api::EraseRunRequest request;
  request.set_run_id(run_id);
  request.set_reason(reason);
  return erase(global, "run " + run_id, request, yes, &StorageStub::EraseRun);
}

int storage_status(const GlobalOptions& global) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const auto stub = api::StorageService::NewStub(connection.channel());
  return call_and_print<StorageStub, api::GetStorageRequest, api::StorageStatus>(
      connection, *stub, &StorageStub::GetStorage, {}, print_status);
}

int storage_archive(const GlobalOptions& global, int older_than_days, bool dry_run) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const auto stub = api::StorageService::NewStub(connection.channel());
  Progress progress("archiving");
  api::ArchiveSessionsRequest request;
  request.set_older_than_days(static_cast<uint32_t>(older_than_days));
  request.set_dry_run(dry_run);
  api::ArchiveSessionsResponse all;
  do {
    auto context = connection.context(300);
    api::ArchiveSessionsResponse part;
    const grpc::Status status = stub->ArchiveSessions(context.get(), request, &part);
    if (!status.ok()) return connection.explain(status);
    all.set_sessions(all.sessions() + part.sessions());
    all.set_records(all.records() + part.records());
    all.set_payload_bytes(all.payload_bytes() + part.payload_bytes());
    all.set_file_bytes(all.file_bytes() + part.file_bytes());
    all.set_skipped(all.skipped() + part.skipped());
    all.set_failed(all.failed() + part.failed());
    if (all.problem().empty()) all.set_problem(part.problem());
    request.set_cursor(part.next_cursor());
  } while (!request.cursor().empty());
  progress.alive();
  if (global.output != Output::kText) {
    std::printf("%s\n", to_json(all, global.output == Output::kJson).c_str());
  } else if (dry_run) {
    std::printf("To be archived: %s; with a run that has not ended: %s.\n",
                counted(all.sessions(), "session").c_str(),
                counted(all.skipped(), "session").c_str());
  } else {
    std::printf("Archived %s of %s: %s in %s of files. Next: palyra storage vacuum\n",
                counted(all.records(), "record").c_str(),
                counted(all.sessions(), "session").c_str(), size_words(all.payload_bytes()).c_str(),
                size_words(all.file_bytes()).c_str());
  }
  if (all.failed() == 0) return kExitOk;
  return complain(counted(all.failed(), "session") + " could not be archived: " + all.problem(),
                  kExitDamaged);
}

int storage_vacuum(const GlobalOptions& global) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const auto stub = api::StorageService::NewStub(connection.channel());
  Progress progress("giving back free space");
  api::VacuumResponse all;
  do {
    auto context = connection.context();
    api::VacuumResponse part;
    const grpc::Status status = stub->Vacuum(context.get(), {}, &part);
    if (!status.ok()) return connection.explain(status);
    all.set_freed_bytes(all.freed_bytes() + part.freed_bytes());
    all.set_swept_blobs(all.swept_blobs() + part.swept_blobs());
    all.set_incremental(part.incremental());
    all.set_more(part.more());
  } while (all.more());
  progress.alive();
  if (global.output != Output::kText) {
    std::printf("%s\n", to_json(all, global.output == Output::kJson).c_str());
    return kExitOk;
  }
  std::printf("Gave back %s and removed %llu unused blobs.\n",
              size_words(all.freed_bytes()).c_str(),
              static_cast<unsigned long long>(all.swept_blobs()));
  if (!all.incremental()) {
    std::printf(
        "This store cannot shrink while it is used; see \"Life of a store\" in "
        "docs/operators.md.\n");
  }
  return kExitOk;
}

}  // namespace palyra::cli
