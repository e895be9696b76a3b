// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "palyra/status.hpp"

#include <atomic>
#include <functional>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::host {

// Resolves secret references and remembers the values only to keep them out of the log.
class Secrets {
 public:
  static constexpr size_t kLargest = 64 * 1024;
  // Shorter values are not looked for in the log: they would match half of it.
  static constexpr size_t kShortestRedacted = 6;

  using Variables = std::function<std::optional<std::string>(const char* name)>;
  explicit Secrets(Variables variables) : variables_(std::move(variables)) {}

  // "env:NAME" or "file:PATH" (absolute; at most 64 KiB; one trailing newline removed). Errors as
  // in palyra/config.h; no message contains a value. [any], may block
  Result<std::string> resolve(std::string_view reference);

  // Replaces every known secret in `text` by "[secret]". [any]
  void redact(std::string& text) const;

 private:
  void remember(const std::string& value);

  const Variables variables_;
  std::atomic<bool> any_{false};
  mutable std::shared_mutex mutex_;
  std::vector<std::string> values_;  // longest first
};

}  // namespace palyra::host
