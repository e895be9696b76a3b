#include "tests/chaos/inspect.h"

#include <utility>

namespace palyra::chaos {
namespace {

bool ended(api::RunState state) {
  return state == api::RUN_STATE_COMPLETED || state == api::RUN_STATE_FAILED ||
         state == api::RUN_STATE_CANCELLED;
}

}  // namespace

std::map<std::string, api::Run> Inspector::list(const Access& access) {
  std::map<std::string, api::Run> runs;
  api::ListRunsRequest request;
  request.set_page_size(500);
  do {
    grpc::ClientContext context;
    access.authenticate(context, patience_);
    api::ListRunsResponse page;
    const auto status =
        api::GatewayService::NewStub(access.channel)->ListRuns(&context, request, &page);
    if (!status.ok()) {
      ledger_.problem("listing runs: " + status.error_message());
      break;
    }
    for (auto& run : *page.mutable_runs()) {
      std::string id = run.run_id();
      if (!runs.emplace(std::move(id), std::move(run)).second) {
        ledger_.problem("a run is listed twice");
      }
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return runs;
}

void Inspector::check_promises(const std::map<std::string, Promise>& promises,
                               const std::map<std::string, api::Run>& runs) {
  promised_ = present_ = 0;
  for (const auto& [label, promise] : promises) {
    ++promised_;
    const auto run = runs.find(promise.run_id);
    if (run == runs.end()) {
      ledger_.problem("input " + label + " was acknowledged as run " + promise.run_id +
                      ", which is gone");
    } else if (run->second.input_preview().rfind(
                   promise.compaction ? "(summary of older turns)" : label + "\n", 0) != 0) {
      ledger_.problem("run " + promise.run_id + " has another input than " + label);
    } else {
      ++present_;
    }
  }
}

void Inspector::verify(const Access& access, const std::string& run_id,
                       const std::string& session_id) {
  grpc::ClientContext context;
  access.authenticate(context, patience_);
  api::VerifyTapeRequest request;
  request.set_run_id(run_id);
  request.set_session_id(session_id);
  api::VerifyTapeResponse response;
  const auto status =
      api::GatewayService::NewStub(access.channel)->VerifyTape(&context, request, &response);
  const std::string name = run_id.empty() ? "session " + session_id : "run " + run_id;
  if (!status.ok()) {
    ledger_.problem("verifying " + name + ": " + status.error_message());
  } else if (!response.ok()) {
    ledger_.problem("the chain of " + name + " is broken at " + std::to_string(response.bad_seq()) +
                    ": " + response.reason());
  }
  ++verified_;
}

void Inspector::after_start(const Access& access) {
  // The load goes on: what is promised after this may be missing from the list.
  const auto promises = ledger_.promises();
  const auto runs = list(access);
  check_promises(promises, runs);
  std::set<std::string> sessions;
  for (const auto& [id, run] : runs) {
    if (settled_.count(id) != 0) continue;
    verify(access, id, "");
    sessions.insert(run.session_id());
    if (ended(run.state())) settled_.insert(id);
  }
  for (const std::string& id : sessions) verify(access, "", id);
  check_history(access);
}

void Inspector::at_the_end(const Access& access) {
  const auto runs = list(access);
  check_promises(ledger_.promises(), runs);
  tapes_.clear();
  evidence_.clear();
  labels_.clear();
  views_ = ledger_.views();
  std::set<std::string> sessions;
  for (const auto& [id, run] : runs) {
    verify(access, id, "");
    check_run(access, run);
    check_reader(access, run);
    sessions.insert(run.session_id());
  }
  check_conversations(access, std::move(sessions));
  check_decisions();
}

std::vector<api::TapeEntry> Inspector::read(const Access& access, const std::string& run_id,
                                            const std::string& session_id) {
  std::vector<api::TapeEntry> entries;
  api::ReadTapeRequest request;
  request.set_run_id(run_id);
  request.set_session_id(session_id);
  for (uint64_t head = 1; entries.size() < head;) {
    request.set_from_seq(entries.size() + 1);
    grpc::ClientContext context;
    access.authenticate(context, patience_);
    api::ReadTapeResponse page;
    const auto status =
        api::GatewayService::NewStub(access.channel)->ReadTape(&context, request, &page);
    if (!status.ok() || page.entries().empty()) {
      ledger_.problem("reading the tape of " + run_id + session_id + ": " + status.error_message());
      break;
    }
    head = page.head_seq();
    for (auto& entry : *page.mutable_entries()) entries.push_back(std::move(entry));
  }
  return entries;
}

void Inspector::check_run(const Access& access, const api::Run& run) {
  Tape tape;
  tape.run_id = run.run_id();
  for (auto& entry : read(access, run.run_id(), "")) {
    Record record;
    record.seq = entry.seq();
    record.time_ns = entry.time_ns();
    record.type = entry.type();
    if (!record.event.ParseFromString(entry.payload())) {
      ledger_.problem("run " + run.run_id() + " record " + std::to_string(entry.seq()) +
                      " cannot be read");
    }
    tape.records.push_back(std::move(record));
  }
  Evidence evidence = examine(tape);
  for (const std::string& sentence : evidence.problems) ledger_.problem(sentence);
  if (!evidence.terminal || !ended(run.state())) {
    ledger_.problem("run " + run.run_id() + " has not ended: " + api::RunState_Name(run.state()) +
                    ", last record " +
                    (tape.records.empty() ? std::string("none") : tape.records.back().type));
  }
  if (!tape.records.empty() &&
      tape.records.front().event.run_created().purpose() != tape::RUN_PURPOSE_COMPACT) {
    const std::string& text = tape.records.front().event.run_created().input_text();
    const std::string label = text.substr(0, text.find('\n'));
    const auto [first, fresh] = labels_.emplace(label, run.run_id());
    if (!fresh) {
      ledger_.problem("input " + label + " became two runs: " + first->second + " and " +
                      run.run_id());
    }
  }
  tapes_.emplace(run.run_id(), std::move(tape));
  evidence_.push_back(std::move(evidence));
}

// Somebody who was not there sees the same as the client who saw every crash.
void Inspector::check_reader(const Access& access, const api::Run& run) {
  grpc::ClientContext context;
  access.authenticate(context, patience_);
  const auto stream = api::GatewayService::NewStub(access.channel)->RunStream(&context);
  api::RunStreamRequest request;
  request.mutable_attach()->set_run_id(run.run_id());
  stream->Write(request);
  RunView view;
  const auto& records = tapes_.at(run.run_id()).records;
  view.quiet = !records.empty() &&
               records.front().event.run_created().purpose() == tape::RUN_PURPOSE_COMPACT;
  api::RunStreamEvent event;
  while (stream->Read(&event)) view.see(event);
  const auto status = stream->Finish();
  if (!status.ok()) {
    ledger_.problem("a fresh reader of run " + run.run_id() + ": " + status.error_message());
    return;
  }
  for (const std::string& sentence : view.problems) {
    ledger_.problem("a fresh reader: " + sentence);
  }
  const auto seen = views_.find(run.run_id());
  if (seen == views_.end() || seen->second == view.durable) return;
  size_t at = 0;
  while (at < seen->second.size() && at < view.durable.size() &&
         seen->second[at] == view.durable[at]) {
    ++at;
  }
  const auto words = [at](const std::vector<std::string>& events) {
    api::RunStreamEvent one;
    if (at >= events.size()) return std::string("nothing");
    one.ParseFromString(events[at]);
    return one.ShortDebugString();
  };
  ledger_.problem("run " + run.run_id() + ": its client saw at sequence " + std::to_string(at + 1) +
                  " " + words(seen->second) + ", a fresh reader " + words(view.durable));
}

void Inspector::check_decisions() {
  std::map<std::string, tape::ApprovalVerdict> on_tape;
  std::set<std::string> cancelled;
  for (const Evidence& evidence : evidence_) {
    on_tape.insert(evidence.approvals.begin(), evidence.approvals.end());
  }
  for (const auto& [id, tape] : tapes_) {
    if (!tape.records.empty() && tape.records.back().event.has_run_cancelled()) {
      cancelled.insert(id);
    }
  }
  for (const auto& [id, verdict] : ledger_.decisions()) {
    const auto found = on_tape.find(id);
    if (found == on_tape.end() || found->second != verdict) {
      ledger_.problem("the decision of approval " + id + " was acknowledged as " +
                      tape::ApprovalVerdict_Name(verdict) + " and is not on the tape");
    }
  }
  for (const std::string& id : ledger_.cancellations()) {
    if (cancelled.count(id) == 0) {
      ledger_.problem("the cancellation of run " + id +
                      " was acknowledged, and the run ended otherwise");
    }
  }
}

}  // namespace palyra::chaos
