#include "plugins/gateway/admission/admission.h"

#include "plugins/common/ids/ulid.h"

namespace palyra::gateway {

namespace {

constexpr size_t kMaxHeaderSize = 256;

std::string_view bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "Bearer ";
  return authorization.substr(0, kScheme.size()) == kScheme ? authorization.substr(kScheme.size())
                                                            : std::string_view();
}

bool channel_allowed(const store::v1::Credential& record, const RequestContext& request) {
  if (request.channel == request.surface) return true;
  for (const std::string& pattern : record.channels()) {
    if (pattern == request.channel) return true;
    if (!pattern.empty() && pattern.back() == '*' &&
        request.channel.compare(0, pattern.size() - 1, pattern, 0, pattern.size() - 1) == 0) {
      return true;
    }
  }
  return false;
}

Status wait(const std::string& what, int64_t nanos) {
  const int64_t millis = (nanos + kNanosPerMilli - 1) / kNanosPerMilli;
  return Status(Code::kResourceExhausted, what + "; try again in " + std::to_string(millis) + " ms",
                PALYRA_ERROR_RETRYABLE);
}

}  // namespace

Admission::Admission(const Clock& clock, const Credentials& credentials, AdmissionLimits limits)
    : clock_(clock),
      credentials_(credentials),
      requests_(limits.requests_per_second, limits.burst),
      failures_(limits.failures_per_second, limits.failure_burst) {}

Result<Caller> Admission::admit(const RequestContext& request) {
  const int64_t now = clock_.mono_now();
  const std::string_view token = bearer(request.authorization);
  const store::v1::Credential* record = token.empty() ? nullptr : credentials_.find(token);
  if (record == nullptr) {
    if (const int64_t nanos = failures_.take(request.peer, now); nanos > 0) {
      return wait("too many failed authentications from " + request.peer, nanos);
    }
    return Status(
        Code::kUnauthenticated,
        request.authorization.empty()
            ? "no token; send \"authorization: Bearer TOKEN\" (the owner's token is in the "
              "gateway's state directory)"
            : "the token is not valid; check it, or read the owner's token file again");
  }
  if (!request.principal.empty() && request.principal != record->principal()) {
    return Status(Code::kPermissionDenied,
                  "x-palyra-principal disagrees with the token, which belongs to " +
                      record->principal() + "; leave the header out");
  }
  if (!request.device_id.empty() &&
      (!ids::is_ulid(request.device_id) || request.device_id != record->device_id())) {
    return Status(Code::kPermissionDenied,
                  ids::is_ulid(request.device_id)
                      ? "x-palyra-device-id disagrees with the token's device; leave the header out"
                      : "x-palyra-device-id is not a ULID; leave the header out");
  }
  if (!request.channel.empty() &&
      (request.channel.size() > kMaxHeaderSize || !channel_allowed(*record, request))) {
    return Status(
        Code::kPermissionDenied,
        "x-palyra-channel is not a channel that this token may speak for; leave the header "
        "out");
  }
  if (const int64_t nanos = requests_.take(record->principal(), now); nanos > 0) {
    return wait("more requests than " + record->principal() + " may make", nanos);
  }
  Caller caller;
  caller.principal = record->principal();
  caller.scopes.insert(record->scopes().begin(), record->scopes().end());
  caller.credential_id = record->credential_id();
  caller.device_id = record->device_id();
  caller.surface = request.surface;
  caller.channel = request.channel.empty() ? request.surface : request.channel;
  return caller;
}

Status Admission::require(const Caller& caller, const std::string& scope) {
  if (caller.may(scope)) return {};
  return Status(Code::kPermissionDenied, "this token lacks the scope " + scope +
                                             "; use one that has it, such as the owner's token");
}

}  // namespace palyra::gateway
