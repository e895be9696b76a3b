#include "bench/tape_loader.h"

#include "palyra/tape/v1/run.pb.h"
#include "palyra/tape/v1/session.pb.h"
#include "plugins/gateway/session/documents.h"
#include "plugins/gateway/session/session.h"
#include "plugins/journal/sqlite/store.h"
#include "plugins/journal/sqlite/system_world.h"

#include <condition_variable>
#include <future>
#include <mutex>
#include <stdexcept>

namespace palyra::bench {

namespace {

namespace sv = palyra::service::v1;
namespace tape = palyra::tape::v1;

template <typename T, typename Fn>
T ask(Fn fn) {
  std::promise<Result<T>> answer;
  fn([&answer](Result<T> result) { answer.set_value(std::move(result)); });
  Result<T> result = answer.get_future().get();
  if (!result.ok()) throw std::runtime_error(result.status().message());
  return std::move(*result);
}

// All records of a stream that is not long.
std::vector<sv::Record> records_of(journal::Store& store, const std::string& stream) {
  sv::ReadRequest request;
  request.set_stream(stream);
  const auto page = ask<sv::ReadResponse>([&](auto done) { store.read(request, std::move(done)); });
  return {page.records().begin(), page.records().end()};
}

template <typename M>
M document(journal::Store& store, const char* collection, const std::string& key) {
  sv::GetRequest request;
  request.set_collection(collection);
  request.set_key(key);
  const auto got = ask<sv::GetResponse>([&](auto done) { store.get(request, std::move(done)); });
  M message;
  if (!got.has_document() || !message.ParseFromString(got.document().value())) {
    throw std::runtime_error("no document " + key);
  }
  return message;
}

void add(sv::CommitRequest& commit, const std::string& stream, const sv::Record& like,
         std::string payload) {
  sv::Append* append = nullptr;
  const int appends = commit.appends_size();
  if (appends > 0 && commit.appends(appends - 1).stream() == stream) {
    append = commit.mutable_appends(appends - 1);
  } else {
    append = commit.add_appends();
    append->set_stream(stream);
  }
  auto& record = *append->add_records();
  record.set_type(like.type());
  record.set_wall_time_ns(like.wall_time_ns());
  record.set_payload(std::move(payload));
}

}  // namespace

// The open store; a few commits are on their way at a time.
struct TapeLoader::Store {
  explicit Store(const std::string& path) {
    journal::SqliteOptions options;
    options.path = path;
    auto opened = journal::SqliteStore::open(options, world, world);
    if (!opened.ok()) throw std::runtime_error(opened.status().message());
    store = std::move(*opened);
  }
  ~Store() { wait(0); }

  void commit(sv::CommitRequest request) {
    wait(8);
    {
      const std::lock_guard lock(mutex);
      ++under_way;
    }
    store->commit(std::move(request), [this](Result<sv::CommitResponse> result) {
      const std::lock_guard lock(mutex);
      if (!result.ok()) error = result.status().message();
      --under_way;
      changed.notify_one();
    });
  }
  void wait(int most) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return under_way <= most; });
  }

  journal::SystemWorld world;
  std::unique_ptr<journal::SqliteStore> store;
  std::mutex mutex;
  std::condition_variable changed;
  int under_way = 0;
  std::string error;
};

TapeLoader::TapeLoader(std::string state_dir, std::string session_id, std::string run_id)
    : path_(std::move(state_dir) + "/journal/journal.sqlite"),
      session_id_(std::move(session_id)),
      run_id_(std::move(run_id)) {
  Store open(path_);
  session_records_ = records_of(*open.store, gateway::session_stream(session_id_));
  run_records_ = records_of(*open.store, gateway::run_stream(run_id_));
  session_ = document<gateway::api::Session>(*open.store, gateway::kSessions, session_id_);
  run_ = document<gateway::api::Run>(*open.store, gateway::kRuns, run_id_);
  tape::RunEvent created;
  if (run_records_.empty() || !created.ParseFromString(run_records_[0].payload())) {
    throw std::runtime_error("the run has no tape");
  }
  input_id_ = created.run_created().input_id();
}

