#include "plugins/gateway/session/documents.h"

#include "plugins/common/digest/digest.h"
#include "plugins/common/utf8/utf8.h"

#include <utility>
#include <vector>

namespace palyra::gateway {
namespace {

void add_index(service::PutDocument& put, const char* index, std::string value) {
  auto& added = *put.add_index_values();
  added.set_index(index);
  added.set_value(std::move(value));
}

using IndexKinds = std::initializer_list<std::pair<const char*, service::IndexKind>>;

service::DeclareRequest declaration(const char* collection, IndexKinds indexes) {
  service::DeclareRequest request;
  request.set_collection(collection);
  for (const auto& [name, kind] : indexes) {
    auto& index = *request.add_indexes();
    index.set_name(name);
    index.set_kind(kind);
  }
  return request;
}

std::vector<service::DeclareRequest> declarations() {
  std::vector<service::DeclareRequest> out;
  out.push_back(declaration(kSessions, {{"key", service::INDEX_KIND_UNIQUE},
                                        {"owner_updated", service::INDEX_KIND_ORDERED},
                                        {"updated", service::INDEX_KIND_ORDERED},
                                        {"title", service::INDEX_KIND_TEXT}}));
  out.push_back(declaration(kRuns, {{"active", service::INDEX_KIND_ORDERED},
                                    {"owner", service::INDEX_KIND_ORDERED},
                                    {"session", service::INDEX_KIND_ORDERED}}));
  out.push_back(declaration(kApprovals, {{"pending", service::INDEX_KIND_ORDERED},
                                         {"owner_pending", service::INDEX_KIND_ORDERED},
                                         {"owner", service::INDEX_KIND_ORDERED},
                                         {"run", service::INDEX_KIND_ORDERED},
                                         {"lasting", service::INDEX_KIND_ORDERED}}));
  out.back().set_audited(true);
  out.push_back(declaration(kInputs, {}));
  out.push_back(declaration(kPartials, {}));
  out.push_back(declaration(kViews, {}));
  out.push_back(declaration(kSaid, {{"words", service::INDEX_KIND_TEXT}}));
  return out;
}

// Length-prefixed, so that no two lists of words hash alike.
std::string hash_words(std::initializer_list<std::string_view> words) {
  std::string all;
  for (const auto word : words) {
    all += ordered(static_cast<int64_t>(word.size()));
    all += word;
  }
  return digest::to_hex(digest::sha256(all));
}

template <typename Event>
void append_event(service::CommitRequest& commit, const std::string& stream, uint64_t expected_seq,
                  const Event& event, int64_t wall_time_ns) {
  const auto* field = Event::descriptor()->FindFieldByNumber(event.event_case());
  append(commit, stream, expected_seq, field != nullptr ? field->name() : std::string(),
         event.SerializeAsString(), wall_time_ns);
}

}  // namespace

std::string run_stream(std::string_view run_id) { return "run/" + std::string(run_id); }
std::string session_stream(std::string_view session_id) {
  return "session/" + std::string(session_id);
}

std::string ordered(int64_t number) {
  std::string out(8, '\0');
  auto bits = static_cast<uint64_t>(number);
  for (size_t i = 8; i-- > 0; bits >>= 8) out[i] = static_cast<char>(bits & 0xFF);
  return out;
}

Task<Status> declare_documents(Journal& store) {
  for (auto& request : declarations()) {
    const Status status = co_await store.declare(std::move(request));
    if (!status.ok()) co_return status;
  }
  co_return Status();
}

std::string owner_key(std::string_view principal) {
  // Most commits are of the principal of the one before.
  thread_local std::string last_principal;
  thread_local std::string last_key;
  if (last_key.empty() || last_principal != principal) {
    last_key = digest::to_hex(digest::sha256(principal)).substr(0, 32);
    last_principal = principal;
  }
  return last_key;
}

std::string session_key(std::string_view principal, std::string_view device_id,
                        std::string_view channel, std::string_view conversation) {
  return hash_words({principal, device_id, channel, conversation});
}

std::string input_key(std::string_view principal, std::string_view idempotency_key) {
  return hash_words({principal, idempotency_key});
}

bool ended(api::RunState state) {
  return state == api::RUN_STATE_COMPLETED || state == api::RUN_STATE_CANCELLED ||
         state == api::RUN_STATE_FAILED;
}

bool lasts(const tape::ApprovalDecided& decision) {
  if (decision.verdict() != tape::APPROVAL_VERDICT_ALLOW) return false;
  return decision.scope() == tape::APPROVAL_SCOPE_TIMEBOXED ||
         (decision.scope() == tape::APPROVAL_SCOPE_SESSION && decision.until_ms() == 0);
}

std::vector<std::string> input_ids(const run::State& state) {
  std::vector<std::string> ids = {state.created.input_id()};
  for (const auto& input : state.inputs) ids.push_back(input.added.input_id());
  return ids;
}

std::string title_of(std::string_view text) {
  constexpr size_t kPreviewBytes = 200;
  constexpr size_t kTitleBytes = 80;
  constexpr std::string_view kBlank = " \t\r\n\f\v";
  text = utf8::prefix(text, kPreviewBytes);
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin);
  text = text.substr(0, text.find_first_of("\r\n"));
  return std::string(utf8::prefix(text, kTitleBytes));
}

