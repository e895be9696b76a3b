#include "clients/cli/terminal.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <unistd.h>

namespace palyra::cli {

bool is_terminal(int fd) { return isatty(fd) == 1; }

bool colours(int fd) {
  const char* off = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return is_terminal(fd) && (off == nullptr || *off == '\0') &&
         (term == nullptr || std::string_view(term) != "dumb");
}

std::string styled(Style style, std::string_view text, int fd) {
  if (!colours(fd)) return std::string(text);
  const char* codes[] = {"1", "2", "31", "32", "33", "36"};
  std::string out = "\x1b[";
  out += codes[static_cast<int>(style)];
  out += 'm';
  out += text;
  out += "\x1b[0m";
  return out;
}

namespace {
// Code points, which is close enough to columns for ids, numbers and most text.
size_t width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}
}  // namespace

void Table::add(std::vector<std::string> row) {
  for (std::string& cell : row) cell = one_line(cell);
  rows_.push_back(std::move(row));
}

void Table::print() const {
  std::vector<size_t> widths;
  for (const std::string& cell : header_) widths.push_back(width(cell));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], width(row[i]));
    }
  }
  const auto line = [&](const std::vector<std::string>& cells, bool head) {
    std::string text;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string& cell = cells[i];
      const size_t pad =
          i + 1 < cells.size() ? widths[i] - std::min(widths[i], width(cell)) + 2 : 0;
      text += head ? styled(Style::kBold, cell) : cell;
      text.append(pad, ' ');
    }
    std::printf("%s\n", text.c_str());
  };
  line(header_, true);
  for (const auto& row : rows_) line(row, false);
}

std::string local_time(int64_t ms_since_epoch) {
  if (ms_since_epoch == 0) return "-";
  const std::time_t seconds = ms_since_epoch / 1000;
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

namespace {
std::mutex current_mutex;
Progress* current = nullptr;  // guarded by current_mutex; the innermost
}  // namespace

void Progress::make_room() {
  std::lock_guard lock(current_mutex);
  if (current != nullptr) current->alive();
}

Progress::Progress(std::string what) : what_(one_line(what)) {
  {
    std::lock_guard lock(current_mutex);
    current = this;
  }
  if (is_terminal(2)) thread_ = std::thread([this] { loop(); });
}

Progress::~Progress() {
  {
    std::lock_guard lock(current_mutex);
    current = nullptr;
  }
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  clear_line();
}

void Progress::alive() {
  std::lock_guard lock(mutex_);
  alive_ = true;
  clear_line();
}

void Progress::describe(std::string what) {
  std::lock_guard lock(mutex_);
  what_ = one_line(what);
  alive_ = true;
  clear_line();
}

void Progress::clear_line() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

void Progress::loop() {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex_);
  int quiet_seconds = 0;
  while (!changed_.wait_for(lock, 1s, [this] { return stop_; })) {
    quiet_seconds = alive_ ? 0 : quiet_seconds + 1;
    alive_ = false;
    if (quiet_seconds == 0) continue;
    std::fprintf(stderr, "\r\x1b[K%s ... %d s", what_.c_str(), quiet_seconds);
    std::fflush(stderr);
    shown_ = true;
  }
}

}  // namespace palyra::cli
