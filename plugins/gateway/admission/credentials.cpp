#include "plugins/gateway/admission/credentials.h"

#include "palyra/tape/v1/session.pb.h"
#include "plugins/common/digest/digest.h"

#include <openssl/crypto.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace palyra::gateway {

namespace {

constexpr const char* kCollection = "credentials";
constexpr std::string_view kPrefix = "palyra_";
constexpr size_t kTokenSize = kPrefix.size() + 64;
// An operator's own admin_auth_token may be longer than ours.
constexpr size_t kMaxTokenSize = 512;

bool is_token(std::string_view text) {
  return text.size() == kTokenSize && text.substr(0, kPrefix.size()) == kPrefix &&
         text.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

store::v1::Credential owner_record(std::string_view token, const std::string& principal) {
  store::v1::Credential record;
  record.set_token_hash(digest::sha256(token));
  record.set_principal(principal);
  for (const char* scope : {kScopeRunsRead, kScopeRunsWrite, kScopeApprovalsDecide, kScopeAdmin}) {
    record.add_scopes(scope);
  }
  // The owner sits at terminals and programs; networks have connectors with their own identity.
  for (const char* channel : {"cli", "grpc", "program:*"}) record.add_channels(channel);
  return record;
}

void put_credential(service::v1::CommitRequest& commit, const store::v1::Credential& record,
                    uint64_t expected_version, int64_t wall_now_ns) {
  auto* put = commit.add_puts();
  put->set_collection(kCollection);
  put->set_key(record.credential_id());
  put->set_value(record.SerializeAsString());
  put->set_expected_version(expected_version);
  tape::v1::AuditEvent event;
  auto* change = event.mutable_credential_changed();
  change->set_credential_id(record.credential_id());
  change->set_principal(record.principal());
  *change->mutable_scopes() = record.scopes();
  change->set_revoked(record.revoked());
  auto* append = commit.add_appends();
  append->set_stream("audit");
  auto* stored = append->add_records();
  stored->set_type("credential_changed");
  stored->set_payload(event.SerializeAsString());
  stored->set_wall_time_ns(wall_now_ns);
}

Result<std::string> read_token(int fd, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return Status(Code::kFailedPrecondition,
                  path + " is not a regular file; remove it and restart");
  }
  if ((info.st_mode & 077) != 0) {
    return Status(Code::kPermissionDenied, path + " can be read by others; run: chmod 600 " + path +
                                               ", or delete it and restart for a new token");
  }
  char text[kTokenSize + 2];
  const ssize_t size = read(fd, text, sizeof text);
  std::string_view token(text, size > 0 ? static_cast<size_t>(size) : 0);
  if (!token.empty() && token.back() == '\n') token.remove_suffix(1);
  if (!is_token(token)) {
    return Status(Code::kFailedPrecondition,
                  path + " does not hold a token; delete it and restart for a new one");
  }
  return std::string(token);
}

Status cannot_write(const std::string& path) {
  return Status(Code::kPermissionDenied,
                "cannot write the owner's token to " + path + ": " + std::strerror(errno));
}

}  // namespace

std::string make_token(Random& random) {
  unsigned char bytes[32];
  random.fill(bytes, sizeof bytes);
  std::string token(kPrefix);
  token += digest::to_hex({reinterpret_cast<const char*>(bytes), sizeof bytes});
  OPENSSL_cleanse(bytes, sizeof bytes);
  return token;
}

Result<std::string> owner_token(const std::string& path, Random& random) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0) {
    auto token = read_token(fd, path);
    close(fd);
    return token;
  }
  if (errno != ENOENT) {
    return Status(Code::kPermissionDenied, "cannot read " + path + ": " + std::strerror(errno));
  }
  const std::string token = make_token(random);
  const std::string line = token + "\n";
  const std::string temporary = path + ".new";
  unlink(temporary.c_str());
  fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return cannot_write(path);
  const bool written =
      write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && fsync(fd) == 0;
  close(fd);
  if (!written || rename(temporary.c_str(), path.c_str()) != 0) return cannot_write(path);
  return token;
}

void Credentials::add_local(std::string_view token, const std::string& principal) {
  auto record = owner_record(token, principal);
  record.set_credential_id("local:" + principal);
  const std::string hash = record.token_hash();
  by_hash_[hash] = std::move(record);
}

Task<Status> Credentials::load(Journal& journal, std::string_view owner_token,
                               int64_t wall_now_ns) {
  service::v1::DeclareRequest declaration;
  declaration.set_collection(kCollection);
  declaration.set_audited(true);
  if (auto declared = co_await journal.declare(declaration); !declared.ok()) co_return declared;

  const std::string owner_hash = digest::sha256(owner_token);
  bool owner_known = false;
  service::v1::CommitRequest commit;
  service::v1::QueryRequest query;
  query.set_collection(kCollection);
  query.set_limit(1000);
  while (true) {
    auto page = co_await journal.query(query);
    if (!page.ok()) co_return page.status();
    for (const auto& document : page->documents()) {
      store::v1::Credential record;
      if (!record.ParseFromString(document.value())) {
        co_return Status(Code::kDataLoss, "credential " + document.key() +
                                              " in the journal cannot be read; run: palyra doctor");
      }
      if (record.revoked()) continue;
      if (record.token_hash() == owner_hash) {
        owner_known = true;
      } else if (record.principal() == kOwnerPrincipal && record.device_id().empty()) {
        record.set_revoked(true);
        put_credential(commit, record, document.version(), wall_now_ns);
        continue;
      }
      by_hash_[record.token_hash()] = std::move(record);
    }
    if (page->next_cursor().empty()) break;
    query.set_cursor(page->next_cursor());
  }
  if (!owner_known) {
    auto record = owner_record(owner_token, kOwnerPrincipal);
    record.set_credential_id(ids_.ulid());
    record.set_created_at_ms(wall_now_ns / kNanosPerMilli);
    put_credential(commit, record, 0, wall_now_ns);
    by_hash_[owner_hash] = std::move(record);
  }
  if (commit.puts_size() == 0) co_return Status();
  auto committed = co_await journal.commit(std::move(commit));
  co_return committed.status();
}

const store::v1::Credential* Credentials::find(std::string_view token) const {
  if (token.empty() || token.size() > kMaxTokenSize) return nullptr;
  const auto found = by_hash_.find(digest::sha256(token));
  return found == by_hash_.end() ? nullptr : &found->second;
}

}  // namespace palyra::gateway
