#include "plugins/common/http/curl_io.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <strings.h>
#include <utility>

namespace palyra::http {
namespace {

constexpr int kIdlePollMs = 60'000;

// libcurl is one library in the process however many plugins use it; it counts its users.
void use_curl() {
  static const CURLcode kOnce = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)kOnce;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// The code in "HTTP/1.1 200 OK"; 0 if the line is no status line.
int status_of_line(std::string_view line) {
  if (line.substr(0, 5) != "HTTP/") return 0;
  const auto space = line.find(' ');
  if (space == std::string_view::npos) return 0;
  int status = 0;
  const std::string_view rest = trim(line.substr(space));
  std::from_chars(rest.data(), rest.data() + std::min<size_t>(rest.size(), 3), status);
  return status;
}

Status too_large(const Request& request, const char* what, int64_t limit) {
  return Status(Code::kResourceExhausted, std::string("the ") + what + " of the response from " +
                                              host_of(request.url) + " has more than " +
                                              std::to_string(limit) + " bytes");
}

Status too_late(const Request& request, const std::string& what, int64_t limit_ms) {
  return Status(Code::kDeadlineExceeded,
                host_of(request.url) + " " + what + " within " + std::to_string(limit_ms) + " ms",
                PALYRA_ERROR_RETRYABLE);
}

}  // namespace

CurlClient::Io::Io(const Clock& clock, CurlOptions options, Notify notify)
    : clock_(clock), options_(std::move(options)), notify_(std::move(notify)) {
  use_curl();
  multi_ = curl_multi_init();
  curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                    static_cast<long>(options_.max_connections));
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(options_.max_connections));
  thread_ = std::thread([this] { run(); });
}

CurlClient::Io::~Io() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  curl_multi_wakeup(multi_);
  thread_.join();
  for (auto& entry : running_) drop(*entry.first);
  curl_multi_cleanup(multi_);
}

void CurlClient::Io::add(std::shared_ptr<Transfer> transfer) {
  command(What::kAdd, std::move(transfer));
}

void CurlClient::Io::remove(std::shared_ptr<Transfer> transfer) {
  command(What::kRemove, std::move(transfer));
}

void CurlClient::Io::unpause(std::shared_ptr<Transfer> transfer) {
  command(What::kUnpause, std::move(transfer));
}

void CurlClient::Io::command(What what, std::shared_ptr<Transfer> transfer) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back({what, std::move(transfer)});
    if (commands_.size() > 1) return;  // a wake-up is on its way
  }
  curl_multi_wakeup(multi_);
}

void CurlClient::Io::run() {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    take_commands();
    int active = 0;
    curl_multi_perform(multi_, &active);
    collect_finished();
    check_deadlines();
    curl_multi_poll(multi_, nullptr, 0, poll_timeout_ms(), nullptr);
  }
}

void CurlClient::Io::take_commands() {
  std::deque<Command> commands;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (Command& next : commands) {
    Transfer& transfer = *next.transfer;
    if (next.what == What::kAdd) {
      begin(next.transfer);
      continue;
    }
    if (running_.find(&transfer) == running_.end()) continue;
    if (next.what == What::kRemove) {
      drop(transfer);
      running_.erase(&transfer);
    } else if (std::exchange(transfer.paused, false)) {
      transfer.last_byte_ns = clock_.mono_now();
      curl_easy_pause(transfer.easy, CURLPAUSE_CONT);
    }
  }
}

void CurlClient::Io::begin(const std::shared_ptr<Transfer>& transfer) {
  transfer->io = this;
  transfer->started_ns = clock_.mono_now();
  transfer->easy = curl_easy_init();
  running_.emplace(transfer.get(), transfer);
  if (transfer->easy == nullptr || !set_up(*transfer) ||
      curl_multi_add_handle(multi_, transfer->easy) != CURLM_OK) {
    finish(transfer, Status(Code::kInternal, "libcurl refused to prepare a request to " +
                                                 host_of(transfer->request.url)));
  }
}