void put_session(service::CommitRequest& commit, const api::Session& session) {
  auto& put = *commit.add_puts();
  put.set_collection(kSessions);
  put.set_key(session.session_id());
  put.set_value(session.SerializeAsString());
  const std::string owner = owner_key(session.principal());
  if (!session.conversation().empty()) {
    add_index(put, "key",
              session_key(session.principal(), session.device_id(), session.channel(),
                          session.conversation()));
  }
  add_index(put, "owner_updated", owner + ordered(session.updated_at_ms()));
  add_index(put, "updated", ordered(session.updated_at_ms()));
  // The owner is a word of the text, so that a search needs no filter after it.
  if (!session.title().empty()) add_index(put, "title", "o" + owner + " " + session.title());
}

void put_run(service::CommitRequest& commit, const api::Run& run) {
  auto& put = *commit.add_puts();
  put.set_collection(kRuns);
  put.set_key(run.run_id());
  put.set_value(run.SerializeAsString());
  if (!ended(run.state())) add_index(put, "active", owner_key(run.principal()));
  add_index(put, "owner", owner_key(run.principal()));
  add_index(put, "session", run.session_id());
}

void put_approval(service::CommitRequest& commit, const api::Approval& approval, int64_t now_ns) {
  const std::string& id = approval.request().approval_id();
  auto& put = *commit.add_puts();
  put.set_collection(kApprovals);
  put.set_key(id);
  put.set_value(approval.SerializeAsString());
  const std::string owner = owner_key(approval.principal());
  if (!approval.has_decision()) {
    add_index(put, "pending", "1");
    add_index(put, "owner_pending", owner);
  }
  add_index(put, "owner", owner);
  add_index(put, "run", approval.run_id());
  const tape::ApprovalDecided& decision = approval.decision();
  if (lasts(decision) &&
      (decision.until_ms() == 0 || decision.until_ms() > now_ns / kNanosPerMilli)) {
    add_index(put, "lasting", approval.session_id());
  }

  tape::AuditEvent audit;
  auto& changed = *audit.mutable_approval_changed();
  changed.set_approval_id(id);
  changed.set_run_id(approval.run_id());
  changed.set_verdict(approval.decision().verdict());
  changed.set_scope(approval.decision().scope());
  changed.set_decided_by(approval.decision().decided_by());
  changed.set_surface(approval.decision().surface());
  changed.set_credential_id(approval.decision().credential_id());
  service::Append* batch = nullptr;
  for (auto& existing : *commit.mutable_appends()) {
    if (existing.stream() == kAuditStream) batch = &existing;
  }
  if (batch == nullptr) {
    batch = commit.add_appends();
    batch->set_stream(kAuditStream);  // many write here: no expected sequence
  }
  auto& record = *batch->add_records();
  record.set_type("approval_changed");
  record.set_payload(audit.SerializeAsString());
  record.set_wall_time_ns(now_ns);
}

