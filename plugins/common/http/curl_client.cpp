#include "plugins/common/http/curl_client.h"

#include "plugins/common/http/curl_io.h"

#include <utility>

namespace palyra::http {

CurlClient::CurlClient(const Clock& clock, Executor& executor, CurlOptions options)
    : executor_(executor),
      io_(std::make_unique<Io>(clock, std::move(options),
                               [this](const std::shared_ptr<Transfer>& transfer) {
                                 executor_.post([this, transfer] { deliver(this, transfer); });
                               })) {}

CurlClient::~CurlClient() {
  for (auto& entry : transfers_) entry.second->closed = true;
  io_.reset();
}

RequestId CurlClient::start(Request request, std::shared_ptr<ResponseHandler> handler) {
  auto transfer = std::make_shared<Transfer>();
  transfer->id = ++last_id_;
  transfer->request = std::move(request);
  transfer->handler = std::move(handler);
  transfers_.emplace(transfer->id, transfer);
  if (Status bad = check_request(transfer->request); !bad.ok()) {
    transfer->done = true;
    transfer->status = std::move(bad);
    executor_.post([this, transfer] { deliver(this, transfer); });
  } else {
    io_->add(transfer);
  }
  return transfer->id;
}

void CurlClient::cancel(RequestId id) {
  const auto found = transfers_.find(id);
  if (found == transfers_.end()) return;
  const auto transfer = found->second;
  transfers_.erase(found);
  transfer->closed = true;
  transfer->handler.reset();
  io_->remove(transfer);
}

void CurlClient::pause(RequestId id) {
  const auto found = transfers_.find(id);
  if (found == transfers_.end()) return;
  const std::lock_guard lock(found->second->mutex);
  found->second->lane_paused = true;
}

void CurlClient::resume(RequestId id) {
  const auto found = transfers_.find(id);
  if (found == transfers_.end()) return;
  const auto transfer = found->second;
  {
    const std::lock_guard lock(transfer->mutex);
    transfer->lane_paused = false;
    if (transfer->posted) return;
    transfer->posted = true;
  }
  executor_.post([this, transfer] { deliver(this, transfer); });
}

// Hands over what has arrived.
void CurlClient::deliver(CurlClient* self, const std::shared_ptr<Transfer>& transfer) {
  while (!transfer->closed) {
    bool head = false;
    bool done = false;
    bool unpause = false;
    std::string body;
    {
      const std::lock_guard lock(transfer->mutex);
      head = transfer->head_ready && !transfer->head_delivered;
      if (!head && !transfer->lane_paused) {
        body.swap(transfer->body);
        done = transfer->done;
        unpause = std::exchange(transfer->socket_paused, false);
      }
      if (!head && body.empty() && !done) transfer->posted = false;
    }
    if (unpause) self->io_->unpause(transfer);
    // The handler may cancel, which lets go of it.
    const auto handler = transfer->handler;
    if (head) {
      transfer->head_delivered = true;
      handler->on_head(transfer->head);
    } else if (!body.empty()) {
      handler->on_body(body);
    } else if (done) {
      transfer->closed = true;
      self->transfers_.erase(transfer->id);
      handler->on_done(transfer->status);
    } else {
      return;
    }
  }
}

}  // namespace palyra::http
