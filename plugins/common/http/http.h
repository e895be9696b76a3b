// Outbound HTTP as our code sees it: requests in, streamed responses out, all on the lane.
#pragma once

#include "palyra/status.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace palyra::http {

struct Header {
  std::string name;
  std::string value;
};

struct Request {
  std::string method = "GET";
  // http:// or https://. Redirects are not followed: a 3xx is an answer like any other.
  std::string url;
  // May hold secrets: nothing here is ever put into a Status.
  std::vector<Header> headers;
  std::string body;

  // Milliseconds; 0 = no limit. Connecting includes name resolution and TLS; the first byte is that
  // of the response's status line, counted from the start; idle is the time between bytes of the
  // response, while the receiver is not paused.
  int64_t connect_timeout_ms = 10'000;
  int64_t first_byte_timeout_ms = 60'000;
  int64_t idle_timeout_ms = 60'000;
  int64_t total_timeout_ms = 0;

  // Bytes; a response with more fails RESOURCE_EXHAUSTED.
  int64_t max_header_bytes = 64 << 10;
  int64_t max_body_bytes = 64 << 20;
};

struct ResponseHead {
  int status = 0;
  std::vector<Header> headers;

  // The first header of that name in any case; null if there is none.
  const std::string* find(std::string_view name) const;
};

// The receiver of one response: on_head once, on_body any number of times, then on_done once; or
// only on_done. On the lane, never inside start().
class ResponseHandler {
 public:
  virtual ~ResponseHandler() = default;
  virtual void on_head(const ResponseHead& head) = 0;
  // Borrowed.
  virtual void on_body(std::string_view bytes) = 0;
  // OK: the whole response has arrived. INVALID_ARGUMENT (URL, header), UNAVAILABLE (resolution,
  // connection, cut), DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED (too large), FAILED_PRECONDITION
  // (certificate), or what the connect filter said.
  virtual void on_done(const Status& status) = 0;
};

using RequestId = uint64_t;

// All functions on the lane.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  virtual RequestId start(Request request, std::shared_ptr<ResponseHandler> handler) = 0;
  // Nothing reaches the handler after this. Unknown or ended: no-op.
  virtual void cancel(RequestId id) = 0;
  // No on_body and no on_done until resume(); what the network brings meanwhile is held up to a
  // limit and then left in the socket.
  virtual void pause(RequestId id) = 0;
  virtual void resume(RequestId id) = 0;
};

// INVALID_ARGUMENT if a header, the method or the URL could smuggle a line into the request, or the
// URL is neither http nor https.
Status check_request(const Request& request);

// "api.example.com:8443" of a URL, without user and path; empty if there is none.
std::string host_of(std::string_view url);

}  // namespace palyra::http
