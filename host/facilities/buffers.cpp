// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/buffers.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

struct palyra_buffer {
  std::atomic<uint32_t> references;
  uint64_t capacity;
  uint64_t size;
};

namespace palyra::host {
namespace {

constexpr uint64_t kLargest = uint64_t{1} << 30;
constexpr size_t kHeader = 32;  // keeps the bytes aligned to 16
static_assert(sizeof(palyra_buffer) <= kHeader);

std::atomic<uint64_t> live{0};

uint8_t* bytes_of(const palyra_buffer* buffer) {
  return reinterpret_cast<uint8_t*>(const_cast<palyra_buffer*>(buffer)) + kHeader;
}

palyra_buffer* alloc(void*, uint64_t size, uint8_t** data) {
  if (size > kLargest) return nullptr;
  void* memory = std::malloc(kHeader + size);
  if (memory == nullptr) return nullptr;
  auto* buffer = new (memory) palyra_buffer{1, size, size};
  live.fetch_add(1, std::memory_order_relaxed);
  if (data != nullptr) *data = bytes_of(buffer);
  return buffer;
}

void seal(void*, palyra_buffer* buffer, uint64_t size) {
  if (size <= buffer->capacity) buffer->size = size;
}

palyra_bytes view_of(void*, const palyra_buffer* buffer) {
  if (buffer == nullptr) return {nullptr, 0};
  return {bytes_of(buffer), buffer->size};
}

void retain(void*, palyra_buffer* buffer) {
  if (buffer != nullptr) buffer->references.fetch_add(1, std::memory_order_relaxed);
}

void release(void*, palyra_buffer* buffer) {
  if (buffer == nullptr) return;
  if (buffer->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  live.fetch_sub(1, std::memory_order_relaxed);
  buffer->~palyra_buffer();
  std::free(buffer);
}

}  // namespace

const palyra_buffers& buffer_table() {
  static const palyra_buffers table = {
      sizeof(palyra_buffers), 0, nullptr, alloc, seal, view_of, retain, release};
  return table;
}

palyra_buffer* make_buffer(std::string_view bytes) {
  uint8_t* data = nullptr;
  palyra_buffer* buffer = alloc(nullptr, bytes.size(), &data);
  if (buffer != nullptr && !bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  return buffer;
}

uint64_t live_buffers() { return live.load(std::memory_order_relaxed); }

}  // namespace palyra::host
