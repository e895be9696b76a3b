// The I/O half of CurlClient: its thread, and what the thread and the lane share. Private to
// curl_client.cpp and curl_io.cpp.
#pragma once

#include "plugins/common/http/curl_client.h"

#include <curl/curl.h>

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace palyra::http {

// One request under way. Immutable, lane-only, I/O-only and shared members stand apart.
struct CurlClient::Transfer : std::enable_shared_from_this<Transfer> {
  // Immutable after start().
  RequestId id = 0;
  Request request;
  std::shared_ptr<ResponseHandler> handler;

  // Lane only.
  bool closed = false;  // cancelled or ended: nothing reaches the handler
  bool head_delivered = false;

  // Shared.
  std::mutex mutex;
  bool posted = false;       // a deliver() is on its way
  bool lane_paused = false;  // by pause()
  bool socket_paused = false;
  bool head_ready = false;
  ResponseHead head;
  std::string body;  // arrived and not delivered
  bool done = false;
  Status status;

  // I/O thread only.
  CURL* easy = nullptr;
  curl_slist* header_list = nullptr;
  ResponseHead incoming;
  bool head_complete = false;
  int64_t header_bytes = 0;
  int64_t body_bytes = 0;
  int64_t started_ns = 0;
  int64_t last_byte_ns = 0;  // 0 = none yet
  bool paused = false;
  Status verdict;         // why we ended it ourselves
  Status filter_refusal;  // what the filter said last
  std::array<char, CURL_ERROR_SIZE> error{};
  Io* io = nullptr;
};

// Public functions [any]; everything else on the thread.
class CurlClient::Io {
 public:
  using Notify = std::function<void(const std::shared_ptr<Transfer>&)>;

  // `notify` is called on the thread, and must only post.
  Io(const Clock& clock, CurlOptions options, Notify notify);
  ~Io();

  void add(std::shared_ptr<Transfer> transfer);
  void remove(std::shared_ptr<Transfer> transfer);
  void unpause(std::shared_ptr<Transfer> transfer);

 private:
  enum class What { kAdd, kRemove, kUnpause };
  struct Command {
    What what;
    std::shared_ptr<Transfer> transfer;
  };

  void command(What what, std::shared_ptr<Transfer> transfer);
  void run();
  void take_commands();
  void begin(const std::shared_ptr<Transfer>& transfer);
  bool set_up(Transfer& transfer);
  void collect_finished();
  void check_deadlines();
  int poll_timeout_ms() const;
  void finish(const std::shared_ptr<Transfer>& transfer, Status status);
  void drop(Transfer& transfer);
  void announce(Transfer& transfer);

  static int64_t next_deadline(const Transfer& transfer);
  static Status status_of(const Transfer& transfer, CURLcode code);
  static size_t on_header(char* data, size_t size, size_t count, void* self);
  static size_t on_body(char* data, size_t size, size_t count, void* self);
  static curl_socket_t on_open_socket(void* self, curlsocktype purpose, curl_sockaddr* address);

  const Clock& clock_;
  const CurlOptions options_;
  const Notify notify_;
  CURLM* multi_;

  std::mutex mutex_;
  std::deque<Command> commands_;
  bool stopping_ = false;

  std::unordered_map<Transfer*, std::shared_ptr<Transfer>> running_;
  std::thread thread_;
};

}  // namespace palyra::http
