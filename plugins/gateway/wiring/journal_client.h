// The bound palyra.journal/1 as the gateway's Journal.
#pragma once

#include "palyra/client.hpp"
#include "plugins/gateway/ports/journal_audit.h"
#include "plugins/gateway/ports/ports.h"

#include <functional>
#include <optional>
#include <string>

namespace palyra::gateway {

// On the gateway's lane. May be made before a journal is there: calls then end UNAVAILABLE. A
// commit has no deadline: whether it happened is only known from its answer, which the registry
// gives even when the journal dies. One that takes over 5 s is counted and logged.
class JournalClient final : public Journal, public JournalAudit {
 public:
  // Bytes of one part of a blob, the contract's maximum.
  static constexpr size_t kBlobPart = 1024 * 1024;

  explicit JournalClient(Host host)
      : host_(std::move(host)),
        commit_seconds_(host_.histogram("palyra_journal_commit_seconds", "Durable commits")),
        slow_commits_(host_.counter("palyra_journal_commits_slow", "Commits that took over 5 s")) {}

  // Told of every commit that has happened, before its caller is.
  void on_commit(std::function<void(const ::palyra::service::v1::CommitResponse&)> tell) {
    tell_ = std::move(tell);
  }

  Task<Result<::palyra::service::v1::CommitResponse>> commit(
      ::palyra::service::v1::CommitRequest request) override;
  Task<Result<::palyra::service::v1::ReadResponse>> read(
      ::palyra::service::v1::ReadRequest request) override;
  Task<Result<::palyra::service::v1::GetResponse>> get(
      ::palyra::service::v1::GetRequest request) override;
  Task<Result<::palyra::service::v1::QueryResponse>> query(
      ::palyra::service::v1::QueryRequest request) override;
  Task<Result<::palyra::service::v1::VerifyResponse>> verify(
      ::palyra::service::v1::VerifyRequest request) override;
  Task<Result<::palyra::service::v1::InfoResponse>> info() override;
  Task<Status> declare(::palyra::service::v1::DeclareRequest request) override;
  Task<Result<std::string>> put_blob(std::string data) override;
  Task<Result<std::string>> get_blob(std::string digest) override;
  Task<Result<::palyra::service::v1::HeadsResponse>> heads(
      ::palyra::service::v1::HeadsRequest request) override;
  Task<Result<::palyra::service::v1::VerifyStoreResponse>> verify_store(
      ::palyra::service::v1::VerifyStoreRequest request) override;
  Task<Result<::palyra::service::v1::ListStreamsResponse>> list_streams(
      ::palyra::service::v1::ListStreamsRequest request) override;

 private:
  template <typename Req, typename Res>
  Task<Result<Res>> call(Unary<Req, Res> method, Req request);
  // Acquires at the first use; FAILED_PRECONDITION if two journals are there and none is bound.
  Status connect();

  const Host host_;
  const Histogram commit_seconds_;
  const Counter slow_commits_;
  std::optional<Client> client_;
  std::function<void(const ::palyra::service::v1::CommitResponse&)> tell_;
};

}  // namespace palyra::gateway
