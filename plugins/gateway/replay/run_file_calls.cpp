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
// Of a line, besides its payload.
constexpr size_t kEntryBytes = 600;
// Of a part that is read at once: JSON costs several times its length.
constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kReadWork = 8 * kReadBytes;

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
  // What the file does not have.
  void note(std::string words) { notes_.push_back(std::move(words)); }
  Task<bool> finish() {
    api::FilePart last = std::exchange(part_, {});
    for (const std::string& words : notes_) last.add_notes(words);
    co_return co_await send_(std::move(last));
  }

 private:
  Send<api::FilePart> send_;
  api::FilePart part_;
  std::vector<std::string> notes_;
};

}  // namespace

Task<Status> ReplaysImpl::export_run(Caller caller, api::ExportRunRequest request,
                                     Send<api::FilePart> send) {
  const Seat seat(calls_);
  if (seat.crowded()) co_return too_many_replays();
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
  replay::Pace pace(world_.executor);
  const auto state = co_await fold(tape->records, pace);
  if (!state.ok()) co_return state.status();
  std::vector<std::string> blobs = replay::prompt_blobs(tape->records);
  for (const auto& record : tape->records) {
    const std::string& output = record.event.tool_call_finished().blob_digest();
    if (!output.empty()) blobs.push_back(output);
  }

  replay::RunFileWriter writer;
  Parts parts(std::move(send));
  api::RunFileHeader header;
  header.set_run_id(request.run_id());
  header.set_session_id(run->session_id());
  header.set_created_at_ms(run->created_at_ms());
  header.set_loop_version(state->started.loop_version());
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
    if (page->records().empty()) co_return records_missing(stream, next, head->head_seq());
    for (const auto& record : page->records()) {
      if (record.seq() != next) co_return records_missing(stream, next, record.seq() - 1);
      next = record.seq() + 1;
      line = writer.record(record);
      if (!co_await parts.add(std::move(line))) co_return Status();
      if (writer.bytes() > kHistoryUntil) {
        co_return Status(Code::kResourceExhausted, "the tape of run " + request.run_id() +
                                                       " does not fit into a file of 64 MiB");
      }
    }
  }
  if (!tape->erased.empty()) {
    parts.note("records of the run were erased: whoever replays the file is told so, and no more");
  }
  for (const std::string& digest : blobs) {
    if (writer.bytes() > kBlobsUntil) {
      parts.note("large texts are left out, because the file may have 64 MiB");
      break;
    }
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
    const size_t room = kHistoryUntil - std::min(kHistoryUntil, writer.bytes());
    auto records = co_await earlier_run(other, room);
    if (records.status().code() == Code::kUnavailable) co_return records.status();
    if (!records.ok()) {
      // What the model was shown of it cannot be verified from the file; all else can.
      parts.note("earlier run " + get.run_id() + " is left out: " + records.status().message());
      continue;
    }
    for (const auto& record : *records) {
      line = writer.history(record);
      if (!co_await parts.add(std::move(line))) co_return Status();
    }
  }
  line = writer.seal();
  if (co_await parts.add(std::move(line))) co_await parts.finish();
  co_return Status();
}

Task<Result<std::vector<service::Record>>> ReplaysImpl::earlier_run(std::string stream,
                                                                    size_t room) {
  std::vector<service::Record> out;
  size_t bytes = 0;
  for (uint64_t next = 1, head = 1; next <= head;) {
    service::ReadRequest read;
    read.set_stream(stream);
    read.set_from_seq(next);
    auto page = co_await world_.journal.read(std::move(read));
    if (!page.ok()) co_return page.status();
    head = page->head_seq();
    if (page->records().empty() && next <= head) co_return records_missing(stream, next, head);
    for (auto& record : *page->mutable_records()) {
      if (record.seq() != next) co_return records_missing(stream, next, record.seq() - 1);
      next = record.seq() + 1;
      if (record.erased()) co_return Status(Code::kFailedPrecondition, "records were erased");
      // Lines are in base64.
      bytes += kEntryBytes + record.payload().size() / 3 * 4;
      if (bytes > room) {
        co_return Status(Code::kResourceExhausted, "the file may have 64 MiB");
      }
      out.push_back(std::move(record));
    }
  }
  co_return std::move(out);
}

