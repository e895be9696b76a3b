// The credentials of the daemon: who may call, as hashes. The owner's token exists before the
// journal does, so that doctor and configuration can be asked when the journal is broken.
#pragma once

#include "palyra/status.hpp"
#include "palyra/store/v1/credential.pb.h"
#include "palyra/task.hpp"
#include "plugins/gateway/ports/ports.h"

#include <map>
#include <string>
#include <string_view>

namespace palyra::gateway {

constexpr const char* kScopeRunsRead = "runs.read";
constexpr const char* kScopeRunsWrite = "runs.write";
constexpr const char* kScopeApprovalsDecide = "approvals.decide";
constexpr const char* kScopeAdmin = "admin";
constexpr const char* kOwnerPrincipal = "user:owner";

// 256 bits as "palyra_" and 64 hex digits.
std::string make_token(Random& random);

// Reads the owner's token from `path`, or makes one and writes it there, mode 0600, atomically.
// Errors: PERMISSION_DENIED if the file is readable by others, FAILED_PRECONDITION if it holds
// something else than a token.
Result<std::string> owner_token(const std::string& path, Random& random);

// On the gateway's lane. Keeps hashes in memory: O(credentials).
class Credentials {
 public:
  explicit Credentials(Ids& ids) : ids_(ids) {}

  // A token that is valid without the journal: the owner's, or admin_auth_token.
  void add_local(std::string_view token, const std::string& principal);

  // Loads what the journal has and records the owner there: the first time, and when the token file
  // was replaced (the earlier owner credential is then revoked). Each change is on stream `audit`.
  Task<Status> load(Journal& journal, std::string_view owner_token, int64_t wall_now_ns);

  // The record of a token, or null. Compares hashes of 256-bit random values.
  const store::v1::Credential* find(std::string_view token) const;

 private:
  Ids& ids_;
  std::map<std::string, store::v1::Credential> by_hash_;
};

}  // namespace palyra::gateway
