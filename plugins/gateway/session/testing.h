// A whole gateway in memory, for stories: send, expect, move time, crash.
#pragma once

#include "palyra/testing/executor.hpp"
#include "plugins/gateway/ports/testing/fakes.h"
#include "plugins/gateway/ports/testing/store_journal.h"
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/journal/memory/store.h"

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace palyra::gateway::testing {

class SeededRandom : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}
  void fill(void* out, size_t size) override {
    auto* bytes = static_cast<unsigned char*>(out);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(engine_());
  }

 private:
  std::mt19937_64 engine_;
};

inline Options test_options() {
  Options options;
  options.default_model = "fake/model";
  AgentConfig agent;
  agent.agent_id = "main";
  agent.system_prompt = "You are terse.";
  options.agents.push_back(agent);
  return options;
}

class House {
 public:
  explicit House(uint64_t seed = 0, Options options = test_options(),
                 policy::PolicyRules rules = {})
      : executor(clock, seed),
        random(seed + 1),
        store(clock, executor, random),
        journal(store),
        providers(executor),
        tools(executor),
        options_(std::move(options)),
        rules_(std::move(rules)) {
    start();
  }
  ~House() { stop(); }

  void start() {
    gateway = std::make_unique<GatewayImpl>(World{clock, executor, ids, journal, providers, tools},
                                            options_, rules_);
    recovered = run(gateway->recover());
  }
  // kill -9: nothing more is written, what was in flight is gone.
  void crash() {
    store.crash();
    executor.drop();
    scope.clear();
    gateway.reset();
    executor.drop();
    store.crash();
  }
  void stop() {
    scope.clear();
    if (gateway) run(gateway->shutdown());
    gateway.reset();
    executor.run_until_idle();
  }

  // Runs a task until it has answered. Fails the test if it never does.
  template <typename T>
  T run(Task<T> task) {
    auto result = std::make_shared<std::optional<T>>();
    scope.spawn(keep(std::move(task), result));
    executor.run_until_idle();
    if (!result->has_value()) throw std::runtime_error("the task waits for something");
    return std::move(**result);
  }
  void run(Task<void> task) {
    scope.spawn(std::move(task));
    executor.run_until_idle();
  }
  // Starts a task; its answer appears later.
  template <typename T>
  std::shared_ptr<std::optional<T>> begin(Task<T> task) {
    auto result = std::make_shared<std::optional<T>>();
    scope.spawn(keep(std::move(task), result));
    return result;
  }
  void advance_ms(int64_t ms) { executor.advance(ms * kNanosPerMilli); }

  static Caller caller(const std::string& principal = "user:ann") {
    Caller out;
    out.principal = principal;
    out.scopes = {"runs.write", "runs.read", "approvals.decide"};
    out.credential_id = "cred-1";
    out.channel = "cli";
    out.surface = "grpc";
    return out;
  }
  static api::RunStart say(const std::string& text, const std::string& session = "",
                           const std::string& key = "") {
    api::RunStart request;
    request.set_text(text);
    request.set_session_id(session);
    request.set_idempotency_key(key);
    return request;
  }
  Result<AcceptedInput> send(const std::string& text, const std::string& session = "",
                             const std::string& key = "") {
    return run(gateway->start_run(caller(), say(text, session, key)));
  }
  api::Run run_of(const std::string& run_id) {
    api::GetRunRequest request;
    request.set_run_id(run_id);
    auto answer = run(gateway->get_run(caller(), request));
    return answer.ok() ? *answer : api::Run();
  }
  std::vector<api::Approval> pending() {
    auto answer = run(gateway->list_approvals(caller(), {}));
    if (!answer.ok()) return {};
    return {answer->approvals().begin(), answer->approvals().end()};
  }
  Result<api::Approval> decide(const std::string& id, tape::ApprovalVerdict verdict,
                               tape::ApprovalScope scope_ = tape::APPROVAL_SCOPE_ONCE,
                               uint32_t seconds = 0) {
    api::ApprovalDecision request;
    request.set_approval_id(id);
    request.set_verdict(verdict);
    request.set_scope(scope_);
    request.set_seconds(seconds);
    return run(gateway->decide_approval(caller(), request));
  }
  std::vector<std::string> tape_of(const std::string& run_id) {
    api::ReadTapeRequest request;
    request.set_run_id(run_id);
    auto answer = run(gateway->read_tape(caller(), request));
    std::vector<std::string> out;
    if (answer.ok()) {
      for (const auto& entry : answer->entries()) out.push_back(entry.type());
    }
    return out;
  }
  std::unique_ptr<Subscription> attach(const std::string& run_id, uint64_t from_seq = 0) {
    api::RunAttach request;
    request.set_run_id(run_id);
    request.set_from_seq(from_seq);
    auto answer = run(gateway->attach(caller(), request));
    return answer.ok() ? std::move(*answer) : nullptr;
  }
  // All events until the end.
  std::vector<api::RunStreamEvent> all(Subscription& subscription) {
    std::vector<api::RunStreamEvent> out;
    for (;;) {
      auto event = begin(subscription.next());
      executor.run_until_idle();
      if (!event->has_value() || !(*event)->has_value()) return out;
      out.push_back(std::move(***event));
    }
  }

  palyra::testing::ManualClock clock;
  palyra::testing::DeterministicExecutor executor;
  SeededRandom random;
  palyra::journal::MemoryStore store;
  StoreJournal journal;
  FakeIds ids;
  FakeProviders providers;
  FakeTools tools;
  TaskScope scope;
  std::unique_ptr<GatewayImpl> gateway;
  Status recovered;

 private:
  template <typename T>
  static Task<void> keep(Task<T> task, std::shared_ptr<std::optional<T>> result) {
    result->emplace(co_await std::move(task));
  }

  const Options options_;
  const policy::PolicyRules rules_;
};

}  // namespace palyra::gateway::testing
