// Proof that nothing was changed: verify, export, witness, key.
#include "clients/cli/commands.h"
#include "clients/cli/connection.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/public_key.h"
#include "clients/cli/terminal.h"
#include "clients/cli/text.h"
#include "clients/cli/when.h"
#include "clients/cli/words.h"
#include "palyra/gateway/v1/audit.grpc.pb.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>

namespace palyra::cli {

namespace {

using Clock = std::chrono::steady_clock;

unsigned long long ull(uint64_t number) { return number; }

// A line that is drawn over itself on standard error, if that is a terminal.
class Bar {
 public:
  explicit Bar(bool quiet) : shown_(!quiet && is_terminal(2)) {}
  ~Bar() { clear(); }

  // `all` = 0: not known yet.
  void draw(uint64_t done, uint64_t all, uint64_t bytes, const std::string& what) {
    const auto now = Clock::now();
    if (!shown_ || now - drawn_ < std::chrono::milliseconds(100)) return;
    drawn_ = now;
    constexpr uint64_t kWidth = 30;
    const uint64_t filled = all == 0 ? 0 : std::min(kWidth, done * kWidth / all);
    const double seconds = std::chrono::duration<double>(now - begun_).count();
    std::fprintf(stderr, "\r\033[K[%s%s] %3llu %%  %s  %.0f MB/s", std::string(filled, '#').c_str(),
                 std::string(kWidth - filled, '.').c_str(),
                 ull(all == 0 ? 0 : std::min<uint64_t>(100, done * 100 / all)), what.c_str(),
                 static_cast<double>(bytes) / 1e6 / std::max(seconds, 0.001));
    std::fflush(stderr);
    dirty_ = true;
  }
  void clear() {
    if (!dirty_) return;
    std::fputs("\r\033[K", stderr);
    dirty_ = false;
  }

