// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "host/facilities/secrets.h"
#include "palyra/log.h"
#include "palyra/status.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace palyra::host {

enum class LogFormat { kText, kJson };

// Where all lines of the daemon go. Any thread may write. A line is one line: control characters of
// what plugins say are escaped, resolved secrets are replaced.
class Logger {
 public:
  // `file` empty = stderr. Errors: UNAVAILABLE if the file cannot be opened.
  static Result<std::unique_ptr<Logger>> open(uint32_t level, LogFormat format,
                                              const std::filesystem::path& file,
                                              std::shared_ptr<Secrets> secrets);
  ~Logger();
  Logger(const Logger&) = delete;

  // PALYRA_LOG_INFO for "info", ...; PALYRA_LOG_INFO for anything else.
  static uint32_t level_named(std::string_view name);

  bool enabled(uint32_t level) const { return level >= level_; }
  void write(uint32_t level, std::string_view instance, std::string_view message,
             const palyra_field* fields = nullptr, uint32_t count = 0);

  // Lines of the host itself.
  void info(std::string_view message) { write(PALYRA_LOG_INFO, "host", message); }
  void warn(std::string_view message) { write(PALYRA_LOG_WARN, "host", message); }
  void error(std::string_view message) { write(PALYRA_LOG_ERROR, "host", message); }
  void flush();

  // One formatted line without its end, as write() makes it. `wall_ns` since the epoch.
  static std::string format_line(LogFormat format, int64_t wall_ns, uint32_t level,
                                 std::string_view instance, std::string_view message,
                                 const palyra_field* fields, uint32_t count,
                                 const Secrets* secrets);

 private:
  struct Sink;
  Logger(uint32_t level, LogFormat format, std::shared_ptr<Secrets> secrets,
         std::unique_ptr<Sink> sink);

  const uint32_t level_;
  const LogFormat format_;
  const std::shared_ptr<Secrets> secrets_;
  const std::unique_ptr<Sink> sink_;
};

}  // namespace palyra::host