std::string TapeLoader::fresh_id(const std::string& like) {
  std::string digits = std::to_string(++last_id_);
  digits.insert(0, 12 - digits.size(), '0');
  return like.substr(0, like.size() - digits.size()) + digits;
}

std::string TapeLoader::renamed(std::string bytes, const Ids& ids) {
  for (const auto& [from, to] : ids) {
    for (size_t at = bytes.find(from); at != std::string::npos; at = bytes.find(from, at)) {
      bytes.replace(at, from.size(), to);
    }
  }
  return bytes;
}

void TapeLoader::load(const std::function<void(Store&)>& fn) {
  Store open(path_);
  fn(open);
  open.wait(0);
  if (!open.error.empty()) throw std::runtime_error("loading a tape failed: " + open.error);
}

std::string TapeLoader::long_session(int runs) {
  constexpr int kRunsPerCommit = 80;
  gateway::api::Session session = session_;
  session.set_session_id(fresh_id(session_id_));
  const std::string stream = gateway::session_stream(session.session_id());
  load([&](Store& store) {
    uint64_t seq = 0;
    tape::TurnRef head;
    sv::CommitRequest commit;
    for (int i = 0; i < runs; ++i) {
      const std::string run_id = fresh_id(run_id_);
      const Ids ids = {
          {run_id_, run_id}, {session_id_, session.session_id()}, {input_id_, fresh_id(input_id_)}};
      for (const sv::Record& record : session_records_) {
        if (record.type() == "session_created" && i > 0) continue;
        std::string payload = renamed(record.payload(), ids);
        ++seq;
        if (record.type() == "turn_added") {
          tape::SessionEvent event;
          event.ParseFromString(payload);
          auto& turn = *event.mutable_turn_added();
          turn.set_turn_id(fresh_id(turn.turn_id()));
          turn.set_parent(head.turn_id());
          turn.clear_parent_at();
          if (head.seq() != 0) *turn.mutable_parent_at() = head;
          head.set_turn_id(turn.turn_id());
          head.set_session_id(session.session_id());
          head.set_seq(seq);
          payload = event.SerializeAsString();
        }
        add(commit, stream, record, std::move(payload));
      }
      for (const sv::Record& record : run_records_) {
        add(commit, gateway::run_stream(run_id), record, renamed(record.payload(), ids));
      }
      gateway::api::Run run = run_;
      run.set_run_id(run_id);
      run.set_session_id(session.session_id());
      run.clear_text();
      gateway::put_run(commit, run);
      if (i + 1 == runs) {
        session.set_turns(static_cast<uint32_t>(runs));
        gateway::set_head(session, head);
        gateway::put_session(commit, session);
      }
      if ((i + 1) % kRunsPerCommit == 0 || i + 1 == runs) {
        store.commit(std::exchange(commit, {}));
        // In order: the records of the session follow each other.
      }
    }
  });
  return session.session_id();
}

void TapeLoader::unfinished(int count) {
  load([&](Store& store) {
    for (int i = 0; i < count; ++i) {
      gateway::api::Session session = session_;
      session.set_session_id(fresh_id(session_id_));
      gateway::api::Run run = run_;
      run.set_run_id(fresh_id(run_id_));
      run.set_session_id(session.session_id());
      const Ids ids = {{run_id_, run.run_id()},
                       {session_id_, session.session_id()},
                       {input_id_, fresh_id(input_id_)}};
      sv::CommitRequest commit;
      for (const sv::Record& record : session_records_) {
        if (record.type() == "turn_added") continue;
        add(commit, gateway::session_stream(session.session_id()), record,
            renamed(record.payload(), ids));
      }
      for (const sv::Record& record : run_records_) {
        add(commit, gateway::run_stream(run.run_id()), record, renamed(record.payload(), ids));
        run.set_seq(record.seq());
        if (record.type() == "model_turn_started") break;
      }
      gateway::set_head(session, {});
      session.set_turns(0);
      session.set_active_run(run.run_id());
      gateway::put_session(commit, session);
      run.set_state(gateway::api::RUN_STATE_RUNNING);
      run.clear_text();
      run.clear_usage();
      run.clear_finished_at_ms();
      gateway::put_run(commit, run);
      store.commit(std::move(commit));
    }
  });
}

}  // namespace palyra::bench
