#include "plugins/gateway/audit/audit_impl.h"

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/audit/exporter.h"
#include "plugins/gateway/audit/store_verifier.h"

#include <utility>

namespace palyra::gateway {
namespace {

constexpr int kMaxKeys = 100;

// Deny by default, whatever the transport has checked.
Status require_admin(const Caller& caller) {
  if (caller.may("admin")) return {};
  return {Code::kPermissionDenied, "this needs a credential with the scope admin"};
}

Status bad_request(std::string words) {
  return {Code::kInvalidArgument, std::move(words), PALYRA_ERROR_USER_FAULT};
}

// Given back when the verification's frame ends, however it ends.
class Busy {
 public:
  explicit Busy(bool& busy) : busy_(busy) { busy_ = true; }
  ~Busy() { busy_ = false; }
  Busy(const Busy&) = delete;

 private:
  bool& busy_;
};

}  // namespace

Task<Status> AuditImpl::verify_store(Caller caller, api::VerifyStoreRequest request,
                                     Send<api::VerifyStoreEvent> send) {
  if (Status status = require_admin(caller); !status.ok()) co_return status;
  if (verifying_) {
    co_return Status(Code::kResourceExhausted,
                     "a verification is under way already; wait for it, or stop it");
  }
  const Busy busy(verifying_);
  if (request.keys_size() > kMaxKeys) co_return bad_request("at most 100 keys");
  std::set<std::string> keys = {checkpointer_.key().public_key()};
  for (const std::string& hex : request.keys()) {
    const std::optional<std::string> key = digest::from_hex(hex);
    if (!key || key->size() != 32) {
      co_return bad_request("a public key is 64 hex digits, not \"" + hex.substr(0, 80) + "\"");
    }
    keys.insert(*key);
  }
  std::optional<audit::Link> witness;
  if (!request.witness().empty()) {
    auto link = audit::parse_line(request.witness());
    if (!link.ok()) co_return link.status();
    witness = std::move(*link);
  }
  audit::StoreVerifier verifier(executor_, journal_, journal_audit_, std::move(keys),
                                std::move(witness));
  if (Status status = verifier.resume(request.cursor()); !status.ok()) co_return status;
  co_return co_await verifier.run(std::move(send));
}

Task<Status> AuditImpl::export_audit(Caller caller, api::ExportAuditRequest request,
                                     Send<api::ExportAuditChunk> send) {
  if (Status status = require_admin(caller); !status.ok()) co_return status;
  const int chosen = int{!request.session_id().empty()} + int{!request.principal().empty()} +
                     int{!request.run_id().empty()};
  if (chosen > 1) co_return bad_request("choose a session, a principal or a run, not several");
  if (request.since_ms() < 0 || request.until_ms() < 0) {
    co_return bad_request("a bound in time is milliseconds since 1970");
  }
  if (request.since_ms() > INT64_MAX / kNanosPerMilli ||
      request.until_ms() > INT64_MAX / kNanosPerMilli) {
    co_return bad_request("a bound in time is milliseconds since 1970, not nanoseconds");
  }
  if (request.until_ms() != 0 && request.until_ms() < request.since_ms()) {
    co_return bad_request("the range of time ends before it begins");
  }
  for (const std::string* name : {&request.session_id(), &request.run_id()}) {
    if (name->size() > 64) co_return bad_request("an id has at most 64 bytes");
  }
  audit::Exporter exporter(clock_, journal_, journal_audit_, checkpointer_, std::move(request));
  co_return co_await exporter.run(std::move(send));
}

Task<Result<api::GetWitnessResponse>> AuditImpl::witness(Caller caller, api::GetWitnessRequest) {
  if (Status status = require_admin(caller); !status.ok()) co_return status;
  auto last = co_await checkpointer_.cover();
  if (!last.ok()) co_return last.status();
  api::GetWitnessResponse response;
  if (*last) {
    response.set_line(audit::to_line(**last));
    response.set_number((*last)->number);
    response.set_position((*last)->position);
  }
  co_return response;
}

Task<Result<api::GetAuditKeyResponse>> AuditImpl::audit_key(Caller caller,
                                                            api::GetAuditKeyRequest) {
  if (Status status = require_admin(caller); !status.ok()) co_return status;
  api::GetAuditKeyResponse response;
  response.set_public_key(digest::to_hex(checkpointer_.key().public_key()));
  co_return response;
}

}  // namespace palyra::gateway
