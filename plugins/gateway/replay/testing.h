// Replay in memory, for stories about it.
#pragma once

#include "plugins/gateway/replay/replays_impl.h"
#include "plugins/gateway/run_loop/environment.h"
#include "plugins/gateway/session/testing.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace palyra::gateway::replay::testing {

using gateway::testing::House;

// A journal with some records or streams gone, as after a disk or somebody has been at it.
class Damaged final : public Journal {
 public:
  explicit Damaged(Journal& journal) : journal_(journal) {}

  std::map<std::string, std::set<uint64_t>> gone;  // seqs by stream
  std::map<std::string, Status> unreadable;        // by stream

  Task<Result<palyra::service::v1::ReadResponse>> read(
      palyra::service::v1::ReadRequest request) override {
    const std::string stream = request.stream();
    if (const auto found = unreadable.find(stream); found != unreadable.end()) {
      co_return found->second;
    }
    auto page = co_await journal_.read(std::move(request));
    if (!page.ok() || gone.count(stream) == 0) co_return page;
    auto& records = *page->mutable_records();
    for (int i = records.size(); i-- > 0;) {
      if (gone[stream].count(records[i].seq()) > 0) records.DeleteSubrange(i, 1);
    }
    co_return page;
  }
  Task<Result<palyra::service::v1::CommitResponse>> commit(
      palyra::service::v1::CommitRequest request) override {
    return journal_.commit(std::move(request));
  }
  Task<Result<palyra::service::v1::GetResponse>> get(
      palyra::service::v1::GetRequest request) override {
    return journal_.get(std::move(request));
  }
  Task<Result<palyra::service::v1::QueryResponse>> query(
      palyra::service::v1::QueryRequest request) override {
    return journal_.query(std::move(request));
  }
  Task<Result<palyra::service::v1::VerifyResponse>> verify(
      palyra::service::v1::VerifyRequest request) override {
    return journal_.verify(std::move(request));
  }
  Task<Result<palyra::service::v1::InfoResponse>> info() override { return journal_.info(); }
  Task<Status> declare(palyra::service::v1::DeclareRequest request) override {
    return journal_.declare(std::move(request));
  }
  Task<Result<std::string>> put_blob(std::string data) override {
    return journal_.put_blob(std::move(data));
  }
  Task<Result<std::string>> get_blob(std::string digest) override {
    return journal_.get_blob(std::move(digest));
  }

 private:
  Journal& journal_;
};

// A house whose runs are replayed.
struct Place : House {
  Place()
      : damaged(journal),
        replays(World{clock, executor, ids, damaged, providers, House::tools}, *gateway, *gateway,
                check_schema_text, "test") {
    House::tools.add_text("fs.read", palyra::service::v1::TOOL_ACCESS_READ,
                          palyra::common::v1::EFFECT_CLASS_NONE, "forty-two");
  }

  // Reads a file and says what is in it.
  std::string ask(const std::string& session = "") {
    providers.call("fs.read", R"({ "path": "a" })");
    providers.say({"It says forty-two."});
    const auto accepted = send("read a", session);
    executor.run_until_idle();
    return accepted.value().run_id;
  }
  Result<api::ReplayReport> replay(const std::string& run_id, const Caller& who = caller()) {
    api::ReplayRunRequest request;
    request.set_run_id(run_id);
    return run(replays.replay_run(who, request));
  }
  Result<std::string> repeat(api::RepeatRunRequest request, const std::string& run_id) {
    request.set_run_id(run_id);
    auto repeated = run(replays.repeat_run(caller(), std::move(request)));
    if (!repeated.ok()) return repeated.status();
    executor.run_until_idle();
    return repeated->run_id();
  }
  api::RunComparison compare(const std::string& run_id) {
    api::CompareRunsRequest request;
    request.set_run_id(run_id);
    auto compared = run(replays.compare_runs(caller(), request));
    EXPECT_TRUE(compared.ok()) << compared.status().to_string();
    return compared.ok() ? *compared : api::RunComparison();
  }
  Result<std::string> exported(const std::string& run_id, const Caller& who = caller()) {
    std::string file;
    api::ExportRunRequest request;
    request.set_run_id(run_id);
    Send<api::FilePart> send = [&](api::FilePart part) -> Task<bool> {
      file += part.data();
      notes.assign(part.notes().begin(), part.notes().end());
      co_return true;
    };
    const Status status = run(replays.export_run(who, request, send));
    if (!status.ok()) return status;
    return file;
  }
  Result<api::ReplayFileResponse> read(const std::string& file, api::ReplayFileRequest first = {},
                                       const Gone& gone = {}) {
    size_t at = 0;
    bool begun = false;
    Receive<api::ReplayFileRequest> receive = [&]() -> Task<std::optional<api::ReplayFileRequest>> {
      // By way of the lane, as from a client: a build that makes no tail calls would nest
      // otherwise.
      const Slot<bool> arrived;
      executor.post([arrived] { arrived.set(true); });
      co_await arrived;
      api::ReplayFileRequest part;
      if (!std::exchange(begun, true)) {
        part = first;
      } else if (at >= file.size()) {
        co_return std::nullopt;
      }
      part.set_data(file.substr(at, 1'000));
      at += 1'000;
      co_return part;
    };
    return run(replays.replay_file(caller(), receive, gone));
  }
  struct All {
    Status status;
    std::vector<api::ReplayReport> reports;
    api::ReplayAllSummary summary;
  };
  All all() {
    All out;
    Send<api::ReplayAllEvent> send = [&out](api::ReplayAllEvent event) -> Task<bool> {
      if (event.has_report()) out.reports.push_back(event.report());
      if (event.has_summary()) out.summary = event.summary();
      co_return true;
    };
    out.status = run(replays.replay_all(caller(), {}, send));
    return out;
  }
  // Nothing of what was said is left.
  void erase(const std::string& run_id) {
    palyra::journal::EraseRequest request;
    request.stream = "run/" + run_id;
    request.first_seq = 1;
    request.last_seq = tape_of(run_id).size();
    request.reason = "asked for";
    request.principal = "user:ann";
    store.erase(request, [](const auto& done) { EXPECT_TRUE(done.ok()); });
    executor.run_until_idle();
  }

  // What an exporter says that its file lacks.
  std::vector<std::string> notes;
  Damaged damaged;
  ReplaysImpl replays;
};

}  // namespace palyra::gateway::replay::testing
