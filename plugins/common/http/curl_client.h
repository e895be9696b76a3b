// CurlClient: HttpClient over libcurl (HTTP/1.1 and 2, TLS verified, connections reused).
#pragma once

#include "palyra/status.hpp"
#include "palyra/world.hpp"
#include "plugins/common/http/http.h"

#include <functional>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <unordered_map>

namespace palyra::http {

// Judges the resolved address of each connection before it is made; not OK = not this address. Runs
// on the client's I/O thread, so it must be thread-safe and quick. A connection that was allowed is
// reused without asking again, so one client has one filter.
using ConnectFilter = std::function<Status(const sockaddr* address, socklen_t size)>;

struct CurlOptions {
  // Empty = every address.
  ConnectFilter filter;
  // Empty = none; never taken from the environment. A proxy resolves names itself: the filter then
  // sees the proxy's address only.
  std::string proxy;
  // PEM file of trusted certificates; empty = the system's.
  std::string ca_file;
  std::string user_agent = "palyra";
  // Open connections, in use or kept for reuse, 1 or more.
  int64_t max_connections = 64;
  // Bytes of a response held for a paused or slow receiver before the socket is left unread.
  size_t max_buffered_bytes = 256 << 10;
};

// The functions run on the lane (`executor`); one own thread does all I/O, and reaches the lane
// only by post. The destructor joins it: no handler is called after it. A name resolution under way
// may hold the destructor until it ends.
class CurlClient : public HttpClient {
 public:
  CurlClient(const Clock& clock, Executor& executor, CurlOptions options = {});
  ~CurlClient() override;
  CurlClient(const CurlClient&) = delete;
  CurlClient& operator=(const CurlClient&) = delete;

  RequestId start(Request request, std::shared_ptr<ResponseHandler> handler) override;
  void cancel(RequestId id) override;
  void pause(RequestId id) override;
  void resume(RequestId id) override;

 private:
  struct Transfer;
  class Io;

  // Does not touch `self` once the transfer is closed: it may be gone.
  static void deliver(CurlClient* self, const std::shared_ptr<Transfer>& transfer);

  Executor& executor_;
  RequestId last_id_ = 0;
  std::unordered_map<RequestId, std::shared_ptr<Transfer>> transfers_;
  std::unique_ptr<Io> io_;
};

}  // namespace palyra::http
