// Daemon: one life of the gateway, with the lane it runs on and its connection to the database.
#pragma once

#include "plugins/gateway/ports/testing/fakes.h"
#include "plugins/gateway/ports/testing/store_journal.h"
#include "plugins/gateway/session/gateway_impl.h"
#include "plugins/journal/memory/store.h"
#include "tests/sim/lane.h"
#include "tests/sim/outside.h"

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace palyra::sim {

// One commit on its way: the streams and rows of its records.
struct Asked {
  int daemon = 0;
  std::vector<std::pair<std::string, int>> records;
  bool sent = false;  // the database has it
  bool durable = false;
  bool orphan = false;  // its daemon is gone
};

// The database: one store behind all daemons, on a lane of its own, and who asked for what.
class Database {
 public:
  Database(Scene& scene, Observer& seen_by);

  // The power goes: what is not durable is gone.
  void crash();
  // The power goes at the `count`-th sync from now.
  void crash_at_sync(int64_t count, bool before);
  bool power_gone = false;
  bool armed() const { return crash_in_ > 0; }
  void disarm() { crash_in_ = 0; }
  void commit(service::CommitRequest request, std::shared_ptr<Asked> asked,
              journal::Done<service::CommitResponse> done);

  Lane lane;
  Observer& observer;

 private:
  class Salt final : public Random {
   public:
    void fill(void* out, size_t size) override;

   private:
    uint64_t next_ = 1;
  };
  void forget();

  Scene& scene_;
  Salt salt_;
  std::deque<std::shared_ptr<Asked>> asked_;  // not carried out, in order
  int64_t crash_in_ = 0;
  bool crash_before_ = true;

 public:
  journal::MemoryStore store;
};

// What a daemon sees of the database: answers come to its own lane, commits may be refused or slow,
// and what it has not been told dies with it.
class DatabaseClient final : public gateway::testing::StoreJournal {
 public:
  DatabaseClient(Scene& scene, Database& database, Lane& lane, int daemon);
  ~DatabaseClient() override { *alive_ = false; }

  // Commits fail with `status` until `until_ns`; nothing of them is written.
  void refuse(Status status, int64_t until_ns) {
    refusal_ = std::move(status);
    refuse_until_ns_ = until_ns;
  }
  // Commits take this long before the database hears of them.
  void slow_down(int64_t ns) { delay_ns_ = ns; }
  // Counts where each record of this daemon is, as the daemon goes.
  void count_end(bool power, Point newest);

  Task<Result<service::CommitResponse>> commit(service::CommitRequest request) override;
  Task<Result<service::ReadResponse>> read(service::ReadRequest request) override;
  Task<Result<service::GetResponse>> get(service::GetRequest request) override {
    return home(StoreJournal::get(std::move(request)));
  }
  Task<Result<service::QueryResponse>> query(service::QueryRequest request) override {
    return home(StoreJournal::query(std::move(request)));
  }
  Task<Status> declare(service::DeclareRequest request) override {
    return home(StoreJournal::declare(std::move(request)));
  }
  Task<Result<std::string>> put_blob(std::string data) override {
    database_.observer.tree.blob(data);
    return home(StoreJournal::put_blob(std::move(data)));
  }
  Task<Result<std::string>> get_blob(std::string digest) override {
    return home(StoreJournal::get_blob(std::move(digest)));
  }

 private:
  // The answer comes on the database's lane and goes on here.
  template <typename T>
  Task<T> home(Task<T> task) {
    T answer = co_await std::move(task);
    Slot<bool> here;
    lane_.post([here] { here.set(true); });
    co_await here;
    co_return answer;
  }
  void send(service::CommitRequest request, std::shared_ptr<Asked> asked,
            Slot<Result<service::CommitResponse>> told);

  Scene& scene_;
  Database& database_;
  Lane& lane_;
  const int daemon_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::list<std::shared_ptr<Asked>> asked_;
  std::map<std::string, int> newest_;  // by stream: the row of the newest record known
  Status refusal_;
  int64_t refuse_until_ns_ = 0;
  int64_t delay_ns_ = 0;
};

class Daemon {
 public:
  Daemon(Scene& scene, Database& database, Ledger& ledger, Observer& observer, gateway::Ids& ids,
         gateway::Options options, gateway::policy::PolicyRules rules, int number);
  ~Daemon();

  // Folds and continues what is unfinished, unless it is at it.
  void recover();
  // Puts its runs down and starts none.
  void stop();
  // Another has taken over while it was paused.
  void replace() {
    replaced = true;
    ledger_.replaced.insert(number);
  }
  // Counts where everything is, as it goes.
  void count_end(bool power, Point newest);

  const int number;
  Lane lane;
  bool ready = false;  // has recovered once
  bool replaced = false;
  DatabaseClient database;

 private:
  Scene& scene_;
  Ledger& ledger_;
  Model model_;
  Tools tools_;
  bool recovering_ = false;
  Task<void> recovery();

 public:
  std::unique_ptr<gateway::GatewayImpl> gateway;
  TaskScope clients;  // their calls into this daemon; they end before it
};

}  // namespace palyra::sim
