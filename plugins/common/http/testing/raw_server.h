// A server on 127.0.0.1 that says, byte for byte, what a test wants: also what no server should
// say.
#pragma once

#include <boost/asio.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace palyra::http::testing {

// Each connection runs `script` on a thread of its own; when it returns, the connection is closed.
// The destructor closes all connections, which ends every script that waits, and joins.
class RawServer {
  using Tcp = boost::asio::ip::tcp;

 public:
  struct Request {
    std::string head;  // request line and headers
    std::string body;
  };

  class Connection {
   public:
    Connection(boost::asio::io_context& io, int number) : socket_(io), number_(number) {}

    // 0 for the first connection of the server, and so on.
    int number() const { return number_; }
    // One request with its Content-Length body; false if the client has gone.
    bool read_request(Request* out) {
      boost::system::error_code error;
      const size_t head = boost::asio::read_until(socket_, boost::asio::dynamic_buffer(pending_),
                                                  "\r\n\r\n", error);
      if (error) return false;
      out->head = pending_.substr(0, head);
      pending_.erase(0, head);
      const size_t want = content_length(out->head);
      while (pending_.size() < want) {
        char chunk[65'536];
        const size_t got = socket_.read_some(boost::asio::buffer(chunk), error);
        if (error) return false;
        pending_.append(chunk, got);
      }
      out->body = pending_.substr(0, want);
      pending_.erase(0, want);
      return true;
    }
    // False if the client has gone.
    bool send(std::string_view bytes) {
      boost::system::error_code error;
      boost::asio::write(socket_, boost::asio::buffer(bytes.data(), bytes.size()), error);
      return !error;
    }
    // Until the client closes, or the server is destroyed.
    void wait_closed() {
      boost::system::error_code error;
      char chunk[4096];
      while (!error) socket_.read_some(boost::asio::buffer(chunk), error);
    }

   private:
    friend class RawServer;
    static size_t content_length(const std::string& head) {
      for (const char* name : {"Content-Length: ", "content-length: "}) {
        const auto at = head.find(name);
        if (at != std::string::npos) return std::stoul(head.substr(at + std::string(name).size()));
      }
      return 0;
    }
    Tcp::socket socket_;
    int number_;
    std::string pending_;
  };
  using Script = std::function<void(Connection&)>;

  explicit RawServer(Script script)
      : script_(std::move(script)),
        acceptor_(io_, Tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {
    accepting_ = std::thread([this] { accept(); });
  }
  ~RawServer() {
    stopping_ = true;
    {
      // accept() does not notice a close from another thread: knock.
      boost::system::error_code ignored;
      Tcp::socket knock(io_);
      knock.connect(acceptor_.local_endpoint(), ignored);
    }
    accepting_.join();
    for (auto& entry : running_) {
      boost::system::error_code ignored;
      entry.connection->socket_.shutdown(Tcp::socket::shutdown_both, ignored);
    }
    for (auto& entry : running_) entry.thread.join();
  }

  uint16_t port() const { return acceptor_.local_endpoint().port(); }
  std::string url(const std::string& path = "/") const {
    return "http://127.0.0.1:" + std::to_string(port()) + path;
  }
  int connections() const { return accepted_; }

 private:
  struct Running {
    std::unique_ptr<Connection> connection;
    std::thread thread;
  };

  void accept() {
    while (true) {
      auto connection = std::make_unique<Connection>(io_, accepted_);
      boost::system::error_code error;
      acceptor_.accept(connection->socket_, error);
      if (stopping_) return;
      if (error) continue;
      ++accepted_;
      Connection& c = *connection;
      c.socket_.set_option(Tcp::no_delay(true), error);
      running_.push_back({std::move(connection), std::thread([this, &c] {
                            script_(c);
                            boost::system::error_code ignored;
                            c.socket_.shutdown(Tcp::socket::shutdown_both, ignored);
                          })});
    }
  }

  const Script script_;
  boost::asio::io_context io_;
  Tcp::acceptor acceptor_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> accepted_{0};
  std::list<Running> running_;  // the accepting thread, then the destructor
  std::thread accepting_;
};

}  // namespace palyra::http::testing
