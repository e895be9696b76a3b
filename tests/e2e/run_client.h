// A RunStream as a test reads it: what one client saw, checked for gaps while it is read.
#pragma once

#include "tests/e2e/daemon.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace palyra::e2e {

class RunClient {
 public:
  explicit RunClient(const Daemon& daemon) : stub_(daemon.gateway()) {
    daemon.authenticate(context_);
    stream_ = stub_->RunStream(&context_);
  }

  bool start(const std::string& text, const std::string& session = "") {
    api::RunStreamRequest request;
    request.mutable_start()->set_text(text);
    request.mutable_start()->set_session_id(session);
    return stream_->Write(request);
  }
  // Goes on after what an earlier client saw.
  bool attach(const std::string& run, const RunClient* seen = nullptr) {
    api::RunStreamRequest request;
    auto* attach = request.mutable_attach();
    attach->set_run_id(run);
    if (seen != nullptr) {
      take_over(*seen);
      attach->set_from_seq(seq + 1);
      attach->set_turn(turn);
      attach->set_attempt(attempt);
      attach->set_offset(turn == 0 ? 0 : texts[turn].size());
    }
    return stream_->Write(request);
  }
  bool send(const api::RunStreamRequest& request) { return stream_->Write(request); }

  // Reads one event; false at the end of the stream.
  bool next() {
    if (!stream_->Read(&event)) return false;
    if (!event.run_id().empty() && event.run_id() != run_id) {
      // A follow-up is a run of its own.
      if (!run_id.empty()) texts.clear();
      run_id = event.run_id();
      turn = attempt = 0;
    }
    if (!event.session_id().empty()) session_id = event.session_id();
    if (event.seq() != 0) {
      if (event.seq() != seq + 1) {
        problems.push_back("sequence " + std::to_string(event.seq()) + " after " +
                           std::to_string(seq));
      }
      seq = event.seq();
    }
    if (event.has_status()) {
      status = event.status();
      if (terminal()) finished_seq = std::exchange(seq, 0);
    }
    if (event.has_turn_restarted()) {
      turn = event.turn_restarted().turn();
      attempt = event.turn_restarted().attempt();
      texts[turn].clear();
    }
    if (event.has_model_delta()) {
      const auto& delta = event.model_delta();
      if (delta.turn() != turn) texts[delta.turn()].clear();
      turn = delta.turn();
      attempt = delta.attempt();
      if (delta.offset() != texts[turn].size()) {
        problems.push_back("text of turn " + std::to_string(turn) + " at " +
                           std::to_string(delta.offset()) + " after " +
                           std::to_string(texts[turn].size()));
      }
      texts[turn] += delta.text();
    }
    return true;
  }
  // Reads until `done` says so; false if the stream ended first.
  template <typename Done>
  bool until(Done done) {
    while (next()) {
      if (done(event)) return true;
    }
    return false;
  }
  // Reads to the end.
  grpc::Status finish() {
    while (next()) {
    }
    return stream_->Finish();
  }
  void disconnect() {
    context_.TryCancel();
    while (stream_->Read(&event)) {
    }
    (void)stream_->Finish();
  }
  bool terminal() const {
    return status.state() == api::RUN_STATE_COMPLETED || status.state() == api::RUN_STATE_FAILED ||
           status.state() == api::RUN_STATE_CANCELLED;
  }
  // What was shown of the last turn.
  const std::string& text() { return texts[turn]; }

  api::RunStreamEvent event;
  api::RunStatus status;
  std::string run_id;
  std::string session_id;
  uint64_t seq = 0;
  uint64_t finished_seq = 0;
  uint32_t turn = 0;
  uint32_t attempt = 0;
  std::map<uint32_t, std::string> texts;
  std::vector<std::string> problems;

 private:
  void take_over(const RunClient& seen) {
    run_id = seen.run_id;
    session_id = seen.session_id;
    seq = seen.seq;
    turn = seen.turn;
    attempt = seen.attempt;
    texts = seen.texts;
    problems = seen.problems;
  }

  std::unique_ptr<api::GatewayService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<api::RunStreamRequest, api::RunStreamEvent>> stream_;
};

}  // namespace palyra::e2e
