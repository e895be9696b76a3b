// What a person sees: colours only on a terminal, a sign of life for what takes longer than a
// second.
#pragma once

#include "clients/cli/text.h"

#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace palyra::cli {

// NO_COLOR and TERM=dumb turn colours off; https://no-color.org.
bool colours(int fd);
bool is_terminal(int fd);

enum class Style { kBold, kDim, kRed, kGreen, kYellow, kCyan };
// The text, styled if standard output (fd 1) or error (fd 2) wants it.
std::string styled(Style style, std::string_view text, int fd = 1);

// Columns as wide as their content; a row is one line whatever its cells hold. The header is bold
// on a terminal.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  void add(std::vector<std::string> row);
  bool empty() const { return rows_.empty(); }
  void print() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

// "2026-01-31 12:00:05" in local time; "-" for 0.
std::string local_time(int64_t ms_since_epoch);

// A line on standard error that tells what is waited for, after one second without a sign of life.
// Nothing at all if standard error is no terminal. Thread-safe.
class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress&) = delete;

  // There is output: take the line away and wait a second again.
  void alive();
  void describe(std::string what);
  // Somebody else writes to standard error: takes away whatever line is there.
  static void make_room();

 private:
  void loop();
  void clear_line();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string what_;
  bool stop_ = false;
  bool shown_ = false;
  bool alive_ = false;
  std::thread thread_;
};

}  // namespace palyra::cli