bool CurlClient::Io::set_up(Transfer& transfer) {
  const Request& request = transfer.request;
  CURL* easy = transfer.easy;
  bool ok = true;
  const auto set = [&ok, easy](CURLoption option, auto value) {
    ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK;
  };
  set(CURLOPT_PRIVATE, static_cast<void*>(&transfer));
  set(CURLOPT_ERRORBUFFER, transfer.error.data());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  set(CURLOPT_HTTP09_ALLOWED, 0L);
  set(CURLOPT_USERAGENT, options_.user_agent.c_str());
  // An empty proxy also switches the environment's off.
  set(CURLOPT_PROXY, options_.proxy.c_str());
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options_.ca_file.empty()) set(CURLOPT_CAINFO, options_.ca_file.c_str());
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  // A cancelled name resolution ends on its own instead of blocking this thread.
  set(CURLOPT_QUICK_EXIT, 1L);
  if (request.connect_timeout_ms > 0) {
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout_ms));
  }
  if (options_.filter) {
    set(CURLOPT_OPENSOCKETFUNCTION, &Io::on_open_socket);
    set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(&transfer));
  }
  set(CURLOPT_HEADERFUNCTION, &Io::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  set(CURLOPT_WRITEFUNCTION, &Io::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));

  if (request.method == "GET") {
    set(CURLOPT_HTTPGET, 1L);
  } else if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else {
    set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
        request.method == "PATCH") {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      set(CURLOPT_POSTFIELDS, request.body.c_str());
    }
  }
  // No wait for a "100 Continue" and no content type that nobody asked for.
  std::vector<std::string> lines = {"Expect:"};
  bool has_type = false;
  for (const Header& header : request.headers) {
    has_type = has_type || strcasecmp(header.name.c_str(), "content-type") == 0;
    // "Name;" is how libcurl sends a header without a value.
    lines.push_back(header.value.empty() ? header.name + ";" : header.name + ": " + header.value);
  }
  if (!has_type) lines.emplace_back("Content-Type:");
  for (const std::string& line : lines) {
    curl_slist* longer = curl_slist_append(transfer.header_list, line.c_str());
    if (longer == nullptr) return false;
    transfer.header_list = longer;
  }
  set(CURLOPT_HTTPHEADER, transfer.header_list);
  return ok;
}

void CurlClient::Io::collect_finished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    void* priv = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &priv);
    const auto found = running_.find(static_cast<Transfer*>(priv));
    if (found == running_.end()) continue;
    const auto transfer = found->second;
    finish(transfer, status_of(*transfer, code));
  }
}

int64_t CurlClient::Io::next_deadline(const Transfer& transfer) {
  const Request& request = transfer.request;
  int64_t at = INT64_MAX;
  const auto limit = [&at](int64_t from, int64_t ms) {
    if (ms > 0) at = std::min(at, from + ms * kNanosPerMilli);
  };
  limit(transfer.started_ns, request.total_timeout_ms);
  if (transfer.last_byte_ns == 0) {
    limit(transfer.started_ns, request.first_byte_timeout_ms);
  } else if (!transfer.paused) {
    limit(transfer.last_byte_ns, request.idle_timeout_ms);
  }
  return at;
}

void CurlClient::Io::check_deadlines() {
  const int64_t now = clock_.mono_now();
  std::vector<std::shared_ptr<Transfer>> late;
  for (const auto& entry : running_) {
    if (next_deadline(*entry.first) <= now) late.push_back(entry.second);
  }
  for (const auto& transfer : late) {
    const Request& request = transfer->request;
    const bool total = request.total_timeout_ms > 0 &&
                       transfer->started_ns + request.total_timeout_ms * kNanosPerMilli <= now;
    if (total) {
      finish(transfer, too_late(request, "did not finish its response", request.total_timeout_ms));
    } else if (transfer->last_byte_ns == 0) {
      finish(transfer, too_late(request, "sent nothing", request.first_byte_timeout_ms));
    } else {
      finish(transfer,
             too_late(request, "went silent in the middle of its response and sent nothing",
                      request.idle_timeout_ms));
    }
  }
}

int CurlClient::Io::poll_timeout_ms() const {
  int64_t next = INT64_MAX;
  for (const auto& entry : running_) next = std::min(next, next_deadline(*entry.first));
  if (next == INT64_MAX) return kIdlePollMs;
  const int64_t left = next - clock_.mono_now();
  if (left <= 0) return 0;
  return static_cast<int>(std::min<int64_t>(left / kNanosPerMilli + 1, kIdlePollMs));
}

void CurlClient::Io::finish(const std::shared_ptr<Transfer>& transfer, Status status) {
  drop(*transfer);
  running_.erase(transfer.get());
  {
    const std::lock_guard lock(transfer->mutex);
    transfer->done = true;
    transfer->status = std::move(status);
  }
  announce(*transfer);
}

