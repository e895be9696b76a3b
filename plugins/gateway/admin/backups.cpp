#include "plugins/gateway/admin/backups.h"

#include <utility>

namespace palyra::gateway {
namespace {

Status require_admin(const Caller& caller) {
  if (caller.may("admin")) return {};
  return Status(Code::kPermissionDenied, "backups need a credential with the scope admin");
}

}  // namespace

Task<Result<api::CreateBackupResponse>> Backups::create(Caller caller,
                                                        api::CreateBackupRequest request) {
  if (Status status = require_admin(caller); !status.ok()) co_return status;
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
  if (Status status = require_admin(caller); !status.ok()) co_return status;
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

}  // namespace palyra::gateway
