#include "tests/sim/daemon.h"

#include "tests/sim/invariants.h"

#include <cstring>

namespace palyra::sim {

void Database::Salt::fill(void* out, size_t size) {
  std::memset(out, 0, size);
  ++next_;
  std::memcpy(out, &next_, std::min(size, sizeof next_));
}

Database::Database(Scene& scene, Observer& seen_by)
    : lane(scene.clock), observer(seen_by), scene_(scene), store(scene.clock, lane, salt_) {
  store.on_commit(
      [this](const service::CommitRequest& request, const Result<service::CommitResponse>& result) {
        const auto asked = std::move(asked_.front());
        asked_.pop_front();
        observer.saw(asked->daemon, request, result);
        if (!result.ok()) return;
        asked->durable = true;
        if (!asked->orphan) return;
        for (const auto& [stream, row] : asked->records) scene_.coverage.count(row, Point::kUntold);
      });
  store.on_step([this](journal::MemoryStore::Step step) {
    const bool here = (step == journal::MemoryStore::Step::kBeforeSync) == crash_before_;
    if (crash_in_ == 0 || !here || --crash_in_ != 0) return;
    store.crash();
    forget();
    power_gone = true;
  });
}

void Database::forget() {
  for (const auto& asked : std::exchange(asked_, {})) {
    if (!asked->orphan) continue;
    for (const auto& [stream, row] : asked->records) scene_.coverage.count(row, Point::kLost);
  }
}

void Database::crash() {
  store.crash();
  lane.drop();
  forget();
}

void Database::commit(service::CommitRequest request, std::shared_ptr<Asked> asked,
                      journal::Done<service::CommitResponse> done) {
  asked->sent = true;
  asked_.push_back(std::move(asked));
  store.commit(std::move(request), std::move(done));
}

void Database::crash_at_sync(int64_t count, bool before) {
  crash_in_ = count;
  crash_before_ = before;
}

DatabaseClient::DatabaseClient(Scene& scene, Database& database, Lane& lane, int daemon)
    : StoreJournal(database.store),
      scene_(scene),
      database_(database),
      lane_(lane),
      daemon_(daemon) {}

Task<Result<service::CommitResponse>> DatabaseClient::commit(service::CommitRequest request) {
  Slot<Result<service::CommitResponse>> told;
  if (!refusal_.ok() && scene_.clock.mono_now() < refuse_until_ns_) {
    lane_.post([told, status = refusal_] { told.set(status); });
    co_return co_await told;
  }
  auto asked = std::make_shared<Asked>();
  asked->daemon = daemon_;
  for (const auto& append : request.appends()) {
    for (const auto& record : append.records()) {
      const int row = Coverage::row(record.type());
      if (row >= 0) asked->records.emplace_back(append.stream(), row);
    }
  }
  asked_.push_back(asked);
  if (delay_ns_ == 0) {
    send(std::move(request), std::move(asked), told);
  } else {
    const auto held = std::make_shared<service::CommitRequest>(std::move(request));
    lane_.post_at(scene_.clock.mono_now() + delay_ns_,
                  [this, held, asked, told] { send(std::move(*held), asked, told); });
  }
  co_return co_await told;
}

Task<Result<service::ReadResponse>> DatabaseClient::read(service::ReadRequest request) {
  const std::string stream = request.stream();
  auto page = co_await StoreJournal::read(std::move(request));
  if (page.ok()) database_.observer.read(daemon_, stream, page->head_seq());
  Slot<bool> here;
  lane_.post([here] { here.set(true); });
  co_await here;
  co_return page;
}

void DatabaseClient::send(service::CommitRequest request, std::shared_ptr<Asked> asked,
                          Slot<Result<service::CommitResponse>> told) {
  auto done = [this, &scene = scene_, alive = alive_, asked,
               told](Result<service::CommitResponse> result) {
    if (!result.ok() && result.status().code() == Code::kInvalidArgument) {
      scene.violate(kAnswers, "the journal cannot read a commit: " + result.status().message());
    }
    if (!*alive) return;
    lane_.post([this, asked, told, result = std::move(result)] {
      asked_.remove(asked);
      if (result.ok()) {
        for (const auto& [stream, row] : asked->records) newest_[stream] = row;
      }
      told.set(result);
    });
  };
  database_.commit(std::move(request), std::move(asked), std::move(done));
}

void DatabaseClient::count_end(bool power, Point newest) {
  for (const auto& asked : asked_) {
    asked->orphan = asked->sent && !asked->durable && !power;
    if (asked->orphan) continue;  // counted when it is durable
    for (const auto& [stream, row] : asked->records) {
      scene_.coverage.count(row, asked->durable ? Point::kUntold : Point::kLost);
    }
  }
  for (const auto& [stream, row] : newest_) scene_.coverage.count(row, newest);
  asked_.clear();
  newest_.clear();
}

Daemon::Daemon(Scene& scene, Database& db, Ledger& ledger, Observer& observer, gateway::Ids& ids,
               gateway::Options options, gateway::policy::PolicyRules rules, int n)
    : number(n),
      lane(scene.clock),
      database(scene, db, lane, n),
      scene_(scene),
      ledger_(ledger),
      model_(scene, lane, ledger, observer, n),
      tools_(scene, lane, ledger, observer, n),
      gateway(std::make_unique<gateway::GatewayImpl>(
          gateway::World{scene.clock, lane, ids, database, model_, tools_}, std::move(options),
          std::move(rules))) {}

Daemon::~Daemon() {
  clients.clear();
  gateway.reset();
  lane.drop();
}

void Daemon::recover() {
  if (recovering_) return;
  recovering_ = true;
  clients.spawn(recovery());
}

void Daemon::stop() {
  gateway->begin_drain();
  clients.spawn(gateway->shutdown());
}

Task<void> Daemon::recovery() {
  const Status status = co_await gateway->recover();
  recovering_ = false;
  if (status.ok()) ready = true;
  const bool transient =
      status.code() == Code::kUnavailable || status.code() == Code::kResourceExhausted;
  if (!status.ok() && !transient) {
    scene_.violate(kAnswers, "recovery failed: " + status.to_string());
  }
}

void Daemon::count_end(bool power, Point newest) {
  for (const auto& flight : ledger_.flights) {
    if (flight.daemon != number) continue;
    const int row = Coverage::row(flight.record);
    scene_.coverage.count(row, flight.happened ? Point::kHappened : Point::kRunning);
  }
  database.count_end(power, newest);
}

}  // namespace palyra::sim