 private:
  const bool shown_;
  const Clock::time_point begun_ = Clock::now();
  Clock::time_point drawn_{};
  bool dirty_ = false;
};

// The export is whole as a file; what it lacks, it says itself.
int incomplete(uint64_t missing) {
  return complain(std::to_string(missing) +
                      " archived records are not in the export: their files are gone or were "
                      "altered. Put them back into the directory of segments (palyra storage "
                      "status) and export again, or give them to palyra-audit-verify --segments",
                  kExitDamaged);
}

// What was damaged as a person reads it.
std::string words_of(const api::BadPlace& place) {
  if (place.stream().empty()) return place.reason();
  return place.stream() + ": record " + std::to_string(place.seq()) + " " + place.reason();
}

// With every field: a script asks for `ok` and `bad`, whatever they are.
std::string whole_json(const api::VerifyStoreResult& result, bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  options.add_whitespace = pretty;
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(result, &json, options);
  while (!json.empty() && json.back() == '\n') json.pop_back();
  return json;
}

// The same command, from there on.
std::string command_again(const AuditOptions& options, const std::string& cursor) {
  std::string command = "palyra audit verify";
  for (const std::string& key : options.keys) command += " --key " + shell_word(key);
  if (!options.witness.empty()) command += " --witness " + shell_word(options.witness);
  return cursor.empty() ? command : command + " --resume " + shell_word(cursor);
}

// Damaged places that were told before a cursor was: its fourth number.
uint64_t told_before(const std::string& cursor) {
  size_t at = 0;
  for (int field = 0; field < 3; ++field) {
    at = cursor.find('.', at);
    if (at++ == std::string::npos) return 0;
  }
  uint64_t number = 0;
  (void)std::from_chars(cursor.data() + at, cursor.data() + cursor.size(), number);
  return number;
}

// `told`: damaged places that were named, or counted before this began.
int conclude(const GlobalOptions& global, const api::VerifyStoreResult& result, uint64_t told) {
  if (global.output != Output::kText) {
    std::printf("%s\n", whole_json(result, global.output == Output::kJson).c_str());
  } else {
    std::printf("%s %s, %llu erased, %s\n",
                result.ok() ? styled(Style::kGreen, "verified").c_str()
                            : styled(Style::kRed, "damaged").c_str(),
                counted(result.records(), "record").c_str(), ull(result.erased()),
                counted(result.checkpoints(), "checkpoint").c_str());
    if (result.checkpoint_number() > 0) {
      std::printf("Checkpoint %llu of %s is the last; newer than that: %s.\n",
                  ull(result.checkpoint_number()), local_time(result.checkpoint_time_ms()).c_str(),
                  counted(result.uncovered(), "record").c_str());
    }
    if (!global.quiet) {
      for (const std::string& note : result.notes()) {
        std::printf("Note: %s.\n", printable(note).c_str());
      }
    }
  }
  if (result.ok()) return kExitOk;
  std::string places = counted(result.bad(), "place") + (result.bad() == 1 ? " is" : " are");
  places += " damaged";
  if (result.bad() > told) {
    places += ", " + std::to_string(result.bad() - told) + " of them not named above";
  }
  return complain(places + "; keep this store for the investigation and restore a backup",
                  kExitDamaged);
}

}  // namespace

int audit_verify(const GlobalOptions& global, const AuditOptions& options) {
  api::VerifyStoreRequest request;
  request.set_cursor(options.resume);
  for (const std::string& word : options.keys) {
    const PublicKey key = read_public_key(word);
    if (key.hex.empty()) return complain("--key " + word + ": " + key.problem, kExitUsage);
    request.add_keys(key.hex);
  }
  if (!options.witness.empty()) {
    const auto line = read_small_file(options.witness);
    if (!line) {
      return complain("cannot read " + options.witness + ": " + std::strerror(errno),
                      kExitNotFound);
    }
    request.set_witness(std::string(last_line(*line)));
    if (request.witness().empty()) {
      return complain(options.witness + " is empty; write a witness into it: palyra audit witness",
                      kExitInvalid);
    }
  }
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const auto stub = api::AuditService::NewStub(connection.channel());
  const auto context = connection.context(0);
  const Interrupt interrupt;
  Bar bar(global.quiet);
  const auto stream = stub->VerifyStore(context.get(), request);
  api::VerifyStoreEvent event;
  std::string cursor = options.resume;
  uint64_t told = told_before(options.resume);
  std::optional<api::VerifyStoreResult> result;
  while (!interrupt.seen() && stream->Read(&event)) {
    if (!event.cursor().empty()) cursor = event.cursor();
    for (const api::BadPlace& place : event.first_bad()) {
      bar.clear();
      ++told;
      if (global.output == Output::kText) {
        std::printf("%s\n", printable(words_of(place)).c_str());
      } else if (global.output == Output::kNdjson) {
        std::printf("%s\n", to_json(place, false).c_str());
      } else {
        std::fprintf(stderr, "%s\n", printable(words_of(place)).c_str());
      }
    }
    if (event.has_result()) result = event.result();
    bar.draw(
        event.position(), event.up_to(), event.bytes(),
        counted(event.records(), "record") + ", " + counted(event.checkpoints(), "checkpoint"));
  }
  bar.clear();
  if (interrupt.seen() && !result) {
    context->TryCancel();
    (void)stream->Finish();
    return complain("stopped; go on with: " + command_again(options, cursor), kExitInterrupted);
  }
  const grpc::Status status = stream->Finish();
  if (result && status.ok()) return conclude(global, *result, told);
  const int code = connection.explain(status);
  // A cursor that was refused, or with what was refused, leads nowhere.
  if (!cursor.empty() && code != kExitInvalid) {
    std::fprintf(stderr, "Go on with: %s\n", command_again(options, cursor).c_str());
  }
  return code == kExitOk ? static_cast<int>(kExitInternal) : code;
}

int audit_export(const GlobalOptions& global, const AuditOptions& options) {
  api::ExportAuditRequest request;
  request.set_session_id(options.session);
  request.set_principal(options.principal);
  request.set_run_id(options.run);
  for (const auto& [text, set] :
       {std::pair(&options.since, &api::ExportAuditRequest::set_since_ms),
        std::pair(&options.until, &api::ExportAuditRequest::set_until_ms)}) {
    if (text->empty()) continue;
    const auto ms = moment_ms(*text, now_ms());
    if (!ms || *ms < 0) {
      return complain("\"" + *text + "\" is no time; write " + kMomentExamples, kExitUsage);
    }
    (request.*set)(*ms);
  }
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const std::string temporary = options.file + ".part";
  FILE* const out = options.file.empty() ? stdout : std::fopen(temporary.c_str(), "we");
  if (out == nullptr) {
    return complain("cannot write " + temporary + ": " + std::strerror(errno), kExitCannotCreate);
  }
  const auto stub = api::AuditService::NewStub(connection.channel());
  const auto context = connection.context(0);
  const Interrupt interrupt;
  Bar bar(global.quiet);
  const auto stream = stub->ExportAudit(context.get(), request);
  api::ExportAuditChunk chunk;
  uint64_t bytes = 0;
  uint64_t missing = 0;
  bool written = true;
  int write_error = 0;
  while (written && !interrupt.seen() && stream->Read(&chunk)) {
    written = std::fwrite(chunk.data().data(), 1, chunk.data().size(), out) == chunk.data().size();
    if (!written) write_error = errno;
    bytes += chunk.data().size();
    missing = chunk.missing_records();
    for (const api::MissingRecords& range : chunk.missing()) {
      bar.clear();
      std::fprintf(stderr, "missing: records %llu to %llu of %s, archived in %s\n",
                   ull(range.first_seq()), ull(range.last_seq()), one_line(range.stream()).c_str(),
                   one_line(range.file()).c_str());
    }
    bar.draw(0, 0, bytes, counted(chunk.records(), "record"));
  }
  bar.clear();
  if (!written || interrupt.seen()) context->TryCancel();
  const grpc::Status status = stream->Finish();
  int code = kExitOk;
  if (interrupt.seen()) {
    code = kExitInterrupted;
  } else if (written) {
    code = connection.explain(status);
  }
  // That standard output could not be written is said at the end of every command.
  if (options.file.empty()) {
    return code == kExitOk && written && missing > 0 ? incomplete(missing) : code;
  }
  if (std::fclose(out) != 0 && written) {
    written = false;
    write_error = errno;
  }
  if (code == kExitOk && written && std::rename(temporary.c_str(), options.file.c_str()) != 0) {
    written = false;
    write_error = errno;
  }
  if (code == kExitOk && !written) {
    code = complain("cannot write " + options.file + ": " + std::strerror(write_error),
                    kExitCannotCreate);
  }
  if (code != kExitOk) {
    std::remove(temporary.c_str());
    return code;
  }
  std::fprintf(stderr,
               "%s of %s in %s; verify it with:\n"
               "  palyra-audit-verify --key KEY %s     (KEY: palyra audit key)\n",
               counted(chunk.records(), "record").c_str(),
               counted(chunk.streams(), "stream").c_str(), options.file.c_str(),
               options.file.c_str());
  return missing > 0 ? incomplete(missing) : static_cast<int>(kExitOk);
}

int audit_witness(const GlobalOptions& global) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const auto stub = api::AuditService::NewStub(connection.channel());
  const auto context = connection.context();
  api::GetWitnessResponse response;
  const grpc::Status status = stub->GetWitness(context.get(), {}, &response);
  if (!status.ok()) return connection.explain(status);
  if (response.line().empty()) {
    return complain("the store is empty: there is nothing to witness yet", kExitNotFound);
  }
  // The line is JSON whatever --output says.
  std::printf("%s\n", response.line().c_str());
  if (!global.quiet && is_terminal(1)) {
    std::fprintf(stderr,
                 "Keep this line where the daemon cannot write; then: palyra audit verify "
                 "--witness FILE\n");
  }
  return kExitOk;
}

int audit_key(const GlobalOptions& global) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const auto stub = api::AuditService::NewStub(connection.channel());
  const std::function<int(const api::GetAuditKeyResponse&)> text =
      [](const api::GetAuditKeyResponse& response) {
        std::printf("%s\n", response.public_key().c_str());
        return kExitOk;
      };
  return call_and_print(connection, static_cast<api::AuditService::StubInterface&>(*stub),
                        &api::AuditService::StubInterface::GetAuditKey, api::GetAuditKeyRequest(),
                        text);
}

}  // namespace palyra::cli
