// The limits that rows are held against: what the disk, SQLite and bare gRPC do on this machine,
// now.
#pragma once

#include "bench/row.h"

#include <memory>
#include <string>

namespace palyra::bench {

// Seconds of one 4 KiB append and fdatasync in `directory`.
Samples fdatasync_seconds(const std::string& directory, double seconds);

// A gRPC callback server in this process that echoes RunStream, and nothing else.
class EchoServer {
 public:
  EchoServer();
  ~EchoServer();
  const std::string& endpoint() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Seconds of one ping-pong of small messages on a bidirectional stream.
Samples ping_pong_seconds(const std::string& endpoint, double seconds);

// Echoed 64 B messages a second on one stream, written and read at the same time.
double echo_rate(const std::string& endpoint, double seconds);

}  // namespace palyra::bench
