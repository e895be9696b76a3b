// Runs as files: out and in.
#include "plugins/gateway/policy/policy.h"
#include "plugins/gateway/replay/compare.h"
#include "plugins/gateway/replay/replays_impl.h"
#include "plugins/gateway/run/evolve.h"
#include "plugins/gateway/session/documents.h"

#include <algorithm>
#include <utility>

namespace palyra::gateway {
namespace {

constexpr size_t kPartBytes = 1024 * 1024;
// Room that the parts behind the records may take: blobs, then earlier runs. What does not fit is
// left out; the reader then says what it cannot verify.
constexpr size_t kBlobsUntil = replay::kRunFileBytes / 4 * 3;
constexpr size_t kHistoryUntil = replay::kRunFileBytes / 8 * 7;

// Lines become parts.
class Parts {
 public:
  explicit Parts(Send<api::FilePart> send) : send_(std::move(send)) {}

  Task<bool> add(std::string line) {
    for (size_t at = 0; at < line.size();) {
      const size_t take = std::min(line.size() - at, kPartBytes - part_.data().size());
      part_.mutable_data()->append(line, at, take);
      at += take;
      if (part_.data().size() == kPartBytes && !co_await flush()) co_return false;
    }
    co_return true;
  }
  Task<bool> flush() {
    api::FilePart full = std::exchange(part_, {});
    if (full.data().empty()) co_return true;
    co_return co_await send_(std::move(full));
  }

