// The story: steps that the dice choose, then calm, then the reckoning.
#include "palyra/tape/v1/session.pb.h"
#include "plugins/common/digest/digest.h"
#include "tests/sim/faults.h"
#include "tests/sim/invariants.h"
#include "tests/sim/reckoning.h"
#include "tests/sim/sim.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace palyra::sim {
namespace {

constexpr uint64_t kSessionsAtLeast = 2;
constexpr uint64_t kRunsAtLeast = 3;
constexpr uint64_t kCallsAtLeast = 5;
constexpr uint64_t kFaultsAtLeast = 1;

class History {
 public:
  History(Dice dice, bool trace, bool enough)
      : enough_(enough),
        scene_(std::move(dice)),
        observer_(scene_),
        database_(scene_, observer_),
        clients_(scene_, observer_) {
    scene_.trace = trace;
    options_.default_model = "fake/model";
    options_.limits.max_turns = 6;
    options_.limits.max_tool_calls = 16;
    Dice& d = scene_.dice;
    if (d.chance(20)) options_.limits.max_tokens = d.pick(200, 20'000);
    if (d.chance(20)) options_.limits.max_running_ms = d.pick(5'000, 60'000);
    for (const char* tool : {"set", "pay", "file", "launch"}) {
      if (d.chance(40)) continue;  // asks
      gateway::policy::Rule rule;
      rule.name = tool;
      rule.tools = {tool};
      rule.verdict = tape::VERDICT_ALLOW;
      rules_.rules.push_back(rule);
    }
    messages_left_ = d.pick(3, 6);
    // In some histories a conversation has been going on, so that there is something to compact.
    if (d.chance(30)) {
      long_talk_ = d.pick(7, 9);
      ledger_.overflow = 6;
      if (options_.limits.max_tokens > 0) options_.limits.max_tokens = d.pick(6'000, 20'000);
      if (d.chance(50)) {
        options_.context_window = 4'000;
        options_.limits.max_output_tokens = 300;
      }
    }
    faults_left_ = d.pick(1, 4);
    faults_ = std::make_unique<Faults>(scene_, database_, clients_,
                                       [this](const std::string& owner) { return boot(owner); });
  }

  Outcome play() {
    talk_long();
    const int64_t longest = scene_.dice.pick(300, 700);
    for (int64_t step = 0; step < longest && !scene_.broken(); ++step) {
      ++scene_.steps;
      act();
      faults_->settle();
    }
    calm();
    epilogue();
    // Each may come to nothing: the model fails, or nobody allows its calls.
    for (int round = 0; round < 40 && enough_ && !scene_.broken() && add_what_lacks(); ++round) {
      calm();
    }
    read_back();
    Outcome out;
    if (!scene_.broken()) out = reckon(scene_, database_, observer_, ledger_, clients_);
    if (!scene_.broken() && enough_) check_enough(out);
    out.violation = scene_.violation;
    out.steps = scene_.steps;
    out.faults = faults_->count;
    out.takeovers = faults_->takeovers;
    out.effects = ledger_.effects;
    out.coverage = scene_.coverage;
    out.choices = scene_.dice.choices();
    return out;
  }

 private:
  std::unique_ptr<Daemon> boot(const std::string& owner) {
    gateway::Options options = options_;
    options.lease_owner = owner;
    return std::make_unique<Daemon>(scene_, database_, ledger_, observer_, ids_, options, rules_,
                                    ++daemons_);
  }

  // A conversation in which nothing goes wrong.
  void talk_long() {
    ledger_.brisk = true;
    for (; long_talk_ > 0 && !scene_.broken(); --long_talk_) {
      while (!faults_->serving().ready && run_one()) ++scene_.steps;
      clients_.go_on(faults_->serving(), options_.context_window < 10'000 ? 1'200 : 0);
      do {
        run_until_quiet();
      } while (!(clients_.all_acknowledged() && all_over()) && run_one());
    }
    ledger_.brisk = false;
  }

  // Lets a lane go on, or time pass. False if nothing is left to wait for.
  bool run_one() {
    Lane* ready[3];
    int64_t count = 0;
    Daemon* late = faults_->asleep_or_late();
    for (Lane* lane : {&faults_->serving().lane, &database_.lane, late ? &late->lane : nullptr}) {
      if (lane != nullptr && lane->ready()) ready[count++] = lane;
    }
    if (count > 0) {
      ready[count == 1 ? 0 : scene_.dice.pick(0, count - 1)]->run_one();
      return true;
    }
    int64_t next = std::min(faults_->serving().lane.next_timer(), database_.lane.next_timer());
    if (late != nullptr) next = std::min(next, late->lane.next_timer());
    if (next == INT64_MAX) return false;
    scene_.clock.advance(std::max<int64_t>(next - scene_.clock.mono_now(), 0));
    return true;
  }

  void act() {
    const int64_t what = scene_.dice.pick(0, 999);
    Daemon& daemon = faults_->serving();
    if (what >= 1'000 - 10 * faults_left_) {
      if (faults_->happen()) --faults_left_;
      return;
    }
    if (daemon.ready && what >= 800) {
      if (what < 840 && messages_left_ > 0) {
        --messages_left_;
        return clients_.send(daemon);
      }
      if (what < 845) return clients_.send_again(daemon);
      if (what < 849) return clients_.cancel_one(daemon);
      if (what < 880) return clients_.watch_one(daemon);
      if (what < 886) return clients_.leave_one(daemon);
      if (what < 920) return clients_.approve_one(daemon);
      if (what < 924) return clients_.change_session(daemon);
      if (what < 926) return daemon.recover();
      if (what < 940) return clients_.tidy_one(daemon);
    }
    run_one();
  }

  // No more faults: everything must come to its end by itself, questions by their timeout at the
  // latest.
  void calm() {
    const bool approve = !scene_.dice.chance(30);
    // A power cut that was still to come would be noticed only when all is quiet.
    faults_->calm();
    for (int round = 0; round < 4'000 && !scene_.broken(); ++round) {
      run_until_quiet();
      const bool alone = faults_->calm();
      // Two daemons that contended for a session may both have let go of it; a restart ends that,
      // whenever nothing has gone on for long.
      if (clients_.contended && alone && round % 300 == 299) faults_->kill();
      Daemon& daemon = faults_->serving();
      if (!daemon.ready || (clients_.contended && round % 8 == 0)) daemon.recover();
      if (daemon.ready) clients_.finish(daemon, approve, round % 8 == 0);
      run_until_quiet();
      if (daemon.ready && alone && clients_.all_ended() && clients_.all_acknowledged() &&
          all_over()) {
        return;
      }
      // A lease of a daemon that is gone may last for a day if the clock was set back.
      if (!run_one()) scene_.clock.advance((round < 100 ? 20 : 1'800) * kNanosPerSecond);
    }
    if (scene_.broken()) return;
    if (!clients_.all_acknowledged()) scene_.violate(kEnds, "a message is never accepted");
    for (const auto& [run_id, run] : observer_.runs()) {
      if (!run.state.terminal()) scene_.violate(kEnds, "run " + run_id + " never ends");
    }
    scene_.violate(kEnds, "a watcher waits for ever");
  }
  // People tidy up, and the daemon goes while they do.
  void epilogue() {
    for (int64_t left = scene_.dice.pick(0, 2); left > 0 && !scene_.broken(); --left) {
      for (int i = 0; i < 50 && !faults_->serving().ready && run_one();) ++i;
      Daemon& daemon = faults_->serving();
      if (daemon.ready) {
        if (scene_.dice.chance(60)) {
          clients_.tidy_one(daemon);
        } else {
          clients_.change_session(daemon);
        }
      }
      for (int64_t step = scene_.dice.pick(0, 6); step > 0 && any_ready(); --step) run_one();
      faults_->kill_or_cut_power();
      calm();
    }
  }
  // A daemon that was not alone may show a session as it was when it last had it.
  void read_back() {
    if (scene_.broken() || !scene_.dice.chance(30)) return;
    if (clients_.contended) {
      faults_->kill();
      calm();
    }
    if (scene_.broken() || !faults_->serving().ready) return;
    clients_.read_back(faults_->serving());
    run_until_quiet();
  }
  void run_until_quiet() {
    for (int i = 0; i < 100'000 && !scene_.broken() && any_ready(); ++i) {
      ++scene_.steps;
      run_one();
    }
  }
  bool any_ready() {
    Daemon* late = faults_->asleep_or_late();
    return faults_->serving().lane.ready() || database_.lane.ready() ||
           (late != nullptr && late->lane.ready());
  }
  bool all_over() const {
    return std::all_of(observer_.runs().begin(), observer_.runs().end(),
                       [](const auto& run) { return run.second.state.terminal(); });
  }

  // True if the history needs more to be one.
  bool add_what_lacks() {
    const bool fresh = observer_.sessions().size() < kSessionsAtLeast;
    const bool lacks =
        fresh || observer_.runs().size() < kRunsAtLeast || observer_.calls() < kCallsAtLeast;
    if (faults_->count < kFaultsAtLeast) {
      faults_->kill();
      if (!lacks) return true;
    }
    if (!lacks) return false;
    if (observer_.calls() < kCallsAtLeast) ledger_.proposed_at_least = ledger_.proposed + 4;
    Daemon& daemon = faults_->serving();
    for (int i = 0; i < 1'000 && !daemon.ready && run_one();) ++i;
    if (daemon.ready) clients_.send(daemon, true);
    return true;
  }
  void check_enough(const Outcome& out) {
    if (out.sessions < kSessionsAtLeast || out.runs < kRunsAtLeast || out.calls < kCallsAtLeast ||
        faults_->count < kFaultsAtLeast) {
      scene_.violate(kEnough, std::to_string(out.sessions) + " sessions, " +
                                  std::to_string(out.runs) + " runs, " + std::to_string(out.calls) +
                                  " calls, " + std::to_string(faults_->count) + " faults");
    }
  }

  const bool enough_;
  Scene scene_;
  Observer observer_;
  Database database_;
  Ledger ledger_;
  Clients clients_;
  gateway::testing::FakeIds ids_;
  gateway::Options options_;
  gateway::policy::PolicyRules rules_;
  std::unique_ptr<Faults> faults_;
  int daemons_ = 0;
  int64_t messages_left_ = 0;
  int64_t faults_left_ = 0;
  int64_t long_talk_ = 0;  // messages
};

}  // namespace

Outcome simulate(Dice dice, bool trace, bool enough) {
  return History(std::move(dice), trace, enough).play();
}

}  // namespace palyra::sim
