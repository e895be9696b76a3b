// A store in memory with a checkpointer, for stories.
#pragma once

#include "palyra/testing/executor.hpp"
#include "plugins/gateway/audit/audit_impl.h"
#include "plugins/gateway/audit/checkpointer.h"
#include "plugins/gateway/ports/testing/store_journal.h"
#include "plugins/journal/memory/store.h"
#include "plugins/journal/record_hash.h"

#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace palyra::gateway::audit::testing {

namespace pb = palyra::service::v1;

class SeededRandom : public Random {
 public:
  void fill(void* out, size_t size) override {
    auto* bytes = static_cast<unsigned char*>(out);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(engine_());
  }

 private:
  std::mt19937_64 engine_{1};
};

// Collects what is written.
template <typename Message>
class Collect {
 public:
  Send<Message> send() {
    return [this](Message message) { return write(std::move(message)); };
  }
  size_t room = SIZE_MAX;
  std::vector<Message> messages;

 private:
  Task<bool> write(Message message) {
    if (room == 0) co_return false;
    --room;
    messages.push_back(std::move(message));
    co_return true;
  }
};

inline SigningKey test_key(char seed = 'k') { return SigningKey::of_seed(std::string(32, seed)); }

// Hashes made right again behind `prev`, as somebody with the disk would.
inline void chain(const std::string& stream, std::string prev, std::vector<pb::Record*> records) {
  journal::RecordHasher hasher;
  for (pb::Record* record : records) {
    record->set_prev_hash(prev);
    record->set_payload_digest(
        std::string(digest::view(hasher.payload_digest(record->salt(), record->payload()))));
    prev = digest::view(hasher.record_hash({.stream = stream,
                                            .seq = record->seq(),
                                            .prev_hash = prev,
                                            .type = record->type(),
                                            .wall_time_ns = record->wall_time_ns(),
                                            .payload_digest = record->payload_digest()}));
    record->set_hash(prev);
  }
}
inline void chain(const std::string& stream, const std::string& prev,
                  std::vector<pb::Record>& records) {
  std::vector<pb::Record*> all;
  for (pb::Record& record : records) all.push_back(&record);
  chain(stream, prev, all);
}

class Desk {
 public:
  explicit Desk(Checkpointer::Options options = {}) : options_(options) { start(); }
  ~Desk() {
    scope.clear();
    stop();
  }

  void start(SigningKey key = test_key()) {
    checkpointer =
        std::make_unique<Checkpointer>(clock, executor, journal, journal, std::move(key), options_);
    audit = std::make_unique<AuditImpl>(clock, executor, journal, journal, *checkpointer);
    started = run(checkpointer->start());
  }
  void stop() {
    audit.reset();
    checkpointer.reset();
    executor.run_until_idle();
  }
  // kill -9.
  void crash() {
    store.crash();
    executor.drop();
    scope.clear();
    audit.reset();
    checkpointer.reset();
    executor.drop();
  }

  template <typename T>
  T run(Task<T> task) {
    auto result = std::make_shared<std::optional<T>>();
    scope.spawn(keep(std::move(task), result));
    executor.run_until_idle();
    if (!result->has_value()) throw std::runtime_error("the task waits for something");
    return std::move(**result);
  }

  // Appends `count` records to a stream and tells the checkpointer.
  void append(const std::string& stream, int count = 1, const std::string& payload = "x") {
    pb::CommitRequest request;
    pb::Append& append = *request.add_appends();
    append.set_stream(stream);
    for (int i = 0; i < count; ++i) {
      pb::NewRecord& record = *append.add_records();
      record.set_type("noted");
      record.set_payload(payload + std::to_string(++written_));
      record.set_wall_time_ns(clock.wall_now());
    }
    auto done = run(journal.commit(std::move(request)));
    if (!done.ok()) throw std::runtime_error(done.status().to_string());
    if (checkpointer) checkpointer->committed(*done);
  }
  std::optional<Link> cover() {
    auto made = run(checkpointer->cover());
    if (!made.ok()) throw std::runtime_error(made.status().to_string());
    return *made;
  }
  std::vector<tape::Checkpoint> checkpoints() {
    std::vector<tape::Checkpoint> out;
    pb::ReadRequest read;
    read.set_stream(kAuditStream);
    const auto page = run(journal.read(std::move(read)));
    for (const pb::Record& record : page->records()) {
      tape::AuditEvent event;
      if (record.type() != kCheckpointType || !event.ParseFromString(record.payload())) continue;
      out.push_back(event.checkpoint());
    }
    return out;
  }

  static Caller admin() {
    Caller caller;
    caller.principal = "user:owner";
    caller.scopes = {"admin"};
    return caller;
  }
  Result<std::string> exported(api::ExportAuditRequest request = {}) {
    Collect<api::ExportAuditChunk> sink;
    const Status status = run(audit->export_audit(admin(), std::move(request), sink.send()));
    if (!status.ok()) return status;
    std::string out;
    for (const auto& chunk : sink.messages) out += chunk.data();
    return out;
  }
  // The last event; the places of all.
  Result<api::VerifyStoreEvent> verified(api::VerifyStoreRequest request = {}) {
    Collect<api::VerifyStoreEvent> sink;
    const Status status = run(audit->verify_store(admin(), std::move(request), sink.send()));
    if (!status.ok()) return status;
    api::VerifyStoreEvent all = sink.messages.back();
    all.clear_first_bad();
    for (const auto& event : sink.messages) {
      for (const auto& place : event.first_bad()) *all.add_first_bad() = place;
    }
    return all;
  }
  void advance_s(int64_t seconds) { executor.advance(seconds * kNanosPerSecond); }

  palyra::testing::ManualClock clock;
  palyra::testing::DeterministicExecutor executor{clock};
  SeededRandom random;
  palyra::journal::MemoryStore store{clock, executor, random};
  gateway::testing::StoreJournal journal{store};
  TaskScope scope;
  std::unique_ptr<Checkpointer> checkpointer;
  std::unique_ptr<AuditImpl> audit;
  Status started;

 private:
  template <typename T>
  static Task<void> keep(Task<T> task, std::shared_ptr<std::optional<T>> result) {
    result->emplace(co_await std::move(task));
  }

  const Checkpointer::Options options_;
  int written_ = 0;
};

// run/0 ended before the first of two checkpoints; run/1 has five records, two of them erased, over
// both; run/2 has three; audit.
inline std::string story_export() {
  Desk desk;
  desk.append("run/0");
  desk.append("run/1", 3);
  desk.cover();
  desk.append("run/1", 2);
  desk.append("run/2", 3);
  desk.store.erase({"run/1", 1, 2, "asked to", "user:ann"}, [](auto) {});
  desk.executor.run_until_idle();
  return *desk.exported();
}

}  // namespace palyra::gateway::audit::testing