void CurlClient::Io::drop(Transfer& transfer) {
  if (transfer.easy != nullptr) {
    curl_multi_remove_handle(multi_, transfer.easy);
    curl_easy_cleanup(std::exchange(transfer.easy, nullptr));
  }
  curl_slist_free_all(std::exchange(transfer.header_list, nullptr));
}

// Tells the lane that something has arrived, unless it knows.
void CurlClient::Io::announce(Transfer& transfer) {
  {
    const std::lock_guard lock(transfer.mutex);
    if (std::exchange(transfer.posted, true)) return;
  }
  notify_(transfer.shared_from_this());
}

Status CurlClient::Io::status_of(const Transfer& transfer, CURLcode code) {
  if (!transfer.verdict.ok()) return transfer.verdict;
  if (code == CURLE_OK) return {};
  const std::string host = host_of(transfer.request.url);
  const std::string why =
      transfer.error[0] != '\0' ? transfer.error.data() : curl_easy_strerror(code);
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return Status(Code::kInvalidArgument, "the URL of a request cannot be used: " + why,
                    PALYRA_ERROR_USER_FAULT);
    case CURLE_OPERATION_TIMEDOUT:
      return too_late(transfer.request, "could not be connected to",
                      transfer.request.connect_timeout_ms);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return Status(Code::kFailedPrecondition,
                    "the certificate of " + host + " is not trusted: " + why);
    case CURLE_COULDNT_CONNECT:
      if (!transfer.filter_refusal.ok()) return transfer.filter_refusal;
      return Status(Code::kUnavailable, "cannot connect to " + host + ": " + why,
                    PALYRA_ERROR_RETRYABLE);
    default:
      return Status(Code::kUnavailable, "the connection to " + host + " failed: " + why,
                    PALYRA_ERROR_RETRYABLE);
  }
}

size_t CurlClient::Io::on_header(char* data, size_t size, size_t count, void* self) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  const size_t bytes = size * count;
  transfer.last_byte_ns = transfer.io->clock_.mono_now();
  if (transfer.head_complete) return bytes;  // trailers
  transfer.header_bytes += static_cast<int64_t>(bytes);
  if (transfer.header_bytes > transfer.request.max_header_bytes) {
    transfer.verdict = too_large(transfer.request, "header", transfer.request.max_header_bytes);
    return 0;
  }
  const std::string_view line(data, bytes);
  if (const int status = status_of_line(line); status != 0) {
    transfer.incoming = ResponseHead{};
    transfer.incoming.status = status;
    return bytes;
  }
  if (!trim(line).empty()) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return bytes;
    transfer.incoming.headers.push_back(
        {std::string(trim(line.substr(0, colon))), std::string(trim(line.substr(colon + 1)))});
    return bytes;
  }
  if (transfer.incoming.status < 200) return bytes;  // an interim answer: another head follows
  transfer.head_complete = true;
  {
    const std::lock_guard lock(transfer.mutex);
    transfer.head = std::move(transfer.incoming);
    transfer.head_ready = true;
  }
  transfer.io->announce(transfer);
  return bytes;
}

size_t CurlClient::Io::on_body(char* data, size_t size, size_t count, void* self) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  const size_t bytes = size * count;
  transfer.last_byte_ns = transfer.io->clock_.mono_now();
  {
    const std::lock_guard lock(transfer.mutex);
    if (transfer.body.size() >= transfer.io->options_.max_buffered_bytes) {
      transfer.socket_paused = true;
      transfer.paused = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    if (transfer.body_bytes + static_cast<int64_t>(bytes) <= transfer.request.max_body_bytes) {
      transfer.body.append(data, bytes);
    }
  }
  transfer.body_bytes += static_cast<int64_t>(bytes);
  if (transfer.body_bytes > transfer.request.max_body_bytes) {
    transfer.verdict = too_large(transfer.request, "body", transfer.request.max_body_bytes);
    return 0;
  }
  transfer.io->announce(transfer);
  return bytes;
}

curl_socket_t CurlClient::Io::on_open_socket(void* self, curlsocktype /*purpose*/,
                                             curl_sockaddr* address) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  Status verdict = transfer.io->options_.filter(&address->addr, address->addrlen);
  if (!verdict.ok()) {
    transfer.filter_refusal = std::move(verdict);
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

}  // namespace palyra::http
