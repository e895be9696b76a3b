// SPDX-License-Identifier: Apache-2.0
#include "host/facilities/logger.h"

#include <nlohmann/json.hpp>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <ctime>

namespace palyra::host {
namespace {

constexpr const char* kLevels[] = {"trace", "debug", "info", "warn", "error"};
constexpr uint32_t kHighest = PALYRA_LOG_ERROR;
constexpr size_t kLongestText = 16 * 1024;  // of one message or field value

std::string_view clipped(palyra_str text) {
  if (text.ptr == nullptr) return {};
  return view(text).substr(0, kLongestText);
}

std::string timestamp(int64_t wall_ns) {
  const auto seconds = static_cast<std::time_t>(wall_ns / 1'000'000'000);
  std::tm utc = {};
  gmtime_r(&seconds, &utc);
  char text[64];
  const size_t size = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text + size, sizeof(text) - size, ".%03dZ",
                static_cast<int>(wall_ns / 1'000'000 % 1000));
  return text;
}

// For a terminal: no control character of a message gets through.
void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7F) {
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      char code[8];
      std::snprintf(code, sizeof(code), "\\x%02x", static_cast<unsigned>(byte));
      out += code;
    }
  }
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += ' ';
  append_escaped(out, name);
  out += '=';
  const bool quoted = value.empty() || value.find_first_of(" =\"") != std::string_view::npos;
  if (quoted) out += '"';
  append_escaped(out, value);
  if (quoted) out += '"';
}

}  // namespace

struct Logger::Sink {
  std::shared_ptr<spdlog::logger> out;
};

Logger::Logger(uint32_t level, LogFormat format, std::shared_ptr<Secrets> secrets,
               std::unique_ptr<Sink> sink)
    : level_(level), format_(format), secrets_(std::move(secrets)), sink_(std::move(sink)) {}

Logger::~Logger() = default;

Result<std::unique_ptr<Logger>> Logger::open(uint32_t level, LogFormat format,
                                             const std::filesystem::path& file,
                                             std::shared_ptr<Secrets> secrets) {
  try {
    std::shared_ptr<spdlog::sinks::sink> target;
    if (file.empty()) {
      target = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
      target = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
    }
    auto sink = std::make_unique<Sink>();
    sink->out = std::make_shared<spdlog::logger>("palyra", std::move(target));
    sink->out->set_pattern("%v");
    sink->out->set_level(spdlog::level::trace);
    sink->out->flush_on(spdlog::level::trace);
    return std::unique_ptr<Logger>(new Logger(level, format, std::move(secrets), std::move(sink)));
  } catch (const spdlog::spdlog_ex& error) {
    return Status(Code::kUnavailable, std::string("[log] file: ") + error.what());
  }
}

uint32_t Logger::level_named(std::string_view name) {
  for (uint32_t level = 0; level <= kHighest; ++level) {
    if (name == kLevels[level]) return level;
  }
  return PALYRA_LOG_INFO;
}

std::string Logger::format_line(LogFormat format, int64_t wall_ns, uint32_t level,
                                std::string_view instance, std::string_view message,
                                const palyra_field* fields, uint32_t count,
                                const Secrets* secrets) {
  if (level > kHighest) level = kHighest;
  const auto clean = [secrets](std::string_view text) {
    std::string copy(text);
    if (secrets != nullptr) secrets->redact(copy);
    return copy;
  };
  if (format == LogFormat::kJson) {
    nlohmann::ordered_json line;
    line["time"] = timestamp(wall_ns);
    line["level"] = kLevels[level];
    line["instance"] = instance;
    line["message"] = clean(message);
    for (uint32_t i = 0; i < count; ++i) {
      line["fields"][std::string(clipped(fields[i].name))] = clean(clipped(fields[i].value));
    }
    return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  std::string line = timestamp(wall_ns);
  line += ' ';
  line += kLevels[level];
  line.append(6 - std::string_view(kLevels[level]).size(), ' ');
  line += instance;
  line += ": ";
  append_escaped(line, clean(message));
  for (uint32_t i = 0; i < count; ++i) {
    append_field(line, clipped(fields[i].name), clean(clipped(fields[i].value)));
  }
  return line;
}

void Logger::write(uint32_t level, std::string_view instance, std::string_view message,
                   const palyra_field* fields, uint32_t count) {
  if (!enabled(level)) return;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto wall = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  const std::string line =
      format_line(format_, wall, level, instance, message.substr(0, kLongestText), fields, count,
                  secrets_.get());
  sink_->out->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

void Logger::flush() { sink_->out->flush(); }

}  // namespace palyra::host
