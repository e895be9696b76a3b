// One conversation and what may be done to its history, for stories.
#pragma once

#include "plugins/gateway/session/testing.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

namespace palyra::gateway::testing {

inline std::string text_of(const service::ChatRequest& request) {
  std::string out;
  for (const auto& message : request.messages()) out += message.text() + "|";
  return out;
}

inline bool asks_for_summary(const service::ChatRequest& request) {
  return request.messages(request.messages_size() - 1).text().find("Write the summary now.") !=
         std::string::npos;
}

inline Options small_window(int64_t tokens) {
  Options options = test_options();
  options.context_window = tokens;
  options.limits.max_output_tokens = tokens / 10;
  return options;
}

// A house with one conversation. The model echoes; a summary is "SUMMARY <n>".
struct Talk {
  explicit Talk(Options options = test_options(), uint64_t seed = 0, policy::PolicyRules rules = {})
      : house(seed, std::move(options), std::move(rules)) {
    house.providers.rule = [this](const service::ChatRequest& request) -> std::optional<Say> {
      if (!asks_for_summary(request)) return std::nullopt;
      summarised.push_back(request);
      Say turn;
      if (!summary_failure.ok()) {
        turn.failure = summary_failure;
      } else {
        turn.text = {"SUMMARY " + std::to_string(summarised.size())};
      }
      return turn;
    };
  }

  // Says it; the run has ended then. Its id.
  std::string say(const std::string& text, const std::string& in = "") {
    const auto accepted = house.send(text, in.empty() ? session : in);
    EXPECT_TRUE(accepted.ok()) << accepted.status().to_string();
    house.executor.run_until_idle();
    if (!accepted.ok()) return "";
    if (session.empty()) session = accepted->session_id;
    return accepted->run_id;
  }
  void say_all(int count, size_t bytes = 0, int first = 1) {
    for (int i = first; i < first + count; ++i) {
      say("say" + std::to_string(i) + "." + std::string(bytes, 'x'));
    }
  }
  // So many turns that get no summary, and a few more, until the next one is to ask for it again.
  // How many it were.
  int say_all_in_vain(int count, size_t bytes) {
    summary_failure = Status(Code::kUnavailable, "away");
    int said = 0;
    for (int since = 0; said < count || since < 4;) {
      const size_t asked = summarised.size();
      say_all(1, bytes, ++said);
      since = summarised.size() > asked ? 0 : since + 1;
    }
    summary_failure = {};
    return said;
  }
  // What the model was shown last.
  std::string seen() const {
    for (auto request = house.providers.requests.rbegin();
         request != house.providers.requests.rend(); ++request) {
      if (!asks_for_summary(*request)) return text_of(*request);
    }
    return "";
  }
  Result<api::Session> branch(const std::string& turn = "", const std::string& key = "",
                              const std::string& of = "") {
    api::BranchSessionRequest request;
    request.set_session_id(of.empty() ? session : of);
    request.set_turn_id(turn);
    request.set_idempotency_key(key);
    return house.run(house.gateway->branch_session(House::caller(), request));
  }
  Result<api::Session> back(uint32_t turns, const std::string& reason = "undo") {
    api::RewindSessionRequest request;
    request.set_session_id(session);
    request.set_back(turns);
    request.set_reason(reason);
    return house.run(house.gateway->rewind_session(House::caller(), request));
  }
  Result<api::Session> redo() {
    api::RewindSessionRequest request;
    request.set_session_id(session);
    request.set_redo(true);
    return house.run(house.gateway->rewind_session(House::caller(), request));
  }
  Result<api::Session> rewind_to(const std::string& turn) {
    api::RewindSessionRequest request;
    request.set_session_id(session);
    request.set_turn_id(turn);
    return house.run(house.gateway->rewind_session(House::caller(), request));
  }
  std::vector<api::TurnInfo> turns(bool all = false, const std::string& of = "",
                                   uint32_t page = 3) {
    std::vector<api::TurnInfo> out;
    api::ListTurnsRequest request;
    request.set_session_id(of.empty() ? session : of);
    request.set_all(all);
    request.set_page_size(page);
    do {
      auto answer = house.run(house.gateway->list_turns(House::caller(), request));
      EXPECT_TRUE(answer.ok()) << answer.status().to_string();
      if (!answer.ok()) return out;
      for (auto& turn : *answer->mutable_turns()) out.push_back(std::move(turn));
      request.set_page_token(answer->next_page_token());
    } while (!request.page_token().empty());
    return out;
  }
  Result<tape::FactPinned> pin(const std::string& text) {
    api::PinFactRequest request;
    request.set_session_id(session);
    request.set_text(text);
    return house.run(house.gateway->pin_fact(House::caller(), request));
  }
  // The answer of the run that compacts.
  std::string compact(const std::string& model = "") {
    api::CompactSessionRequest request;
    request.set_session_id(session);
    request.set_model(model);
    const auto started = house.run(house.gateway->compact_session(House::caller(), request));
    EXPECT_TRUE(started.ok()) << started.status().to_string();
    house.executor.run_until_idle();
    const auto run = house.run_of(started->run_id());
    return run.state() == api::RUN_STATE_COMPLETED ? run.text() : run.failure().message();
  }
  void expand() {
    api::ExpandSessionRequest request;
    request.set_session_id(session);
    EXPECT_TRUE(house.run(house.gateway->expand_session(House::caller(), request)).ok());
  }
  api::ExplainRunResponse explain(const std::string& run, bool full = true) {
    api::ExplainRunRequest request;
    request.set_run_id(run);
    request.set_full(full);
    auto answer = house.run(house.gateway->explain_run(House::caller(), request));
    EXPECT_TRUE(answer.ok()) << answer.status().to_string();
    return answer.ok() ? answer.value() : api::ExplainRunResponse();
  }

  std::string session;
  std::vector<service::ChatRequest> summarised;
  Status summary_failure;
  House house;
};

}  // namespace palyra::gateway::testing
