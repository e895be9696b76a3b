#include "tests/sim/sim.h"

#include "palyra/tape/v1/session.pb.h"
#include "plugins/common/digest/digest.h"
#include "plugins/gateway/ports/testing/fakes.h"
#include "plugins/gateway/ports/testing/store_journal.h"
#include "plugins/gateway/replay/check.h"
#include "plugins/gateway/run/evolve.h"
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/journal/memory/store.h"
#include "tests/sim/world.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

namespace palyra::sim {
namespace {

namespace api = palyra::gateway::v1;
namespace tape = palyra::tape::v1;
namespace run = palyra::gateway::run;

using gateway::AcceptedInput;
using gateway::Caller;
using gateway::GatewayImpl;

// A message of the client, and what it was told about it.
struct Message {
  std::string text;
  std::string key;
  std::string session_id;  // empty = a new one
  bool follow_up = false;
  bool acknowledged = false;
  std::string accepted_session;
  std::string run_id;
};

// A client that follows one run over all lives of the gateway.
struct Watcher {
  std::string run_id;
  uint64_t next_seq = 1;
  uint32_t turn = 0;
  uint32_t attempt = 0;
  std::string text;
  uint64_t reasoning = 0;
  bool attached = false;  // in this life
  bool ended = false;
};

class Simulation {
 public:
  Simulation(uint64_t seed, bool trace)
      : seed_(seed),
        trace_(trace),
        dice_(seed),
        executor_(clock_, seed | 1),
        random_(seed),
        store_(clock_, executor_, random_),
        journal_(store_),
        model_(executor_, clock_, dice_, ledger_),
        tools_(executor_, clock_, dice_, ledger_),
        world_{clock_, executor_, ids_, journal_, model_, tools_} {
    caller_.principal = "user:ada";
    caller_.scopes = {"runs.write", "runs.read", "approvals.decide"};
    caller_.channel = "sim";
    caller_.surface = "sim";
    options_.default_model = "fake/model";
    options_.limits.max_turns = 6;
    options_.limits.max_tool_calls = 16;
    if (dice_.chance(30)) options_.limits.max_tokens = dice_.pick(200, 20'000);
    rules_ = rules();
    crashes_left_ = dice_.pick(0, 5);
    messages_left_ = dice_.pick(1, 8);
    store_.on_step([this](journal::MemoryStore::Step) {
      if (crash_at_sync_ > 0 && --crash_at_sync_ == 0 && crashes_left_ > 0) {
        store_.crash();
        power_gone_ = true;
      }
    });
  }
  ~Simulation() { power_off(); }

  Outcome play() {
    boot();
    for (int step = 0; step < 6'000 && violation_.empty(); ++step) {
      ++outcome_.steps;
      if (power_gone_) crash("at a sync");
      if (messages_left_ == 0 && step > 600 && all_ended()) break;
      act();
    }
    crashes_left_ = 0;
    if (power_gone_) crash("at a sync");
    drain();
    if (violation_.empty()) check();
    outcome_.violation = violation_;
    outcome_.effects = ledger_.by_key.size();
    return outcome_;
  }

 private:
  gateway::policy::PolicyRules rules() {
    gateway::policy::PolicyRules rules;
    for (const char* tool : {"set", "pay", "file", "launch"}) {
      if (!dice_.chance(50)) continue;
      gateway::policy::Rule rule;
      rule.name = tool;
      rule.tools = {tool};
      rule.verdict = tape::VERDICT_ALLOW;
      rules.rules.push_back(rule);
    }
    return rules;
  }

  void violate(const std::string& what) {
    if (violation_.empty()) violation_ = what;
  }
  void say(const std::string& what) const {
    if (trace_) {
      std::printf("%6llu %s\n", static_cast<unsigned long long>(outcome_.steps), what.c_str());
    }
  }

  // ---- lives

  void boot() {
    ready_ = false;
    gateway_ = std::make_unique<GatewayImpl>(world_, options_, rules_);
    clients_.spawn(recover());
  }
  Task<void> recover() {
    const Status status = co_await gateway_->recover();
    if (!status.ok()) violate("recovery failed: " + status.to_string());
    ready_ = true;
  }
  void power_off() {
    store_.crash();
    clients_.clear();
    gateway_.reset();
    executor_.drop();
    for (auto& watcher : watchers_) watcher->attached = false;
  }
  void crash(const char* where) {
    power_gone_ = false;
    crash_at_sync_ = 0;
    --crashes_left_;
    ++outcome_.crashes;
    say(std::string("the power goes ") + where);
    power_off();
    clock_.advance(dice_.pick(0, 3'600) * kNanosPerSecond);
    boot();
  }

  // ---- what may happen in a step

  void act() {
    const int64_t what = dice_.pick(1, 1'000);
    if (what <= 6 && crashes_left_ > 0) return crash("between two steps");
    if (what <= 10 && crash_at_sync_ == 0) {
      crash_at_sync_ = dice_.pick(1, 6);
      return;
    }
    if (ready_) {
      if (what <= 25 && messages_left_ > 0) return send();
      if (what <= 30 && !sent_.empty()) return send_again();
      if (what <= 34) return cancel_one();
      if (what <= 70) return watch_one();
      if (what <= 100) {
        clients_.spawn(approve_one(false));
        return;
      }
    }
    if (executor_.run_one()) return;
    const int64_t next = executor_.next_timer();
    if (next != INT64_MAX) clock_.advance(std::max<int64_t>(next - clock_.mono_now(), 0));
  }

  void send() {
    --messages_left_;
    auto message = std::make_shared<Message>();
    message->text = "message " + std::to_string(sent_.size());
    message->key = "key " + std::to_string(sent_.size());
    if (!sent_.empty() && dice_.chance(70)) {
      const auto& before = any(sent_);
      if (before->acknowledged) message->session_id = before->accepted_session;
    }
    message->follow_up = !message->session_id.empty() && dice_.chance(50);
    sent_.push_back(message);
    clients_.spawn(deliver(message));
  }
  // A client that does not know whether it was heard, or is just nervous.
  void send_again() { clients_.spawn(deliver(any(sent_))); }

  Task<void> deliver(std::shared_ptr<Message> message) {
    Result<AcceptedInput> accepted = Status(Code::kInternal, "not sent");
    if (message->follow_up) {
      api::FollowUp request;
      request.set_text(message->text);
      request.set_idempotency_key(message->key);
      accepted = co_await gateway_->follow_up(caller_, message->session_id, std::move(request));
    } else {
      api::RunStart request;
      request.set_text(message->text);
      request.set_idempotency_key(message->key);
      request.set_session_id(message->session_id);
      accepted = co_await gateway_->start_run(caller_, std::move(request));
    }
    if (!accepted.ok()) {
      say("refused: " + accepted.status().to_string());
      const Code code = accepted.status().code();
      if (code != Code::kResourceExhausted && code != Code::kUnavailable) {
        violate("a good message was refused: " + accepted.status().to_string());
      }
      co_return;
    }
    say("accepted " + message->text + " as run " + accepted->run_id +
        (accepted->duplicate ? " (again)" : ""));
    if (message->acknowledged && message->run_id != accepted->run_id) {
      violate("the key of " + message->text + " was answered with two runs");
    }
    message->acknowledged = true;
    message->accepted_session = accepted->session_id;
    message->run_id = accepted->run_id;
    if (watcher_of(accepted->run_id) == nullptr) {
      auto watcher = std::make_shared<Watcher>();
      watcher->run_id = accepted->run_id;
      watchers_.push_back(watcher);
    }
  }

  void cancel_one() {
    if (watchers_.empty() || !dice_.chance(30)) return;
    clients_.spawn(cancel(any(watchers_)->run_id));
  }
  Task<void> cancel(std::string run_id) {
    say("cancel " + run_id);
    cancelled_.insert(run_id);
    api::CancelRunRequest request;
    request.set_run_id(run_id);
    auto response = co_await gateway_->cancel_run(caller_, std::move(request));
    if (!response.ok()) violate("cancel failed: " + response.status().to_string());
  }

  Task<void> approve_one(bool all) {
    auto listed = co_await gateway_->list_approvals(caller_, api::ListApprovalsRequest());
    if (!listed.ok() || listed->approvals().empty()) co_return;
    const auto count = static_cast<int64_t>(listed->approvals_size());
    for (int i = all ? 0 : static_cast<int>(dice_.pick(0, count - 1)); i < count; ++i) {
      api::ApprovalDecision decision;
      decision.set_approval_id(listed->approvals(i).request().approval_id());
      decision.set_verdict(dice_.chance(80) ? tape::APPROVAL_VERDICT_ALLOW
                                            : tape::APPROVAL_VERDICT_DENY);
      decision.set_scope(dice_.chance(20) ? tape::APPROVAL_SCOPE_SESSION
                                          : tape::APPROVAL_SCOPE_ONCE);
      say("decide approval " + decision.approval_id());
      // It may have been decided, or its run have ended, in the meantime.
      const auto decided = co_await gateway_->decide_approval(caller_, std::move(decision));
      say(decided.ok() ? "decided" : decided.status().to_string());
      if (!all) co_return;
    }
  }

  // ---- watchers

  std::shared_ptr<Watcher> watcher_of(const std::string& run_id) const {
    for (const auto& watcher : watchers_) {
      if (watcher->run_id == run_id) return watcher;
    }
    return nullptr;
  }
  void watch_one() {
    if (watchers_.empty()) return;
    auto watcher = any(watchers_);
    if (!watcher->attached && !watcher->ended) clients_.spawn(watch(watcher));
  }
  Task<void> watch(std::shared_ptr<Watcher> watcher) {
    watcher->attached = true;
    api::RunAttach request;
    request.set_run_id(watcher->run_id);
    request.set_from_seq(watcher->next_seq);
    request.set_turn(watcher->turn);
    request.set_attempt(watcher->attempt);
    request.set_offset(watcher->text.size());
    request.set_reasoning_offset(watcher->reasoning);
    auto subscription = co_await gateway_->attach(caller_, std::move(request));
    if (!subscription.ok()) {
      violate("attach failed: " + subscription.status().to_string());
      co_return;
    }
    for (;;) {
      auto event = co_await (*subscription)->next();
      if (!event) break;
      see(*watcher, *event);
      if (dice_.chance(20)) co_await pause(executor_, clock_, dice_);  // a slow reader
    }
    if (!watcher->ended) violate("the stream of run " + watcher->run_id + " ended before the run");
  }
  void see(Watcher& watcher, const api::RunStreamEvent& event) {
    const std::string of = " of run " + watcher.run_id;
    if (event.seq() != 0 && event.seq() != watcher.next_seq++) {
      violate("gap or duplicate in the stream" + of);
    }
    if (event.has_turn_restarted()) {
      watcher.turn = event.turn_restarted().turn();
      watcher.attempt = event.turn_restarted().attempt();
      watcher.text.clear();
      watcher.reasoning = 0;
    } else if (event.has_model_delta()) {
      const auto& delta = event.model_delta();
      if (delta.turn() != watcher.turn || delta.attempt() != watcher.attempt) {
        watcher.turn = delta.turn();
        watcher.attempt = delta.attempt();
        watcher.text.clear();
        watcher.reasoning = 0;
      }
      if (delta.offset() != watcher.text.size()) violate("text lost or repeated" + of);
      watcher.text += delta.text();
    } else if (event.has_status() && event.seq() != 0) {
      const auto state = event.status().state();
      if (state == api::RUN_STATE_COMPLETED && event.status().text() != watcher.text) {
        violate("what was streamed is not the answer" + of + ": \"" + watcher.text + "\" and \"" +
                event.status().text() + "\"");
      }
      watcher.ended = state == api::RUN_STATE_COMPLETED || state == api::RUN_STATE_CANCELLED ||
                      state == api::RUN_STATE_FAILED;
    }
  }

  // ---- the end

  bool all_ended() const {
    return std::all_of(watchers_.begin(), watchers_.end(),
                       [](const auto& watcher) { return watcher->ended; });
  }
  // No more crashes: everything must come to its end by itself, questions by their timeout at the
  // latest.
  void drain() {
    for (int round = 0; round < 3'000 && violation_.empty(); ++round) {
      executor_.run_until_idle();
      if (ready_) {
        for (const auto& message : sent_) {
          if (!message->acknowledged && round % 10 == 0) clients_.spawn(deliver(message));
        }
        for (const auto& watcher : watchers_) {
          if (!watcher->attached && !watcher->ended) clients_.spawn(watch(watcher));
        }
        if (seed_ % 3 != 0) clients_.spawn(approve_one(true));
      }
      executor_.run_until_idle();
      if (ready_ && all_ended() && all_acknowledged()) return;
      const int64_t next = executor_.next_timer();
      if (next == INT64_MAX && ready_ && !all_ended() && round > 20) break;
      clock_.advance(next == INT64_MAX ? kNanosPerSecond
                                       : std::max<int64_t>(next - clock_.mono_now(), 0));
    }
    for (const auto& watcher : watchers_) {
      if (!watcher->ended) violate("run " + watcher->run_id + " never ends");
    }
    if (!all_acknowledged()) violate("a message is never accepted");
  }
  bool all_acknowledged() const {
    return std::all_of(sent_.begin(), sent_.end(),
                       [](const auto& message) { return message->acknowledged; });
  }

  std::vector<service::Record> read(const std::string& stream) {
    std::vector<service::Record> records;
    for (;;) {
      service::ReadRequest request;
      request.set_stream(stream);
      request.set_from_seq(records.size() + 1);
      const size_t before = records.size();
      store_.read(std::move(request), [&](Result<service::ReadResponse> page) {
        if (!page.ok()) return violate("cannot read " + stream + ": " + page.status().to_string());
        for (const auto& record : page->records()) records.push_back(record);
      });
      executor_.run_until_idle();
      if (records.size() == before) break;
    }
    for (size_t i = 0; i < records.size(); ++i) {
      if (records[i].seq() != i + 1) violate(stream + " has a gap at " + std::to_string(i + 1));
    }
    service::VerifyRequest request;
    request.set_stream(stream);
    store_.verify(std::move(request), [&](Result<service::VerifyResponse> verified) {
      if (!verified.ok() || !verified->ok()) violate("the chain of " + stream + " is broken");
    });
    executor_.run_until_idle();
    return records;
  }

  struct Span {
    uint64_t begin = 0;
    uint64_t end = 0;
    std::string run_id;
  };

  void check() {
    std::map<std::string, std::vector<Span>> active;
    std::set<std::string> sessions;
    std::string hashes;
    for (const auto& message : sent_) sessions.insert(message->accepted_session);
    std::map<std::string, int> keys;
    std::map<std::string, std::string> text_of_run;
    for (const std::string& session : sessions) {
      for (const auto& record : read("session/" + session)) {
        hashes += record.hash();
        tape::SessionEvent event;
        event.ParseFromString(record.payload());
        if (!event.has_input_accepted()) continue;
        const auto& input = event.input_accepted();
        text_of_run[input.run_id()] = input.text();
        if (++keys[input.idempotency_key()] > 1) {
          violate(input.idempotency_key() + " was accepted twice");
        }
      }
    }
    for (const auto& message : sent_) {
      if (text_of_run[message->run_id] != message->text) {
        violate("the acknowledged " + message->text + " is lost");
      }
    }
    for (const auto& [run_id, text] : text_of_run) {
      const auto records = read("run/" + run_id);
      if (records.empty()) violate("run " + run_id + " has no tape");
      Span span;
      span.run_id = run_id;
      run::State state;
      gateway::replay::Checker replay(
          [](std::string_view, std::string_view) { return std::string(); });
      for (const auto& record : records) {
        hashes += record.hash();
        tape::RunEvent event;
        event.ParseFromString(record.payload());
        run::evolve(state, event, record.wall_time_ns(), record.seq());
        replay.add(record.seq(), record.wall_time_ns(), event);
        if (event.has_run_started()) span.begin = record.position();
        span.end = record.position();
        check_budget(state);
      }
      ++outcome_.runs;
      if (!state.terminal()) violate("run " + run_id + " has not ended on its tape");
      if (!state.corrupt.empty()) violate(state.corrupt);
      const auto report = replay.finish();
      if (report.verdict() != api::REPLAY_VERDICT_SAME) {
        violate("run " + run_id +
                " replays otherwise: " + gateway::replay::to_line(report.divergences(0)));
      }
      if (state.created.input_text() != text) violate("run " + run_id + " has another input");
      if (state.phase == run::Phase::kCompleted) ++outcome_.completed;
      if (state.phase == run::Phase::kCancelled && cancelled_.count(run_id) == 0) {
        violate("run " + run_id + " was cancelled by nobody");
      }
      check_calls(state);
      if (span.begin != 0) active[state.created.session_id()].push_back(span);
    }
    for (auto& [session, spans] : active) {
      std::sort(spans.begin(), spans.end(),
                [](const Span& a, const Span& b) { return a.begin < b.begin; });
      for (size_t i = 1; i < spans.size(); ++i) {
        if (spans[i].begin < spans[i - 1].end) {
          violate("session " + session + " had two active runs: " + spans[i - 1].run_id + " and " +
                  spans[i].run_id);
        }
      }
    }
    outcome_.digest = digest::sha256(hashes);
  }

  void check_budget(const run::State& state) {
    const int64_t limit = state.limits().max_tokens();
    if (limit > 0 && !state.overrun && state.settled_tokens + state.reserved_tokens > limit) {
      violate("run " + state.run_id() + " exceeded its budget");
    }
  }

  void check_calls(const run::State& state) {
    for (const run::Turn& turn : state.turns) {
      for (const run::Call& call : turn.calls) {
        const std::string& json = call.call.arguments_json();
        const size_t begin = json.find(":\"") + 2;
        const std::string id = json.substr(begin, json.rfind('"') - begin);
        const int effects = ledger_.effects.count(id) != 0 ? ledger_.effects[id] : 0;
        const std::string what = call.call.name() + " call " + id + " of run " + state.run_id();
        const bool at_most_once =
            call.call.name() == "launch" || call.call.name() == "file" || call.call.name() == "pay";
        if (at_most_once && effects > 1) {
          violate(what + " had its effect " + std::to_string(effects) + " times");
        }
        if (!call.executed && effects > 0) violate(what + " was never started and had an effect");
        if (call.executed && !call.is_error && !call.unknown &&
            call.phase == run::CallPhase::kDone && effects == 0) {
          violate(what + " is reported as done and had no effect");
        }
        if (call.unknown) ++outcome_.unknown;
      }
    }
  }

  template <typename T>
  T& any(std::vector<T>& from) {
    return from[static_cast<size_t>(dice_.pick(0, static_cast<int64_t>(from.size()) - 1))];
  }

  const uint64_t seed_;
  const bool trace_;
  Dice dice_;
  testing::ManualClock clock_;
  testing::DeterministicExecutor executor_;
  SeededRandom random_;
  journal::MemoryStore store_;
  gateway::testing::StoreJournal journal_;
  gateway::testing::FakeIds ids_;
  Ledger ledger_;
  Model model_;
  Tools tools_;
  gateway::World world_;
  gateway::Options options_;
  gateway::policy::PolicyRules rules_;
  Caller caller_;

  std::unique_ptr<GatewayImpl> gateway_;
  TaskScope clients_;
  bool ready_ = false;
  bool power_gone_ = false;
  int64_t crash_at_sync_ = 0;
  int64_t crashes_left_ = 0;
  int64_t messages_left_ = 0;
  std::vector<std::shared_ptr<Message>> sent_;
  std::vector<std::shared_ptr<Watcher>> watchers_;
  std::set<std::string> cancelled_;
  std::string violation_;
  Outcome outcome_;
};

}  // namespace

Outcome simulate(uint64_t seed, bool trace) { return Simulation(seed, trace).play(); }

}  // namespace palyra::sim
