// SPDX-License-Identifier: Apache-2.0
// Buffer: owns one reference to a palyra_buffer. Copies add a reference. [any]
#pragma once

#include "palyra/buffer.h"
#include "palyra/status.hpp"

#include <cstring>
#include <string_view>
#include <utility>

namespace palyra {

class Buffer {
 public:
  Buffer() = default;
  // Takes over the reference. `buffer` may be null.
  Buffer(const palyra_buffers* table, palyra_buffer* buffer) : table_(table), buffer_(buffer) {}
  Buffer(const Buffer& other) : table_(other.table_), buffer_(other.buffer_), data_(other.data_) {
    if (buffer_ != nullptr) table_->retain(table_->ctx, buffer_);
  }
  Buffer(Buffer&& other) noexcept
      : table_(other.table_), buffer_(std::exchange(other.buffer_, nullptr)), data_(other.data_) {}
  Buffer& operator=(Buffer other) noexcept {
    std::swap(table_, other.table_);
    std::swap(buffer_, other.buffer_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~Buffer() {
    if (buffer_ != nullptr) table_->release(table_->ctx, buffer_);
  }

  // Writable through data() until seal. False if there is no memory or no table.
  static Buffer alloc(const palyra_buffers* table, size_t size) {
    Buffer buffer;
    if (table == nullptr) return buffer;
    buffer.table_ = table;
    buffer.buffer_ = table->alloc(table->ctx, size, &buffer.data_);
    return buffer;
  }
  // Sealed.
  static Buffer copy(const palyra_buffers* table, std::string_view bytes) {
    Buffer buffer = alloc(table, bytes.size());
    if (!buffer) return buffer;
    if (!bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
    buffer.seal(bytes.size());
    return buffer;
  }

  explicit operator bool() const { return buffer_ != nullptr; }
  uint8_t* data() const { return data_; }
  // Fixes the content to the first `size` bytes.
  void seal(size_t size) const { table_->seal(table_->ctx, buffer_, size); }
  // Empty for no buffer; valid while this or a copy lives.
  std::string_view view() const {
    if (buffer_ == nullptr) return {};
    return palyra::view(table_->view(table_->ctx, buffer_));
  }
  // Gives the reference away.
  palyra_buffer* release() { return std::exchange(buffer_, nullptr); }
  palyra_buffer* get() const { return buffer_; }

 private:
  const palyra_buffers* table_ = nullptr;
  palyra_buffer* buffer_ = nullptr;
  uint8_t* data_ = nullptr;
};

}  // namespace palyra
