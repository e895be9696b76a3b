#include "tests/sim/reckoning.h"

#include "plugins/common/digest/digest.h"
#include "plugins/gateway/replay/check.h"
#include "tests/sim/invariants.h"

#include <algorithm>
#include <utility>

namespace palyra::sim {
namespace {

class Reckoning {
 public:
  Reckoning(Scene& scene, Database& database, const Observer& observer, const Ledger& ledger,
            const Clients& clients)
      : scene_(scene),
        database_(database),
        observer_(observer),
        ledger_(ledger),
        clients_(clients) {}

  Outcome reckon() {
    out_.sessions = observer_.sessions().size();
    for (const auto& session_id : observer_.sessions()) verify("session/" + session_id);
    for (const auto& [run_id, run] : observer_.runs()) {
      verify("run/" + run_id);
      check_run(run_id, run);
    }
    for (const auto& message : clients_.messages()) check_message(*message);
    for (const auto& digest : observer_.tree.artifacts()) check_artifact(digest);
    out_.digest = digest::sha256(hashes_);
    return std::move(out_);
  }

 private:
  void run_all() {
    while (database_.lane.ready()) database_.lane.run_one();
  }

  // The chain verifies; its head stands for all of it.
  void verify(const std::string& stream) {
    service::VerifyRequest request;
    request.set_stream(stream);
    database_.store.verify(std::move(request), [&](Result<service::VerifyResponse> verified) {
      if (!verified.ok() || !verified->ok()) {
        scene_.violate(kGapless, "the chain of " + stream + " is broken");
      } else {
        hashes_ += verified->head_hash();
      }
    });
    run_all();
  }

  void check_artifact(const std::string& digest) {
    service::GetBlobRequest request;
    request.set_digest(digest);
    database_.store.get_blob(std::move(request), [&](Result<service::GetBlobResponse> blob) {
      if (!blob.ok()) scene_.violate(kView, "a summary that a record names is not in the store");
    });
    run_all();
  }

  void check_run(const std::string& run_id, const Observer::Run& run) {
    ++out_.runs;
    const run::State& state = run.state;
    if (!state.terminal()) scene_.violate(kEnds, "run " + run_id + " has not ended on its tape");
    if (state.phase == run::Phase::kCompleted) ++out_.completed;
    const auto report = run.replay->finish();
    if (report.verdict() != api::REPLAY_VERDICT_SAME) {
      scene_.violate(kReplay, "run " + run_id + " replays otherwise: " +
                                  gateway::replay::to_line(report.divergences(0)));
    }
    if (state.phase == run::Phase::kCancelled && !clients_.cancelled(run_id)) {
      scene_.violate(kCancelHolds, "run " + run_id + " was cancelled by nobody");
    }
    for (const run::Turn& turn : state.turns) {
      for (const run::Call& call : turn.calls) {
        check_call(run_id, call, state.phase == run::Phase::kCompleted);
      }
    }
  }

  void check_message(const Message& message) {
    const Observer::Run* run = observer_.run(message.run_id);
    const bool there =
        run != nullptr && std::count(run->inputs.begin(), run->inputs.end(), message.text) == 1;
    if (!there) scene_.violate(kAcknowledged, "the acknowledged " + message.text + " is lost");
  }

  // What the model was told of a call is what happened.
  void check_call(const std::string& run_id, const run::Call& call, bool completed) {
    const std::string id = id_of(call.call.arguments_json());
    const std::string& tool = call.call.name();
    const auto found = ledger_.calls.find(id);
    const int effects = found == ledger_.calls.end() ? 0 : found->second.effects;
    const std::string what = tool + " call " + id + " of run " + run_id;
    const char* promise = tool == "look"   ? kPromiseNone
                          : tool == "set"  ? kPromiseIdempotent
                          : tool == "pay"  ? kPromiseKeyed
                          : tool == "file" ? kPromiseVerifiable
                                           : kPromiseOpaque;
    if (call.executed) ++out_.calls;
    if (call.unknown) ++out_.unknown;
    if (!call.executed && effects > 0) {
      scene_.violate(promise, what + " was never started and had an effect");
    }
    // Of a run that was stopped before it could repeat the call: effect_interrupted is its report.
    const bool cut_off = call.interruptions > 0 && !completed;
    if (call.executed && call.phase != run::CallPhase::kDone && !cut_off) {
      scene_.violate(kReported, what + " was started and its outcome is not reported");
    }
    const bool done = call.executed && call.phase == run::CallPhase::kDone;
    if (done && !call.is_error && !call.unknown && effects == 0 && tool != "look") {
      scene_.violate(promise, what + " is reported as done and had no effect");
    }
    if (effects > 1 && tool != "set") {
      scene_.violate(promise, what + " had its effect " + std::to_string(effects) + " times");
    }
  }

  Scene& scene_;
  Database& database_;
  const Observer& observer_;
  const Ledger& ledger_;
  const Clients& clients_;
  Outcome out_;
  std::string hashes_;
};

}  // namespace

Outcome reckon(Scene& scene, Database& database, const Observer& observer, const Ledger& ledger,
               const Clients& clients) {
  return Reckoning(scene, database, observer, ledger, clients).reckon();
}

}  // namespace palyra::sim
