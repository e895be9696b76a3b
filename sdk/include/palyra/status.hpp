// SPDX-License-Identifier: Apache-2.0
// Errors are values: Status and Result<T>, with gRPC's canonical codes.
#pragma once

#include "palyra/abi.h"

#include <cassert>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace palyra {

enum class Code : int32_t {
  kOk = PALYRA_OK,
  kCancelled = PALYRA_CANCELLED,
  kUnknown = PALYRA_UNKNOWN,
  kInvalidArgument = PALYRA_INVALID_ARGUMENT,
  kDeadlineExceeded = PALYRA_DEADLINE_EXCEEDED,
  kNotFound = PALYRA_NOT_FOUND,
  kAlreadyExists = PALYRA_ALREADY_EXISTS,
  kPermissionDenied = PALYRA_PERMISSION_DENIED,
  kResourceExhausted = PALYRA_RESOURCE_EXHAUSTED,
  kFailedPrecondition = PALYRA_FAILED_PRECONDITION,
  kAborted = PALYRA_ABORTED,
  kOutOfRange = PALYRA_OUT_OF_RANGE,
  kUnimplemented = PALYRA_UNIMPLEMENTED,
  kInternal = PALYRA_INTERNAL,
  kUnavailable = PALYRA_UNAVAILABLE,
  kDataLoss = PALYRA_DATA_LOSS,
  kUnauthenticated = PALYRA_UNAUTHENTICATED,
};

// "NOT_FOUND", ...; "INTERNAL" for a number out of range.
constexpr const char* code_name(Code code) {
  constexpr const char* kNames[] = {"OK",
                                    "CANCELLED",
                                    "UNKNOWN",
                                    "INVALID_ARGUMENT",
                                    "DEADLINE_EXCEEDED",
                                    "NOT_FOUND",
                                    "ALREADY_EXISTS",
                                    "PERMISSION_DENIED",
                                    "RESOURCE_EXHAUSTED",
                                    "FAILED_PRECONDITION",
                                    "ABORTED",
                                    "OUT_OF_RANGE",
                                    "UNIMPLEMENTED",
                                    "INTERNAL",
                                    "UNAVAILABLE",
                                    "DATA_LOSS",
                                    "UNAUTHENTICATED"};
  const auto number = static_cast<int32_t>(code);
  return number >= 0 && number <= PALYRA_UNAUTHENTICATED ? kNames[number] : "INTERNAL";
}

// A code, one sentence a person can act on, and PALYRA_ERROR_* flags.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message, uint32_t flags = 0)
      : code_(code), flags_(flags), message_(std::move(message)) {}

  // From the far side of the ABI; an unknown number becomes INTERNAL.
  static Status from_abi(palyra_status code, const palyra_error* error) {
    if (code == PALYRA_OK) return {};
    if (code < 0 || code > PALYRA_UNAUTHENTICATED) code = PALYRA_INTERNAL;
    Status status(static_cast<Code>(code), "");
    if (error != nullptr && error->struct_size >= sizeof(palyra_error)) {
      status.message_.assign(error->message, strnlen(error->message, PALYRA_ERROR_MESSAGE_SIZE));
      status.flags_ = error->flags;
    }
    return status;
  }

  // Fills `error` (may be null) and returns the code.
  palyra_status to_abi(palyra_error* error) const {
    if (error != nullptr && error->struct_size >= sizeof(palyra_error)) {
      error->code = static_cast<palyra_status>(code_);
      error->flags = flags_;
      size_t size = message_.size() < PALYRA_ERROR_MESSAGE_SIZE ? message_.size()
                                                                : PALYRA_ERROR_MESSAGE_SIZE - 1;
      // Never cut a code point in two.
      while (size < message_.size() && size > 0 && (message_[size] & 0xC0) == 0x80) --size;
      std::memcpy(error->message, message_.data(), size);
      error->message[size] = '\0';
    }
    return static_cast<palyra_status>(code_);
  }

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  uint32_t flags() const { return flags_; }
  bool retryable() const { return (flags_ & PALYRA_ERROR_RETRYABLE) != 0; }
  // "NOT_FOUND: no run 01J..."
  std::string to_string() const {
    return ok() ? "OK" : std::string(code_name(code_)) + ": " + message_;
  }

 private:
  Code code_ = Code::kOk;
  uint32_t flags_ = 0;
  std::string message_;
};

// A value or the Status that says why there is none (never OK).
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::in_place_index<0>, std::move(value)) {}
  Result(Status status) : value_(std::in_place_index<1>, std::move(status)) {
    assert(!std::get<1>(value_).ok());
  }

  bool ok() const { return value_.index() == 0; }
  explicit operator bool() const { return ok(); }
  Status status() const { return ok() ? Status() : std::get<1>(value_); }

  T& value() & { return std::get<0>(value_); }
  const T& value() const& { return std::get<0>(value_); }
  T&& value() && { return std::get<0>(std::move(value_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Status> value_;
};

// An empty error, ready to be filled by the far side.
inline palyra_error make_error() {
  palyra_error error{};
  error.struct_size = sizeof(palyra_error);
  return error;
}

// The borrow of a string, and back.
inline palyra_str to_str(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view view(palyra_str text) { return {text.ptr, static_cast<size_t>(text.len)}; }
inline palyra_bytes to_bytes(std::string_view data) {
  return {reinterpret_cast<const uint8_t*>(data.data()), data.size()};
}
inline std::string_view view(palyra_bytes data) {
  return {reinterpret_cast<const char*>(data.ptr), static_cast<size_t>(data.len)};
}

}  // namespace palyra
