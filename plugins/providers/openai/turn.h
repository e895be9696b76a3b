// One turn against the API: attempts, the stream, credits, deadlines.
#pragma once

#include "palyra/world.hpp"
#include "plugins/common/http/http.h"
#include "plugins/common/provider/failure.h"
#include "plugins/common/provider/turn_sink.h"
#include "plugins/common/retry/backoff.h"
#include "plugins/common/retry/circuit_breaker.h"
#include "plugins/common/sse/parser.h"
#include "plugins/providers/openai/completion.h"
#include "plugins/providers/openai/config.h"
#include "plugins/providers/openai/tool_names.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace palyra::openai {

// Resolves the configured key and calls back on the lane, perhaps at once.
using ResolveKey = std::function<void(std::function<void(Result<std::string>)>)>;

// What all turns of an instance share. Outlives them.
struct Shared {
  const Clock& clock;
  Executor& executor;
  Random& random;
  http::HttpClient& http;
  ResolveKey resolve_key;
  Config config;
  retry::BackoffPolicy backoff;
  retry::CircuitBreaker breaker;
  std::string endpoint;  // host of base_url, for people
};

// A GET or POST to the endpoint with the configured headers and `key` (may be empty).
http::Request make_request(const Config& config, const std::string& path, const std::string& key);

// On the lane. Ends exactly once, then calls `ended`. An attempt is repeated only while nothing has
// been received of it. Events wait for credits in a queue; when it grows the socket is left unread.
class Turn : public std::enable_shared_from_this<Turn> {
 public:
  Turn(Shared& shared, const service::v1::ChatRequest& request, uint32_t credits,
       std::unique_ptr<provider::TurnSink> sink, std::function<void()> ended);
  ~Turn();

  bool background() const { return request_.background(); }
  // Begins to count time to the first token; run() may come later.
  void wait();
  void run();
  void grant(uint32_t credits);
  // Ends CANCELLED, from the lane, not inside this call.
  void cancel();

 private:
  class Attempt;
  using Ending = std::function<void()>;

  void attempt();
  void send(const std::string& key);
  void on_head(const http::ResponseHead& head);
  void on_body(std::string_view bytes);
  void on_transport_done(const Status& status);
  void on_chunk(Completion::Fed fed, std::string_view data);
  void complete();
  void queue_event(service::v1::ChatEvent event);
  void attempt_failed(provider::Failure failure);
  void fail(provider::Failure failure);
  void fail(service::v1::FailureKind kind, const std::string& message);
  void pump();
  void end(const Ending& say);
  void leave_attempt(bool keep_connection);
  void judge(service::v1::FailureKind kind);

  Shared& shared_;
  const service::v1::ChatRequest request_;
  std::unique_ptr<provider::TurnSink> sink_;
  std::function<void()> ended_;
  uint64_t credits_;

  std::string body_;
  ToolNames names_;
  int retries_ = 0;
  std::shared_ptr<Attempt> attempt_;
  http::RequestId http_id_ = 0;
  std::string key_;  // of the attempt under way, for scrubbing

  // Of the attempt under way.
  enum class Mode { kNone, kStream, kWhole, kError };
  Mode mode_ = Mode::kNone;
  http::ResponseHead head_;
  std::string buffered_;  // kWhole and kError
  std::optional<sse::Parser> parser_;
  std::optional<Completion> completion_;
  bool probing_breaker_ = false;  // allow() was given and no verdict yet

  std::deque<service::v1::ChatEvent> events_;
  bool any_event_ = false;
  bool http_paused_ = false;
  bool pumping_ = false;
  Ending ending_;  // said once the events are out

  int64_t first_token_at_ = INT64_MAX;
  int64_t first_token_ms_ = 0;
  TimerId first_token_timer_ = 0;
  TimerId retry_timer_ = 0;
  bool done_ = false;
};

}  // namespace palyra::openai
