#include "plugins/common/provider/failure.h"

#include <utility>

namespace palyra::provider {
namespace {

using service::v1::FailureKind;

struct Row {
  FailureKind kind;
  std::string_view name;
  Code code;
  uint32_t flags;
};

constexpr Row kRows[] = {
    {service::v1::FAILURE_KIND_UNSPECIFIED, "unspecified", Code::kUnknown, 0},
    {service::v1::FAILURE_KIND_AUTH, "auth", Code::kUnauthenticated, 0},
    {service::v1::FAILURE_KIND_RATE_LIMIT, "rate_limit", Code::kResourceExhausted,
     PALYRA_ERROR_RETRYABLE},
    {service::v1::FAILURE_KIND_QUOTA, "quota", Code::kResourceExhausted, 0},
    {service::v1::FAILURE_KIND_CONTEXT_OVERFLOW, "context_overflow", Code::kInvalidArgument,
     PALYRA_ERROR_USER_FAULT},
    {service::v1::FAILURE_KIND_BAD_REQUEST, "bad_request", Code::kInvalidArgument,
     PALYRA_ERROR_USER_FAULT},
    {service::v1::FAILURE_KIND_MODEL_NOT_FOUND, "model_not_found", Code::kNotFound, 0},
    {service::v1::FAILURE_KIND_UNAVAILABLE, "unavailable", Code::kUnavailable,
     PALYRA_ERROR_RETRYABLE},
    {service::v1::FAILURE_KIND_TIMEOUT, "timeout", Code::kDeadlineExceeded, PALYRA_ERROR_RETRYABLE},
    {service::v1::FAILURE_KIND_PROTOCOL, "protocol", Code::kInternal, PALYRA_ERROR_RETRYABLE},
    {service::v1::FAILURE_KIND_CIRCUIT_OPEN, "circuit_open", Code::kUnavailable,
     PALYRA_ERROR_RETRYABLE},
};

const Row& row_of(FailureKind kind) {
  for (const Row& row : kRows) {
    if (row.kind == kind) return row;
  }
  return kRows[0];
}

}  // namespace

Status failure_status(FailureKind kind, std::string message) {
  const Row& row = row_of(kind);
  return Status(row.code, std::move(message), row.flags);
}

Failure make_failure(FailureKind kind, std::string message, int32_t http_status,
                     int64_t retry_after_ms) {
  Failure failure{failure_status(kind, std::move(message)), {}};
  failure.detail.set_kind(kind);
  failure.detail.set_http_status(http_status);
  failure.detail.set_retry_after_ms(retry_after_ms);
  return failure;
}

std::string_view failure_kind_name(FailureKind kind) { return row_of(kind).name; }

std::optional<FailureKind> failure_kind_from_name(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.kind != service::v1::FAILURE_KIND_UNSPECIFIED && row.name == name) return row.kind;
  }
  return std::nullopt;
}

}  // namespace palyra::provider
