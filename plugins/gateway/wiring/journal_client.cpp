#include "plugins/gateway/wiring/journal_client.h"

#include "palyra/services/journal.hpp"
#include "palyra/services/journal_audit.hpp"
#include "plugins/common/digest/digest.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {

namespace pb = ::palyra::service::v1;

namespace {
constexpr int64_t kSlowCommit = 5 * kNanosPerSecond;
}

Status JournalClient::connect() {
  if (client_) return {};
  Result<Client> client = Client::acquire(host_, PALYRA_SERVICE_JOURNAL);
  if (!client.ok()) return client.status();
  client_.emplace(std::move(*client));
  return {};
}

template <typename Req, typename Res>
Task<Result<Res>> JournalClient::call(Unary<Req, Res> method, Req request) {
  if (Status status = connect(); !status.ok()) co_return status;
  co_return co_await client_->call(method, request);
}

Task<Result<pb::CommitResponse>> JournalClient::commit(pb::CommitRequest request) {
  const int64_t begun = host_.clock().mono_now();
  auto response = co_await call(journal::kCommit, std::move(request));
  const int64_t nanos = host_.clock().mono_now() - begun;
  commit_seconds_.observe(static_cast<double>(nanos) / kNanosPerSecond);
  if (nanos > kSlowCommit) {
    slow_commits_.add();
    host_.warn("a journal commit was slow; see the disk in: palyra doctor",
               {{"ms", nanos / kNanosPerMilli}});
  }
  if (tell_ && response.ok()) tell_(*response);
  co_return response;
}
Task<Result<pb::ReadResponse>> JournalClient::read(pb::ReadRequest request) {
  return call(journal::kRead, std::move(request));
}
Task<Result<pb::GetResponse>> JournalClient::get(pb::GetRequest request) {
  return call(journal::kGet, std::move(request));
}
Task<Result<pb::QueryResponse>> JournalClient::query(pb::QueryRequest request) {
  return call(journal::kQuery, std::move(request));
}
Task<Result<pb::VerifyResponse>> JournalClient::verify(pb::VerifyRequest request) {
  return call(journal::kVerify, std::move(request));
}
Task<Result<pb::InfoResponse>> JournalClient::info() {
  return call(journal::kInfo, pb::InfoRequest());
}

Task<Result<pb::HeadsResponse>> JournalClient::heads(pb::HeadsRequest request) {
  return call(journal::kHeads, std::move(request));
}
Task<Result<pb::VerifyStoreResponse>> JournalClient::verify_store(pb::VerifyStoreRequest request) {
  return call(journal::kVerifyStore, std::move(request));
}
Task<Result<pb::ListStreamsResponse>> JournalClient::list_streams(pb::ListStreamsRequest request) {
  return call(journal::kListStreams, std::move(request));
}

Task<Status> JournalClient::declare(pb::DeclareRequest request) {
  const auto response = co_await call(journal::kDeclare, std::move(request));
  co_return response.status();
}

Task<Result<std::string>> JournalClient::put_blob(std::string data) {
  const std::string digest = digest::sha256(data);
  size_t offset = 0;
  do {
    const size_t size = std::min(kBlobPart, data.size() - offset);
    pb::PutBlobRequest part;
    part.set_digest(digest);
    part.set_offset(offset);
    part.set_data(data.data() + offset, size);
    offset += size;
    part.set_last(offset == data.size());
    const auto response = co_await call(journal::kPutBlob, std::move(part));
    if (!response.ok()) co_return response.status();
    if (response->exists()) break;
  } while (offset < data.size());
  co_return digest;
}

Task<Result<std::string>> JournalClient::get_blob(std::string digest) {
  std::string data;
  for (;;) {
    pb::GetBlobRequest request;
    request.set_digest(digest);
    request.set_offset(data.size());
    const auto part = co_await call(journal::kGetBlob, std::move(request));
    if (!part.ok()) co_return part.status();
    data += part->data();
    if (data.size() >= part->size()) break;
    if (part->data().empty()) {
      co_return Status(Code::kDataLoss, "blob " + digest::to_hex(digest) + " ends at byte " +
                                            std::to_string(data.size()) + " of " +
                                            std::to_string(part->size()));
    }
  }
  co_return data;
}

}  // namespace palyra::gateway
