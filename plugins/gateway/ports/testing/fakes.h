// Fakes of the world that runs live in: a model that follows a script, tools that are functions.
#pragma once

#include "palyra/task.hpp"
#include "plugins/gateway/ports/ports.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace palyra::gateway::testing {

// Valid ULIDs in order, without a clock.
class FakeIds : public Ids {
 public:
  explicit FakeIds(uint64_t first = 0) : next_(first) {}
  std::string ulid() override {
    constexpr char kDigits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    std::string out(26, '0');
    uint64_t number = ++next_;
    for (size_t i = 26; i-- > 10 && number != 0; number /= 32) out[i] = kDigits[number % 32];
    out[1] = '1';
    return out;
  }

 private:
  uint64_t next_;
};

// One scripted answer of the model.
struct Say {
  std::vector<std::string> text;  // one delta each
  std::vector<palyra::common::v1::ToolCall> calls;
  // Not OK: the turn fails after the text.
  Status failure;
  palyra::service::v1::FailureKind kind = palyra::service::v1::FAILURE_KIND_UNSPECIFIED;
  // Stops after the text until it is released, or for ever.
  bool hang = false;
  int64_t input_tokens = 10;
};

// Answers chat() from its script, in order; without one it echoes the last user message.
class FakeProviders : public Providers {
 public:
  explicit FakeProviders(Executor& executor) : executor_(executor) {}

  void say(std::vector<std::string> text) {
    Say turn;
    turn.text = std::move(text);
    script.push_back(std::move(turn));
  }
  void call(const std::string& tool, const std::string& arguments, std::string id = "call-1") {
    Say turn;
    auto& call = turn.calls.emplace_back();
    call.set_call_id(std::move(id));
    call.set_name(tool);
    call.set_arguments_json(arguments);
    script.push_back(std::move(turn));
  }
  void hang(std::vector<std::string> text) {
    Say turn;
    turn.text = std::move(text);
    turn.hang = true;
    script.push_back(std::move(turn));
  }
  void fail(Status status, palyra::service::v1::FailureKind kind) {
    Say turn;
    turn.failure = std::move(status);
    turn.kind = kind;
    script.push_back(std::move(turn));
  }
  // What hangs goes on.
  void release() {
    for (auto& slot : std::exchange(hanging_, {})) {
      executor_.post([slot] { slot.set(true); });
    }
  }
  size_t hanging() const { return hanging_.size(); }

  Task<ChatOutcome> chat(std::string instance, Serialised<palyra::service::v1::ChatRequest> sent,
                         std::function<void(const palyra::service::v1::ChatEvent&)> on_event,
                         CancelToken cancel) override {
    const palyra::service::v1::ChatRequest request = sent.parsed();
    requests.push_back(request);
    ChatOutcome outcome;
    if (instance != "fake") {
      outcome.status = Status(Code::kUnavailable, "there is no provider " + instance);
      outcome.failure.set_kind(palyra::service::v1::FAILURE_KIND_UNAVAILABLE);
      co_return outcome;
    }
    Say turn;
    std::optional<Say> ruled;
    if (rule) ruled = rule(request);
    if (ruled) {
      turn = std::move(*ruled);
    } else if (!script.empty()) {
      turn = std::move(script.front());
      script.pop_front();
    } else {
      turn.text = {"echo: ", request.messages(request.messages_size() - 1).text()};
    }
    int64_t bytes = 0;
    for (const auto& part : turn.text) {
      co_await yield();
      if (cancel.cancelled()) break;
      palyra::service::v1::ChatEvent event;
      event.set_text_delta(part);
      bytes += static_cast<int64_t>(part.size());
      on_event(event);
    }
    if (turn.hang && !cancel.cancelled() && !stubborn) {
      Slot<bool> slot;
      hanging_.push_back(slot);
      cancel.on_cancel([this, slot] { executor_.post([slot] { slot.set(false); }); });
      co_await slot;
    } else if (turn.hang) {
      Slot<bool> slot;
      hanging_.push_back(slot);
      co_await slot;
    } else {
      co_await yield();
    }
    if (cancel.cancelled()) {
      outcome.status = Status(Code::kCancelled, "cancelled");
      co_return outcome;
    }
    if (!turn.failure.ok()) {
      outcome.status = turn.failure;
      outcome.failure.set_kind(turn.kind);
      co_return outcome;
    }
    for (const auto& call : turn.calls) {
      palyra::service::v1::ChatEvent event;
      *event.mutable_tool_call() = call;
      on_event(event);
    }
    outcome.result.set_finish_reason(turn.calls.empty()
                                         ? palyra::service::v1::FINISH_REASON_STOP
                                         : palyra::service::v1::FINISH_REASON_TOOL_CALLS);
    outcome.result.mutable_usage()->set_input_tokens(turn.input_tokens);
    outcome.result.mutable_usage()->set_output_tokens(bytes / 4 + 1);
    co_return outcome;
  }
  Task<Result<palyra::service::v1::ListModelsResponse>> models(std::string, bool) override {
    palyra::service::v1::ListModelsResponse listed;
    for (const auto& [id, window] : windows) {
      listed.add_models()->set_id(id);
      listed.mutable_models(listed.models_size() - 1)->set_context_window(window);
    }
    co_return listed;
  }
  std::vector<std::string> instances() const override { return {"fake"}; }

