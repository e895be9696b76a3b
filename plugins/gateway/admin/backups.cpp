#include "plugins/gateway/admin/backups.h"

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/admin/tar.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

Status require_backup_scope(const Caller& caller) {
  if (caller.may("admin")) return {};
  return Status(Code::kPermissionDenied, "backups need a credential with the scope admin");
}

constexpr char kSegments[] = "segments/";

Status nobody_reads() { return {Code::kCancelled, "nobody reads this backup any more"}; }

}  // namespace

Task<Result<api::CreateBackupResponse>> Backups::create(Caller caller,
                                                        api::CreateBackupRequest request) {
  if (Status status = require_backup_scope(caller); !status.ok()) co_return status;
  service::v1::BackupRequest wanted;
  wanted.set_name(request.name());
  const auto begun = co_await journal_.backup(std::move(wanted));
  if (!begun.ok()) co_return begun.status();
  api::CreateBackupResponse response;
  response.set_name(begun->name());
  co_return response;
}

Task<Result<api::ListBackupsResponse>> Backups::list(Caller caller,
                                                     api::ListBackupsRequest request) {
  if (Status status = require_backup_scope(caller); !status.ok()) co_return status;
  service::v1::CheckRequest wanted;
  wanted.set_progress_only(request.progress_only());
  auto found = co_await journal_.check(std::move(wanted));
  if (!found.ok()) co_return found.status();
  api::ListBackupsResponse response;
  *response.mutable_progress() = std::move(*found->mutable_backup());
  *response.mutable_backups() = std::move(*found->mutable_backups());
  response.set_directory(found->directory());
  co_return response;
}

Task<Status> Backups::download(Caller caller, api::DownloadBackupRequest request,
                               Send<api::BackupChunk> send) {
  if (Status status = require_backup_scope(caller); !status.ok()) co_return status;
  const std::string name = request.name();
  service::v1::CheckRequest ask;
  ask.mutable_part()->set_name(name);
  auto found = co_await journal_.check(ask);
  if (!found.ok()) co_return found.status();
  const service::v1::BackupData list = std::move(*found->mutable_data());

  constexpr int kMostMissing = 1000;
  api::BackupChunk chunk;
  uint64_t total = tar::end().size();
  for (const auto& file : list.files()) {
    total += tar::kBlock + file.size() + tar::padding(file.size()).size();
  }
  for (int i = 0; i < std::min(list.missing_size(), kMostMissing); ++i) {
    chunk.add_missing_segments(list.missing(i));
  }
  digest::Sha256 digest;
  for (const auto& file : list.files()) {
    const bool segment = file.name().rfind(kSegments, 0) == 0;
    std::string bytes = tar::header(
        segment ? name + "/segments" : name,
        segment ? file.name().substr(sizeof kSegments - 1) : file.name(), file.size(), 0);
    uint64_t offset = 0;
    for (bool end = false; !end;) {
      if (offset < file.size()) {
        ask.mutable_part()->set_file(file.name());
        ask.mutable_part()->set_offset(offset);
        auto piece = co_await journal_.check(ask);
        if (!piece.ok()) co_return piece.status();
        const std::string& data = piece->data().data();
        if (data.empty() || data.size() > file.size() - offset) {
          co_return Status(Code::kDataLoss, "the backup " + name + " changed while it was read");
        }
        offset += data.size();
        bytes += data;
      }
      end = offset == file.size();
      if (end) bytes += tar::padding(file.size());
      digest.update(bytes);
      chunk.set_total_bytes(total);
      chunk.set_data(std::move(bytes));
      bytes.clear();
      if (!co_await send(std::move(chunk))) co_return nobody_reads();
      chunk.Clear();
    }
  }
  digest.update(tar::end());
  chunk.set_total_bytes(total);
  chunk.set_data(tar::end());
  chunk.set_sha256(digest::to_hex(digest.finish()));
  if (!co_await send(std::move(chunk))) co_return nobody_reads();
  co_return Status();
}

}  // namespace palyra::gateway