 private:
  Send<api::FilePart> send_;
  api::FilePart part_;
};

}  // namespace

Task<Status> ReplaysImpl::export_run(Caller caller, api::ExportRunRequest request,
                                     Send<api::FilePart> send) {
  api::GetRunRequest get;
  get.set_run_id(request.run_id());
  auto run = co_await gateway_.get_run(caller, get);
  if (!run.ok()) co_return run.status();
  if (!ended(run->state())) {
    co_return Status(Code::kFailedPrecondition, "run " + request.run_id() +
                                                    " is not over; wait for it (palyra runs wait " +
                                                    request.run_id() + ") and export it then");
  }
  const std::string stream = run_stream(request.run_id());
  // Its last record can no longer move: the run has ended.
  service::ReadRequest first;
  first.set_stream(stream);
  first.set_limit(1);
  auto head = co_await world_.journal.read(std::move(first));
  if (!head.ok()) co_return head.status();
  auto tape = co_await load(request.run_id());
  if (!tape.ok()) co_return tape.status();
  run::State state;
  std::vector<std::string> blobs = replay::prompt_blobs(tape->records);
  for (const auto& record : tape->records) {
    run::evolve(state, record.event, record.wall_ns, record.seq);
    const std::string& output = record.event.tool_call_finished().blob_digest();
    if (!output.empty()) blobs.push_back(output);
  }

  replay::RunFileWriter writer;
  Parts parts(std::move(send));
  api::RunFileHeader header;
  header.set_run_id(request.run_id());
  header.set_session_id(state.created.session_id());
  header.set_created_at_ms(run->created_at_ms());
  header.set_loop_version(state.started.loop_version());
  header.set_daemon_version(version_);
  header.set_records(head->head_seq());
  std::string line = writer.header(header);
  if (!co_await parts.add(std::move(line))) co_return Status();
  for (uint64_t next = 1; next <= head->head_seq();) {
    service::ReadRequest read;
    read.set_stream(stream);
    read.set_from_seq(next);
    auto page = co_await world_.journal.read(std::move(read));
    if (!page.ok()) co_return page.status();
    if (page->records().empty()) break;
    for (const auto& record : page->records()) {
      if (record.seq() != next) {
        co_return Status(Code::kFailedPrecondition,
                         "records of run " + request.run_id() +
                             " are in the archive; bring them back before exporting it");
      }
      next = record.seq() + 1;
      line = writer.record(record);
      if (!co_await parts.add(std::move(line))) co_return Status();
      if (writer.bytes() > kHistoryUntil) {
        co_return Status(Code::kResourceExhausted, "the tape of run " + request.run_id() +
                                                       " does not fit into a file of 64 MiB");
      }
    }
  }
  for (const std::string& digest : blobs) {
    if (writer.bytes() > kBlobsUntil) break;
    auto data = co_await world_.journal.get_blob(digest);
    // A tool's output may be larger than all that is left; it is no part of a prompt.
    if (!data.ok() || data->size() > (replay::kRunFileBytes - writer.bytes()) / 2 ||
        data->size() > size_t{4} << 20) {
      continue;
    }
    line = writer.blob(digest, std::move(*data));
    if (!co_await parts.add(std::move(line))) co_return Status();
  }
  for (const std::string& other : replay::prompt_history(tape->records)) {
    get.set_run_id(other.substr(std::min(other.find('/') + 1, other.size())));
    auto visible = co_await gateway_.get_run(caller, get);
    if (!visible.ok()) continue;
    uint64_t next = 1;
    for (bool more = true; more && writer.bytes() < kHistoryUntil;) {
      service::ReadRequest read;
      read.set_stream(other);
      read.set_from_seq(next);
      auto page = co_await world_.journal.read(std::move(read));
      if (!page.ok()) co_return page.status();
      for (const auto& record : page->records()) {
        if (record.seq() != next) break;
        next = record.seq() + 1;
        line = writer.history(record);
        if (!co_await parts.add(std::move(line))) co_return Status();
      }
      more = !page->records().empty() && next <= page->head_seq();
    }
  }
  line = writer.seal();
  if (co_await parts.add(std::move(line))) co_await parts.flush();
  co_return Status();
}

Task<Result<api::ReplayFileResponse>> ReplaysImpl::replay_file(
    Caller caller, Receive<api::ReplayFileRequest> receive) {
  replay::RunFileReader reader;
  api::ReplayFileRequest first;
  bool begun = false;
  for (;;) {
    auto part = co_await receive();
    if (!part) break;
    const Status status = reader.feed(part->data());
    if (!status.ok()) co_return status;
    if (std::exchange(begun, true)) continue;
    first = std::move(*part);
    first.clear_data();
  }
  auto file = reader.finish();
  if (!file.ok()) co_return file.status();

  replay::PromptSources sources;
  const auto& agent = file->records[0].event.run_created().agent();
  sources.blobs = file->blobs;
  for (const auto& [stream, records] : file->history) {
    run::State state;
    for (const auto& record : records) {
      run::evolve(state, record.event, record.wall_ns, record.seq);
    }
    sources.history[stream] = run::history_piece(state, "");
  }
  api::ReplayFileResponse out;
  *out.mutable_header() = file->header;
  *out.mutable_report() =
      replay::replay(file->records, file->erased, std::move(sources), schema_check_);

  if (!first.compare_with().empty()) {
    api::GetRunRequest get;
    get.set_run_id(first.compare_with());
    auto visible = co_await gateway_.get_run(caller, std::move(get));
    if (!visible.ok()) co_return visible.status();
    auto here = co_await load(first.compare_with());
    if (!here.ok()) co_return here.status();
    *out.mutable_comparison() = replay::compare(file->records, here->records);
  }
  if (first.has_repeat()) {
    if (first.repeat().tools() == tape::REPLAY_TOOLS_LIVE) {
      co_return Status(Code::kInvalidArgument,
                       "a run from a file is repeated with recorded tools only: its calls were "
                       "meant for another machine");
    }
    if (!file->erased.empty()) {
      co_return Status(Code::kFailedPrecondition,
                       "records of the run were erased; it cannot be repeated");
    }
    if (!first.repeat().has_prompt() && !agent.system_prompt_digest().empty()) {
      const auto prompt = file->blobs.find(agent.system_prompt_digest());
      if (prompt == file->blobs.end()) {
        co_return Status(Code::kFailedPrecondition,
                         "the file does not have the run's system prompt; give one with --prompt");
      }
      first.mutable_repeat()->set_prompt(prompt->second);
    }
    // Without history: what a file says of sessions here proves nothing.
    auto repeated = co_await repeat(std::move(caller), std::move(*first.mutable_repeat()),
                                    file->records, std::nullopt);
    if (!repeated.ok()) co_return repeated.status();
    *out.mutable_repeated_as() = std::move(*repeated);
  }
  co_return out;
}

}  // namespace palyra::gateway
