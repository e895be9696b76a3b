#include "plugins/gateway/wiring/upkeep_client.h"

#include "palyra/services/journal_upkeep.hpp"

#include <utility>

namespace palyra::gateway {

namespace pb = ::palyra::service::v1;

template <typename Req, typename Res>
Task<Result<Res>> UpkeepClient::call(Unary<Req, Res> method, Req request) {
  if (!client_) {
    Result<Client> client = Client::acquire(host_, PALYRA_SERVICE_JOURNAL);
    if (!client.ok()) co_return client.status();
    client_.emplace(std::move(*client));
  }
  co_return co_await client_->call(method, request);
}

Task<Result<pb::CommitResponse>> UpkeepClient::erase(pb::EraseRecordsRequest request) {
  return call(journal::kErase, std::move(request));
}
Task<Result<pb::ArchiveResponse>> UpkeepClient::archive(pb::ArchiveRequest request) {
  return call(journal::kArchive, std::move(request));
}
Task<Result<pb::MaintainResponse>> UpkeepClient::maintain(pb::MaintainRequest request) {
  return call(journal::kMaintain, std::move(request));
}

}  // namespace palyra::gateway
