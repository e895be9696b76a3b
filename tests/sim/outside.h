// What is outside the daemon: a model and tools that do as the dice say, and a ledger of what
// really happened, which no crash undoes.
#pragma once

#include "plugins/gateway/ports/ports.h"
#include "tests/sim/lane.h"
#include "tests/sim/observer.h"
#include "tests/sim/scene.h"

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace palyra::sim {

// Calls are told apart by the id that the model gave them in their arguments.
struct Ledger {
  struct Record {
    int invoked = 0;
    int effects = 0;
    bool not_happened = false;  // the tool said so since the newest attempt
  };
  // What is under way: a tool call, a model turn or a summary, by the record that says so.
  struct Flight {
    int daemon = 0;
    const char* record = "";
    bool happened = false;
  };
  std::map<std::string, Record> calls;  // by id
  std::set<std::string> keys;           // idempotency keys that had their effect
  std::list<Flight> flights;
  std::set<int> replaced;  // daemons that another took over from: what they had begun may come late
  uint64_t proposed = 0;
  uint64_t proposed_at_least = 7;  // before the model may answer at once
  uint64_t effects = 0;
  bool brisk = false;    // the model answers at once and well
  int64_t overflow = 1;  // percent of prompts that it takes for too long
};

class Model final : public gateway::Providers {
 public:
  Model(Scene& scene, Lane& lane, Ledger& ledger, Observer& observer, int daemon)
      : scene_(scene), lane_(lane), ledger_(ledger), observer_(observer), daemon_(daemon) {}

  Task<gateway::ChatOutcome> chat(std::string instance, Serialised<service::ChatRequest> bytes,
                                  std::function<void(const service::ChatEvent&)> on_event,
                                  CancelToken cancel) override;
  Task<Result<service::ListModelsResponse>> models(std::string, bool) override {
    co_return service::ListModelsResponse();
  }
  std::vector<std::string> instances() const override { return {"fake"}; }

 private:
  void answer(const service::ChatRequest& request, gateway::ChatOutcome& outcome,
              const std::function<void(const service::ChatEvent&)>& on_event);

  Scene& scene_;
  Lane& lane_;
  Ledger& ledger_;
  Observer& observer_;
  const int daemon_;
};

// One tool of each effect class. The effect comes at a moment of the call that the dice choose, so
// that a daemon may go before it, or between it and the result.
class Tools final : public gateway::Tools {
 public:
  Tools(Scene& scene, Lane& lane, Ledger& ledger, const Observer& observer, int daemon);

  std::shared_ptr<const gateway::Catalogue> catalogue() const override { return catalogue_; }
  Task<Result<service::InvokeResult>> invoke(
      std::string instance, service::InvokeRequest request, int64_t deadline_ns,
      std::function<void(const service::InvokeProgress&)> on_progress, CancelToken cancel) override;
  Task<Result<service::VerifyCallResponse>> verify(std::string instance,
                                                   service::VerifyCallRequest request,
                                                   int64_t deadline_ns) override;

 private:
  void begun(const service::InvokeRequest& request, const std::string& id);
  void act(const service::InvokeRequest& request, const std::string& id);

  Scene& scene_;
  Lane& lane_;
  Ledger& ledger_;
  const Observer& observer_;
  const int daemon_;
  std::shared_ptr<const gateway::Catalogue> catalogue_;
};

// Lets the lane run others, for a while that the dice choose.
Task<void> linger(Scene& scene, Lane& lane);

}  // namespace palyra::sim