Task<Result<api::ReplayFileResponse>> ReplaysImpl::replay_file(
    Caller caller, Receive<api::ReplayFileRequest> receive, Gone gone) {
  const Seat seat(calls_);
  if (seat.crowded()) co_return too_many_replays();
  replay::Pace pace(world_.executor, std::move(gone));
  replay::RunFileReader reader;
  api::ReplayFileRequest first;
  bool begun = false;
  for (;;) {
    auto part = co_await receive();
    if (!part) break;
    for (std::string_view left = part->data(); !left.empty();) {
      const Status status = reader.feed(left.substr(0, kReadBytes));
      if (!status.ok()) co_return status;
      left.remove_prefix(std::min(left.size(), kReadBytes));
      if (!pace.add(kReadWork)) continue;
      if (!co_await pace.rest()) co_return nobody_waits();
    }
    if (std::exchange(begun, true)) continue;
    first = std::move(*part);
    first.clear_data();
  }
  auto file = reader.finish();
  if (!file.ok()) co_return file.status();

  const bool erased = !file->erased.empty();
  const std::string& run_id = file->header.run_id();
  replay::PromptSources sources;
  sources.blobs = file->blobs;
  for (const auto& [stream, records] : file->history) {
    const auto state = co_await fold(records, pace);
    if (!state.ok()) co_return state.status();
    sources.history[stream] = run::history_piece(*state, "");
  }
  const Tape tape{std::move(file->records), std::move(file->erased)};
  // Only runs that are over are exported.
  auto report = co_await checked(tape, std::move(sources), true, pace);
  if (!report.ok()) co_return report.status();
  report->set_run_id(run_id);
  api::ReplayFileResponse out;
  *out.mutable_header() = file->header;
  *out.mutable_report() = std::move(*report);

  if (!first.compare_with().empty()) {
    if (erased) co_return erased_for(run_id, "compared");
    api::GetRunRequest get;
    get.set_run_id(first.compare_with());
    auto visible = co_await gateway_.get_run(caller, std::move(get));
    if (!visible.ok()) co_return visible.status();
    auto here = co_await load(first.compare_with());
    if (!here.ok()) co_return here.status();
    if (!here->erased.empty()) co_return erased_for(first.compare_with(), "compared");
    auto comparison = co_await compared(tape.records, here->records, pace);
    if (!comparison.ok()) co_return comparison.status();
    *out.mutable_comparison() = std::move(*comparison);
  }
  if (first.has_repeat()) {
    if (first.repeat().tools() == tape::REPLAY_TOOLS_LIVE) {
      co_return Status(Code::kInvalidArgument,
                       "a run from a file is repeated with recorded tools only: its calls were "
                       "meant for another machine");
    }
    if (erased) co_return erased_for(run_id, "repeated");
    const auto state = co_await fold(tape.records, pace);
    if (!state.ok()) co_return state.status();
    const auto& agent = state->created.agent();
    if (!first.repeat().has_prompt() && !agent.system_prompt_digest().empty()) {
      const auto prompt = file->blobs.find(agent.system_prompt_digest());
      if (prompt == file->blobs.end()) {
        co_return Status(Code::kFailedPrecondition,
                         "the file does not have the run's system prompt; give one with --prompt");
      }
      first.mutable_repeat()->set_prompt(prompt->second);
    }
    // Without history: what a file says of sessions here proves nothing.
    auto repeated = co_await repeat(std::move(caller), std::move(*first.mutable_repeat()), *state,
                                    std::nullopt);
    if (!repeated.ok()) co_return repeated.status();
    *out.mutable_repeated_as() = std::move(*repeated);
  }
  co_return out;
}

}  // namespace palyra::gateway
