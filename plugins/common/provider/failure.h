// Typed failures of model turns: one table of kinds, names and status codes for all providers.
#pragma once

#include "palyra/service/v1/provider.pb.h"
#include "palyra/status.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace palyra::provider {

// A turn that failed: what sink.fail() takes.
struct Failure {
  Status status;
  service::v1::ChatFailure detail;
};

// The status that goes with a kind: its canonical code, RETRYABLE or USER_FAULT, and `message`.
// RATE_LIMIT, UNAVAILABLE, TIMEOUT, PROTOCOL and CIRCUIT_OPEN are retryable.
Status failure_status(service::v1::FailureKind kind, std::string message);

// Both halves at once. retry_after_ms and http_status: 0 = unknown.
Failure make_failure(service::v1::FailureKind kind, std::string message, int32_t http_status = 0,
                     int64_t retry_after_ms = 0);

// "rate_limit" <-> FAILURE_KIND_RATE_LIMIT; for configuration, logs and metrics.
std::string_view failure_kind_name(service::v1::FailureKind kind);
std::optional<service::v1::FailureKind> failure_kind_from_name(std::string_view name);

}  // namespace palyra::provider