void put_input(service::CommitRequest& commit, std::string_view key,
               const api::RouteMessageResponse& answer) {
  auto& put = *commit.add_puts();
  put.set_collection(kInputs);
  put.set_key(std::string(key));
  put.set_value(answer.SerializeAsString());
  put.set_expected_version(0);
}

void append(service::CommitRequest& commit, const std::string& stream, uint64_t expected_seq,
            std::string_view type, std::string payload, int64_t wall_time_ns) {
  service::Append* batch = nullptr;
  for (auto& existing : *commit.mutable_appends()) {
    if (existing.stream() == stream) batch = &existing;
  }
  if (batch == nullptr) {
    batch = commit.add_appends();
    batch->set_stream(stream);
    batch->set_expected_seq(expected_seq);
  }
  auto& record = *batch->add_records();
  record.set_type(std::string(type));
  record.set_payload(std::move(payload));
  record.set_wall_time_ns(wall_time_ns);
}

void append(service::CommitRequest& commit, const std::string& stream, uint64_t expected_seq,
            const tape::SessionEvent& event, int64_t wall_time_ns) {
  append_event(commit, stream, expected_seq, event, wall_time_ns);
}

void append(service::CommitRequest& commit, const std::string& stream, uint64_t expected_seq,
            const tape::RunEvent& event, int64_t wall_time_ns) {
  append_event(commit, stream, expected_seq, event, wall_time_ns);
}

void expect(service::CommitRequest& commit, const std::string& stream, uint64_t seq) {
  for (const auto& batch : commit.appends()) {
    if (batch.stream() == stream) return;
  }
  auto& check = *commit.add_appends();
  check.set_stream(stream);
  check.set_expected_seq(seq);
}

uint64_t last_seq(const service::CommitRequest& commit, const std::string& stream,
                  uint64_t expected_seq) {
  for (const auto& batch : commit.appends()) {
    if (batch.stream() == stream) return expected_seq + static_cast<uint64_t>(batch.records_size());
  }
  return expected_seq;
}

const service::Appended* appended(const service::CommitResponse& response,
                                  const std::string& stream) {
  for (const auto& each : response.appended()) {
    if (each.stream() == stream) return &each;
  }
  return nullptr;
}

Task<Result<std::vector<api::Run>>> runs_of(Journal& journal, std::string session_id,
                                            bool unended) {
  std::vector<api::Run> runs;
  std::string cursor;
  do {
    service::QueryRequest query;
    query.set_collection(kRuns);
    query.set_index("session");
    query.set_from(session_id);
    query.set_to(session_id + '\0');
    query.set_limit(500);
    query.set_cursor(cursor);
    auto page = co_await journal.query(std::move(query));
    if (!page.ok()) co_return page.status();
    for (const auto& document : page->documents()) {
      api::Run run;
      if (!run.ParseFromString(document.value()) || (unended && ended(run.state()))) continue;
      runs.push_back(std::move(run));
    }
    cursor = page->next_cursor();
  } while (!cursor.empty());
  co_return runs;
}

Task<Result<std::string>> load_document(Journal& store, const char* collection, std::string key,
                                        std::string what) {
  service::GetRequest request;
  request.set_collection(collection);
  request.set_key(std::move(key));
  auto got = co_await store.get(std::move(request));
  if (!got.ok()) co_return got.status();
  if (!got->has_document()) co_return Status(Code::kNotFound, "there is no " + what);
  co_return std::move(*got->mutable_document()->mutable_value());
}

}  // namespace palyra::gateway
