#include "plugins/gateway/audit/signing_key.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <sys/stat.h>
#include <unistd.h>

namespace palyra::gateway::audit {
namespace {

struct FileCloser {
  void operator()(FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<FILE, FileCloser>;

struct ContextFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, ContextFree>;

std::shared_ptr<void> hold(EVP_PKEY* key) {
  return {key, [](void* held) { EVP_PKEY_free(static_cast<EVP_PKEY*>(held)); }};
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Status cannot_write(const std::string& path) {
  return {Code::kPermissionDenied,
          "cannot write the audit key to " + path + ": " + std::strerror(errno)};
}

Result<std::shared_ptr<void>> read_key(int fd, const std::string& path) {
  File file(::fdopen(fd, "r"));
  struct stat info {};
  if (!file || ::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return Status(Code::kFailedPrecondition,
                  path + " is not a regular file; remove it and restart");
  }
  if ((info.st_mode & 077) != 0) {
    return Status(Code::kPermissionDenied,
                  path + " can be read by others, who could sign with it; run: chmod 600 " + path);
  }
  // An empty passphrase, so that nobody is asked for one.
  char none[] = "";
  EVP_PKEY* const key = PEM_read_PrivateKey(file.get(), nullptr, nullptr, none);
  if (key == nullptr || EVP_PKEY_id(key) != EVP_PKEY_ED25519) {
    EVP_PKEY_free(key);
    return Status(Code::kFailedPrecondition,
                  path +
                      " does not hold an Ed25519 key; restore it from a backup, or move it away "
                      "and restart for a new one");
  }
  return hold(key);
}

}  // namespace

SigningKey::SigningKey(std::shared_ptr<void> key) : key_(std::move(key)), public_key_(32, '\0') {
  size_t size = public_key_.size();
  EVP_PKEY_get_raw_public_key(static_cast<EVP_PKEY*>(key_.get()),
                              reinterpret_cast<unsigned char*>(public_key_.data()), &size);
}

SigningKey SigningKey::of_seed(std::string_view seed) {
  return SigningKey(
      hold(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, bytes_of(seed), seed.size())));
}

Result<std::string> SigningKey::public_key_in(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) {
    return Status(errno == ENOENT ? Code::kNotFound : Code::kPermissionDenied,
                  "cannot read " + path + ": " + std::strerror(errno));
  }
  Result<std::shared_ptr<void>> key = read_key(fd, path);
  if (!key.ok()) return key.status();
  return SigningKey(std::move(*key)).public_key();
}

Result<SigningKey> SigningKey::load(const std::string& path) {
  const int existing = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (existing >= 0) {
    Result<std::shared_ptr<void>> key = read_key(existing, path);
    if (!key.ok()) return key.status();
    return SigningKey(std::move(*key));
  }
  if (errno != ENOENT) {
    return Status(Code::kPermissionDenied, "cannot read " + path + ": " + std::strerror(errno));
  }
  EVP_PKEY* const made = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  if (made == nullptr) return Status(Code::kInternal, "OpenSSL cannot make an Ed25519 key");
  SigningKey key(hold(made));
  const std::string temporary = path + ".new";
  ::unlink(temporary.c_str());
  const int fd =
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return cannot_write(path);
  {
    File file(::fdopen(fd, "w"));
    const bool written =
        file &&
        PEM_write_PrivateKey(file.get(), made, nullptr, nullptr, 0, nullptr, nullptr) == 1 &&
        std::fflush(file.get()) == 0 && ::fsync(fd) == 0;
    if (!written) return cannot_write(path);
  }
  // Never over a key that appeared meanwhile.
  if (::link(temporary.c_str(), path.c_str()) != 0) return cannot_write(path);
  ::unlink(temporary.c_str());
  return key;
}

std::string SigningKey::sign(std::string_view bytes) const {
  std::string signature(64, '\0');
  size_t size = signature.size();
  const Context context(EVP_MD_CTX_new());
  if (!context ||
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr,
                         static_cast<EVP_PKEY*>(key_.get())) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     bytes_of(bytes), bytes.size()) != 1) {
    throw std::bad_alloc();
  }
  return signature;
}

bool is_signed(std::string_view public_key, std::string_view bytes, std::string_view signature) {
  if (public_key.size() != 32 || signature.size() != 64) return false;
  const auto key = hold(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(public_key),
                                                    public_key.size()));
  const Context context(EVP_MD_CTX_new());
  return key && context &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr,
                              static_cast<EVP_PKEY*>(key.get())) == 1 &&
         EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(bytes),
                          bytes.size()) == 1;
}

}  // namespace palyra::gateway::audit
