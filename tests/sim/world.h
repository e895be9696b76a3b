// The world that the simulated gateway lives in: a model and tools that do as a seed says, and a
// ledger of what really happened outside, which no crash of the gateway undoes.
#pragma once

#include "palyra/task.hpp"
#include "palyra/testing/executor.hpp"
#include "plugins/gateway/ports/ports.h"

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace palyra::sim {

namespace common = palyra::common::v1;
namespace service = palyra::service::v1;

// One source of chance for everything, so that the seed says all.
class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}
  int64_t pick(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random_() % static_cast<uint64_t>(high - low + 1));
  }
  bool chance(int percent) { return pick(1, 100) <= percent; }

 private:
  std::mt19937_64 random_;
};

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : random_(seed) {}
  void fill(void* out, size_t size) override {
    auto* bytes = static_cast<unsigned char*>(out);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(random_());
  }

 private:
  std::mt19937_64 random_;
};

// What happened outside. Calls are told apart by the id that the model gave them in their
// arguments.
struct Ledger {
  std::map<std::string, int> effects;         // by call id
  std::map<std::string, std::string> by_key;  // idempotency key -> call id
  uint64_t proposed = 0;
};

// Lets the lane run others, for a random while.
inline Task<void> pause(Executor& executor, const Clock& clock, Dice& dice) {
  if (dice.chance(70)) {
    Slot<bool> slot;
    executor.post([slot] { slot.set(true); });
    co_await slot;
  } else {
    co_await sleep_until(executor, clock.mono_now() + dice.pick(1, 2'000) * kNanosPerMilli);
  }
}

class Model final : public gateway::Providers {
 public:
  Model(Executor& executor, const Clock& clock, Dice& dice, Ledger& ledger)
      : executor_(executor), clock_(clock), dice_(dice), ledger_(ledger) {}

  Task<gateway::ChatOutcome> chat(std::string, service::ChatRequest request,
                                  std::function<void(const service::ChatEvent&)> on_event,
                                  CancelToken cancel) override {
    gateway::ChatOutcome outcome;
    outcome.result.mutable_usage()->set_input_tokens(dice_.pick(1, 20));
    outcome.result.mutable_usage()->set_output_tokens(dice_.pick(1, 20));
    const int64_t parts = dice_.pick(0, 4);
    const bool deaf = dice_.chance(20);
    for (int64_t i = 0; i < parts; ++i) {
      co_await pause(executor_, clock_, dice_);
      if (cancel.cancelled() && !deaf) {
        outcome.status = Status(Code::kCancelled, "cancelled");
        co_return outcome;
      }
      service::ChatEvent event;
      event.set_text_delta("part " + std::to_string(dice_.pick(0, 999)) + " ");
      on_event(event);
    }
    co_await pause(executor_, clock_, dice_);
    if (dice_.chance(8)) {
      const bool transient = dice_.chance(80);
      outcome.status = Status(Code::kUnavailable, "the model is away",
                              transient ? uint32_t{PALYRA_ERROR_RETRYABLE} : 0U);
      outcome.failure.set_kind(transient ? service::FAILURE_KIND_UNAVAILABLE
                                         : service::FAILURE_KIND_BAD_REQUEST);
      co_return outcome;
    }
    outcome.result.set_finish_reason(service::FINISH_REASON_STOP);
    if (request.tools_size() > 0 && dice_.chance(55)) {
      outcome.result.set_finish_reason(service::FINISH_REASON_TOOL_CALLS);
      for (int64_t i = dice_.pick(1, 4); i > 0; --i) {
        service::ChatEvent event;
        auto& call = *event.mutable_tool_call();
        const std::string id = std::to_string(++ledger_.proposed);
        call.set_call_id("call-" + id);
        const auto index = static_cast<int>(dice_.pick(0, request.tools_size() - 1));
        call.set_name(request.tools(index).name());
        call.set_arguments_json("{\"id\":\"" + id + "\"}");
        on_event(event);
      }
    } else {
      service::ChatEvent event;
      event.set_text_delta("the answer is " + std::to_string(dice_.pick(0, 999)));
      on_event(event);
    }
    co_return outcome;
  }
  Task<Result<service::ListModelsResponse>> models(std::string, bool) override {
    co_return service::ListModelsResponse();
  }
  std::vector<std::string> instances() const override { return {"fake"}; }

 private:
  Executor& executor_;
  const Clock& clock_;
  Dice& dice_;
  Ledger& ledger_;
};

// One tool of each effect class. The effect comes at a random moment of the call, so that a crash
// may fall before it, or between it and the result.
class Tools final : public gateway::Tools {
 public:
  Tools(Executor& executor, const Clock& clock, Dice& dice, Ledger& ledger)
      : executor_(executor), clock_(clock), dice_(dice), ledger_(ledger) {
    auto catalogue = std::make_shared<gateway::Catalogue>();
    const auto add = [&](const char* name, common::EffectClass effect, bool read, bool parallel) {
      gateway::Tool tool;
      tool.instance = "sim";
      tool.info.set_name(name);
      tool.info.set_description(name);
      tool.info.set_input_schema_json(R"({"type":"object"})");
      tool.info.set_effect(effect);
      tool.info.set_access(read ? service::TOOL_ACCESS_READ : service::TOOL_ACCESS_WRITE);
      tool.info.set_parallel_safe(parallel);
      tool.info.set_timeout_ms(600'000);
      tool.info.set_provenance(common::PROVENANCE_WORKSPACE);
      catalogue->tools[name] = tool;
    };
    add("look", common::EFFECT_CLASS_NONE, true, true);
    add("set", common::EFFECT_CLASS_IDEMPOTENT, false, false);
    add("pay", common::EFFECT_CLASS_KEYED, false, true);
    add("file", common::EFFECT_CLASS_VERIFIABLE, false, true);
    add("launch", common::EFFECT_CLASS_OPAQUE, false, true);
    catalogue->digest = std::string(32, 'c');
    catalogue_ = std::move(catalogue);
  }

  std::shared_ptr<const gateway::Catalogue> catalogue() const override { return catalogue_; }

  Task<Result<service::InvokeResult>> invoke(
      std::string, service::InvokeRequest request, int64_t,
      std::function<void(const service::InvokeProgress&)> on_progress,
      CancelToken cancel) override {
    const int64_t steps = dice_.pick(1, 4);
    const int64_t effect_at = dice_.pick(1, steps);
    const bool deaf = dice_.chance(30);
    for (int64_t step = 1; step <= steps; ++step) {
      co_await pause(executor_, clock_, dice_);
      if (cancel.cancelled() && !deaf) co_return Status(Code::kCancelled, "cancelled");
      if (dice_.chance(3)) {
        co_return Status(Code::kUnavailable, "the tool's process died", PALYRA_ERROR_RETRYABLE);
      }
      if (step == effect_at) act(request);
      service::InvokeProgress progress;
      progress.set_text("step");
      on_progress(progress);
    }
    service::InvokeResult result;
    result.set_is_error(effect_at > steps);
    result.set_content("done");
    co_return result;
  }

  Task<Result<service::VerifyCallResponse>> verify(std::string, service::VerifyCallRequest request,
                                                   int64_t) override {
    co_await pause(executor_, clock_, dice_);
    service::VerifyCallResponse response;
    const bool happened = ledger_.by_key.count(request.idempotency_key()) != 0;
    response.set_outcome(happened ? service::CALL_OUTCOME_HAPPENED
                                  : service::CALL_OUTCOME_NOT_HAPPENED);
    if (happened) response.mutable_result()->set_content("done");
    co_return response;
  }

 private:
  void act(const service::InvokeRequest& request) {
    // {"id":"17"}
    const std::string& json = request.arguments_json();
    const size_t begin = json.find(":\"") + 2;
    const std::string id = json.substr(begin, json.rfind('"') - begin);
    const bool first = ledger_.by_key.emplace(request.idempotency_key(), id).second;
    if (request.name() == "pay" && !first) return;
    ++ledger_.effects[id];
  }

  Executor& executor_;
  const Clock& clock_;
  Dice& dice_;
  Ledger& ledger_;
  std::shared_ptr<const gateway::Catalogue> catalogue_;
};

}  // namespace palyra::sim
