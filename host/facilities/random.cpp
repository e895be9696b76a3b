// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/random.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/random.h>

namespace palyra::host {
namespace {

constexpr size_t kStock = 512;

void from_kernel(uint8_t* out, size_t size) {
  while (size > 0) {
    const ssize_t count = ::getrandom(out, size, 0);
    if (count < 0) {
      if (errno == EINTR) continue;
      std::perror("palyrad: getrandom");
      std::abort();
    }
    out += count;
    size -= static_cast<size_t>(count);
  }
}

struct Stock {
  uint8_t bytes[kStock];
  size_t left = 0;
};

}  // namespace

void fill_random(uint8_t* out, size_t size) {
  thread_local Stock stock;
  if (size > kStock / 4) return from_kernel(out, size);
  if (stock.left < size) {
    from_kernel(stock.bytes, kStock);
    stock.left = kStock;
  }
  uint8_t* const from = stock.bytes + (stock.left - size);
  std::memcpy(out, from, size);
  explicit_bzero(from, size);
  stock.left -= size;
}

}  // namespace palyra::host
