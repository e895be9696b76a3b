// The checks behind `palyra doctor`, each a pure judgement over what was found. Every check that is
// not ok says what to do.
#pragma once

#include "palyra/gateway/v1/admin.pb.h"
#include "palyra/service/v1/journal.pb.h"
#include "palyra/service/v1/journal_backup.pb.h"
#include "palyra/service/v1/provider.pb.h"
#include "palyra/status.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::gateway {

using Check = v1::Check;

// Free bytes below which the journal is near its end, and at its end.
constexpr uint64_t kLowDisk = uint64_t{1} << 30;
constexpr uint64_t kFullDisk = uint64_t{100} << 20;

// The host's own checks, "checks" of palyra.daemon/1. A document that does not parse is one failed
// check.
std::vector<Check> host_checks(const Result<std::string>& json);
Check journal_check(const Result<::palyra::service::v1::InfoResponse>& info);
// How the check of the whole store stands, and the backups; one check that fails if nobody can
// tell.
std::vector<Check> journal_keeping_checks(
    const Result<::palyra::service::v1::CheckResponse>& keeping);
Check provider_check(const std::string& instance,
                     const Result<::palyra::service::v1::ListModelsResponse>& models);
// The default agent's "instance/model" against the instances that are there.
Check default_model_check(const std::string& model, const std::vector<std::string>& instances);
// Of the file itself: mode 0600, owned by this user.
Check owner_token_check(const std::string& path);
// The key that signs checkpoints; public keys in hex.
struct AuditKeyFacts {
  std::string path;
  Result<std::string> in_file;
  std::string in_use;
  // That of the newest checkpoint; empty = there is none. When it was made, milliseconds since
  // 1970.
  std::string newest;
  int64_t newest_ms = 0;
  // What was seen to be altered of the checkpoints, in a sentence; empty = nothing.
  std::string tampered = {};
};
Check audit_key_check(const AuditKeyFacts& key);
// Why retention or an erasure did not come to an end; empty = it did.
Check storage_check(const std::string& problem);
// `endpoint` is "host:port"; anything but a loopback address without TLS is an exposure.
Check exposure_check(const std::string& endpoint);
// Nanoseconds since the epoch; `known_ms`: a time that has been, milliseconds, 0 = none is known.
Check clock_check(int64_t wall_now_ns, int64_t known_ms);

}  // namespace palyra::gateway
