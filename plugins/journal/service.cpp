#include "plugins/journal/service.h"

#include "palyra/services.h"
#include "plugins/journal/request_check.h"

#include <algorithm>
#include <utility>

namespace palyra::journal {

JournalService::JournalService(Host host) : RawService(std::move(host), PALYRA_SERVICE_JOURNAL) {}

void JournalService::open(std::shared_ptr<Store> store, std::shared_ptr<Keeper> keeper) {
  const std::lock_guard lock(mutex_);
  store_ = std::move(store);
  keeper_ = std::move(keeper);
}

void JournalService::close() {
  std::shared_ptr<Store> store;
  std::shared_ptr<Keeper> keeper;
  {
    const std::lock_guard lock(mutex_);
    store = std::move(store_);
    keeper = std::move(keeper_);
  }
  keeper.reset();
  // The last owner ends here, without the lock, since its completions take it.
  store.reset();
}

template <typename M, typename May, typename Begin>
Status JournalService::with(const RawCall& call, const May& may, const Begin& begin) {
  M request;
  Status status = decode(call.encoding, call.request, request);
  if (status.ok()) status = may(request);
  if (!status.ok()) return status;
  begin(std::move(request));
  return {};
}

template <typename T>
Done<T> JournalService::completes(Responder responder) const {
  return [this, responder = std::move(responder)](Result<T> result) {
    if (result.ok()) {
      responder.done(host(), *result);
    } else {
      responder.done(result.status());
    }
  };
}

// On a thread that may block.
template <typename M, typename May, typename Work>
Status JournalService::keep(const RawCall& call, const May& may, Responder responder, Work work) {
  return with<M>(call, may, [&](M request) {
    host().executor().post_blocking(
        [this, work, request = std::move(request), responder = std::move(responder)] {
          // The keeper looks at the store, so the store stays as long.
          std::shared_ptr<Store> store;
          std::shared_ptr<Keeper> keeper;
          {
            const std::lock_guard lock(mutex_);
            store = store_;
            keeper = keeper_;
          }
          if (!keeper) {
            return responder.done(
                Status(Code::kUnimplemented, "this journal makes no backups by itself"));
          }
          const auto result = ((*keeper).*work)(request);
          keeper.reset();
          if (result.ok()) {
            responder.done(host(), *result);
          } else {
            responder.done(result.status());
          }
        });
  });
}

Status JournalService::start(const RawCall& call, Responder responder) {
  std::shared_ptr<Store> store;
  {
    const std::lock_guard lock(mutex_);
    store = store_;
  }
  if (!store) {
    return {Code::kUnavailable, "the journal is not open", PALYRA_ERROR_RETRYABLE};
  }
  const bool hub = (call.caller_flags & PALYRA_CALLER_HUB) != 0;
  const Caller caller = hub ? Caller::hub() : Caller::instance(call.caller);
  const auto stream = [&](const auto& request) { return caller.may_use(request.stream()); };
  const auto collection = [&](const auto& request) { return caller.may_use(request.collection()); };
  // Blobs are found by who knows their digest; what the store says of itself is for all.
  const auto anybody = [](const auto&) { return Status(); };
  // What these tell is of all streams.
  const auto gateway_only = [&](const auto&) {
    return hub ? Status()
               : Status(Code::kPermissionDenied,
                        "journal: only the gateway may look at the whole store, not " +
                            std::string(call.caller),
                        PALYRA_ERROR_USER_FAULT);
  };
  // What looks after the store as a whole is the gateway's to ask for.
  const auto hub_only = [&](const auto& request) -> Status {
    if (!hub) {
      return {Code::kPermissionDenied, "journal: only the gateway may archive, erase and maintain",
              PALYRA_ERROR_USER_FAULT};
    }
    return check(request);
  };
  Store& open = *store;
  switch (call.method) {
    case PALYRA_JOURNAL_COMMIT:
      return with<v1::CommitRequest>(
          call, [&](const auto& request) { return caller.may(request); },
          [&](auto request) {
            open.commit(std::move(request), completes<v1::CommitResponse>(std::move(responder)));
          });
    case PALYRA_JOURNAL_READ:
      return with<v1::ReadRequest>(call, stream, [&](auto request) {
        open.read(std::move(request), completes<v1::ReadResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_GET:
      return with<v1::GetRequest>(call, collection, [&](auto request) {
        open.get(std::move(request), completes<v1::GetResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_QUERY:
      return with<v1::QueryRequest>(call, collection, [&](auto request) {
        open.query(std::move(request), completes<v1::QueryResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_WATCH:
      return watch(open, call, std::move(responder));
    case PALYRA_JOURNAL_PUT_BLOB:
      return with<v1::PutBlobRequest>(call, anybody, [&](auto request) {
        open.put_blob(std::move(request), std::string(call.caller),
                      completes<v1::PutBlobResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_GET_BLOB:
      return with<v1::GetBlobRequest>(call, anybody, [&](auto request) {
        open.get_blob(std::move(request), completes<v1::GetBlobResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_DECLARE:
      return with<v1::DeclareRequest>(call, collection, [&](auto request) {
        open.declare(std::move(request), completes<v1::DeclareResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_VERIFY:
      return with<v1::VerifyRequest>(call, stream, [&](auto request) {
        open.verify(std::move(request), completes<v1::VerifyResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_INFO:
      return with<v1::InfoRequest>(call, anybody, [&](auto) {
        open.info(completes<v1::InfoResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_HEADS:
      return with<v1::HeadsRequest>(call, gateway_only, [&](auto request) {
        open.heads(std::move(request), completes<v1::HeadsResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_VERIFY_STORE:
      return with<v1::VerifyStoreRequest>(call, gateway_only, [&](auto request) {
        open.verify_store(std::move(request),
                          completes<v1::VerifyStoreResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_LIST_STREAMS:
      return with<v1::ListStreamsRequest>(call, gateway_only, [&](auto request) {
        open.list_streams(std::move(request),
                          completes<v1::ListStreamsResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_ERASE:
      return with<v1::EraseRecordsRequest>(call, hub_only, [&](auto request) {
        EraseRequest erase;
        erase.stream = std::move(*request.mutable_stream());
        erase.first_seq = std::max<uint64_t>(request.first_seq(), 1);
        erase.last_seq = request.last_seq();
        erase.reason = std::move(*request.mutable_reason());
        erase.principal = std::move(*request.mutable_principal());
        open.erase(std::move(erase), completes<v1::CommitResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_ARCHIVE:
      return with<v1::ArchiveRequest>(call, hub_only, [&](auto request) {
        open.archive(std::move(request), completes<v1::ArchiveResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_MAINTAIN:
      return with<v1::MaintainRequest>(call, hub_only, [&](auto request) {
        open.maintain(std::move(request), completes<v1::MaintainResponse>(std::move(responder)));
      });
    case PALYRA_JOURNAL_BACKUP:
      return keep<v1::BackupRequest>(call, gateway_only, std::move(responder), &Keeper::backup);
    case PALYRA_JOURNAL_CHECK:
      return keep<v1::CheckRequest>(call, gateway_only, std::move(responder), &Keeper::check);
    default:
      return {Code::kUnimplemented,
              "palyra.journal/1 has no method " + std::to_string(call.method)};
  }
}

Status JournalService::watch(Store& store, const RawCall& call, Responder responder) {
  const bool hub = (call.caller_flags & PALYRA_CALLER_HUB) != 0;
  const Caller caller = hub ? Caller::hub() : Caller::instance(call.caller);
  v1::WatchRequest request;
  Status status = decode(call.encoding, call.request, request);
  if (status.ok()) status = caller.confine(request);
  if (!status.ok()) return status;
  const palyra_handle op = call.op;
  std::shared_ptr<Watch> watch = store.watch(
      std::move(request), {[this, responder](v1::WatchItem item) { responder.item(host(), item); },
                           [this, responder, op](Status end) {
                             {
                               const std::lock_guard lock(mutex_);
                               watches_.erase(op);
                             }
                             responder.done(end);
                           }});
  {
    const std::lock_guard lock(mutex_);
    watches_[op] = watch;
  }
  // The first credits come once start has returned, so that no item comes before.
  host().executor().post([watch, credits = call.credits] { watch->grant(credits); });
  return {};
}

std::shared_ptr<Watch> JournalService::find(palyra_handle op) {
  const std::lock_guard lock(mutex_);
  const auto found = watches_.find(op);
  return found == watches_.end() ? nullptr : found->second;
}

void JournalService::grant(palyra_handle op, uint32_t credits) {
  if (const auto watch = find(op)) watch->grant(credits);
}

void JournalService::cancel(palyra_handle op) {
  if (const auto watch = find(op)) watch->cancel();
}

}  // namespace palyra::journal