  std::deque<Say> script;
  // Asked before the script; nothing = the script goes on.
  std::function<std::optional<Say>(const palyra::service::v1::ChatRequest&)> rule;
  std::vector<palyra::service::v1::ChatRequest> requests;
  std::map<std::string, int64_t> windows;  // by model: those that say theirs, tokens
  bool stubborn = false;                   // what hangs does not hear of a cancel

 private:
  Task<bool> yield() {
    Slot<bool> slot;
    executor_.post([slot] { slot.set(true); });
    co_return co_await slot;
  }

  Executor& executor_;
  std::vector<Slot<bool>> hanging_;
};

// Tools that are functions. Every invocation is counted by its idempotency key.
class FakeTools : public Tools {
 public:
  using Invoke = std::function<Result<palyra::service::v1::InvokeResult>(
      const palyra::service::v1::InvokeRequest&)>;

  explicit FakeTools(Executor& executor)
      : executor_(executor), catalogue_(std::make_shared<Catalogue>()) {}

  void add(const std::string& name, palyra::service::v1::ToolAccess access,
           palyra::common::v1::EffectClass effect, Invoke invoke,
           const std::string& schema = R"({"type":"object"})") {
    auto next = std::make_shared<Catalogue>(*catalogue_);
    Tool tool;
    tool.instance = "tools";
    tool.info.set_name(name);
    tool.info.set_description(name);
    tool.info.set_input_schema_json(schema);
    tool.info.set_access(access);
    tool.info.set_effect(effect);
    tool.info.set_provenance(palyra::common::v1::PROVENANCE_WORKSPACE);
    next->tools[name] = std::move(tool);
    next->digest = std::string(32, static_cast<char>(next->tools.size()));
    catalogue_ = std::move(next);
    functions_[name] = std::move(invoke);
  }
  void remove(const std::string& name) {
    auto next = std::make_shared<Catalogue>(*catalogue_);
    next->tools.erase(name);
    catalogue_ = std::move(next);
  }
  // A tool that answers with this text.
  void add_text(const std::string& name, palyra::service::v1::ToolAccess access,
                palyra::common::v1::EffectClass effect, const std::string& text) {
    add(name, access, effect, [text](const palyra::service::v1::InvokeRequest&) {
      palyra::service::v1::InvokeResult result;
      result.set_content(text);
      return Result<palyra::service::v1::InvokeResult>(std::move(result));
    });
  }

  std::shared_ptr<const Catalogue> catalogue() const override { return catalogue_; }
  Task<Result<palyra::service::v1::InvokeResult>> invoke(
      std::string, palyra::service::v1::InvokeRequest request, int64_t,
      std::function<void(const palyra::service::v1::InvokeProgress&)> on_progress,
      CancelToken cancel) override {
    Slot<bool> slot;
    if (hang) {
      hanging_.push_back(slot);
      cancel.on_cancel([this, slot] { executor_.post([slot] { slot.set(false); }); });
    } else {
      executor_.post([slot] { slot.set(true); });
    }
    invoked.push_back(request);
    palyra::service::v1::InvokeProgress progress;
    progress.set_text("working");
    on_progress(progress);
    const bool went_on = co_await slot;
    if (!went_on) co_return Status(Code::kCancelled, "cancelled");
    co_return functions_.at(request.name())(request);
  }
  Task<Result<palyra::service::v1::VerifyCallResponse>> verify(
      std::string, palyra::service::v1::VerifyCallRequest, int64_t) override {
    co_return verified;
  }
  void release() {
    for (auto& slot : std::exchange(hanging_, {})) {
      executor_.post([slot] { slot.set(true); });
    }
  }

  std::vector<palyra::service::v1::InvokeRequest> invoked;
  palyra::service::v1::VerifyCallResponse verified;
  bool hang = false;

 private:
  Executor& executor_;
  std::shared_ptr<Catalogue> catalogue_;
  std::map<std::string, Invoke> functions_;
  std::vector<Slot<bool>> hanging_;
};

}  // namespace palyra::gateway::testing
