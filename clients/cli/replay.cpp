// palyra replay, and runs as files.
#include "clients/cli/commands.h"
#include "clients/cli/compare_view.h"
#include "clients/cli/connection.h"
#include "clients/cli/terminal.h"
#include "clients/cli/when.h"
#include "clients/cli/words.h"
#include "palyra/gateway/v1/replay.grpc.pb.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <sys/stat.h>
#include <vector>

namespace palyra::cli {

namespace {

using ReplayStub = api::ReplayService::Stub;

constexpr size_t kPartBytes = size_t{1} << 20;
constexpr size_t kPromptBytes = size_t{1} << 20;
// Many tapes, or a large file.
constexpr int kLongSeconds = 3600;
constexpr int kReplaySeconds = 300;
constexpr int kReplayPartSeconds = 20;

bool is_file(const std::string& path) {
  struct stat about {};
  return ::stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode);
}

bool is_ulid(const std::string& word) {
  return word.size() == 26 &&
         word.find_first_not_of("0123456789ABCDEFGHJKMNPQRSTVWXYZ") == std::string::npos;
}

std::string line_of(const api::Divergence& divergence) {
  std::string line = "record " + std::to_string(divergence.seq()) + ": the loop wants " +
                     divergence.wanted() + ", the tape has " + divergence.recorded();
  for (int i = 0; i < divergence.fields_size(); ++i) {
    line += i == 0 ? " with another " : ", ";
    line += divergence.fields(i);
  }
  return one_line(line);
}

std::string verdict_words(const api::ReplayReport& report) {
  switch (report.verdict()) {
    case api::REPLAY_VERDICT_SAME:
      return styled(Style::kGreen, "the same");
    case api::REPLAY_VERDICT_OTHER_VERSION:
      return styled(Style::kYellow, "made by loop version " +
                                        std::to_string(report.loop_version()) + ", replayed by " +
                                        std::to_string(report.replayed_by()));
    case api::REPLAY_VERDICT_ERASED:
      return styled(Style::kYellow, "erased: it cannot be told");
    case api::REPLAY_VERDICT_UNREADABLE:
      return styled(Style::kRed, "cannot be read");
    default:
      return styled(Style::kRed, "diverged");
  }
}

void print_report(const api::ReplayReport& report) {
  std::printf("%s %s: %s, %s compared, %llu differ\n", one_line(report.run_id()).c_str(),
              verdict_words(report).c_str(), counted(report.records(), "record").c_str(),
              counted(report.compared(), "decision").c_str(),
              static_cast<unsigned long long>(report.divergence_count()));
  for (const auto& divergence : report.divergences()) {
    std::printf("  %s\n", line_of(divergence).c_str());
  }
  const std::string of = std::to_string(report.segments_verified()) + " of " +
                         std::to_string(report.segments()) + " segments";
  switch (report.prompt()) {
    case api::PROMPT_CHECK_VERIFIED:
      std::printf("prompts verified: %s\n", of.c_str());
      break;
    case api::PROMPT_CHECK_NOT_VERIFIABLE:
      std::printf("prompts not verifiable: %s; %s\n", of.c_str(),
                  one_line(report.prompt_note()).c_str());
      break;
    case api::PROMPT_CHECK_DIFFERS:
      std::printf("%s: %s\n", styled(Style::kRed, "prompts differ").c_str(),
                  one_line(report.prompt_note()).c_str());
      break;
    default:
      break;
  }
}

int code_of(const api::ReplayReport& report) {
  const bool version = report.verdict() == api::REPLAY_VERDICT_OTHER_VERSION;
  if (report.verdict() == api::REPLAY_VERDICT_DIVERGED) return kExitRunFailed;
  return report.prompt() == api::PROMPT_CHECK_DIFFERS && !version ? kExitRunFailed : kExitOk;
}

bool changes(const ReplayOptions& options) {
  return !options.model.empty() || !options.provider.empty() || options.prompt.has_value() ||
         !options.tools.empty();
}

// What is to be changed; false after saying what cannot be read.
bool fill(api::RepeatRunRequest& request, const ReplayOptions& options) {
  request.set_model(options.model);
  request.set_provider(options.provider);
  request.set_tools(options.tools == "live" ? tape::v1::REPLAY_TOOLS_LIVE
                                            : tape::v1::REPLAY_TOOLS_RECORDED);
  if (!options.prompt) return true;
  std::string text = *options.prompt;
  if (is_file(text)) {
    std::ifstream in(text, std::ios::binary);
    std::ostringstream all;
    all << in.rdbuf();
    if (!in) {
      complain("cannot read " + text + ": " + std::strerror(errno), kExitInvalid);
      return false;
    }
    text = all.str();
  }
  if (text.size() > kPromptBytes || !is_utf8(text)) {
    complain("the prompt must be at most 1 MiB of UTF-8", kExitInvalid);
    return false;
  }
  request.set_prompt(text);
  return true;
}

int print_message(Connection& connection, const google::protobuf::Message& message) {
  std::printf("%s\n", to_json(message, connection.options().output == Output::kJson).c_str());
  return kExitOk;
}

int print_comparison(Connection& connection, const api::RunComparison& comparison) {
  if (connection.options().output != Output::kText) return print_message(connection, comparison);
  std::fputs(render(comparison, terminal_width(1)).c_str(), stdout);
  return kExitOk;
}

// Until the run has ended, and how; the exit code if it will not without somebody.
int wait_for(Connection& connection, const std::string& run_id, api::RunState* end) {
  Progress progress("repeating the run as " + run_id);
  for (;;) {
    api::WaitRunRequest request;
    request.set_run_id(run_id);
    request.set_until_waiting(true);
    request.set_timeout_ms(int64_t{kReplayPartSeconds} * 1000);
    api::WaitRunResponse response;
    auto context = connection.context(kReplayPartSeconds + 10);
    const auto status = ask_run(connection, *context, request, &response);
    if (!status.ok()) return connection.explain(status);
    const auto& run = response.run();
    if (run.state() == api::RUN_STATE_WAITING &&
        run.wait_reason() != api::WAIT_REASON_PROVIDER_CAPACITY) {
      progress.alive();
      return complain("the repetition " + run_id +
                          " waits for somebody; see: palyra approvals list. When it has ended: "
                          "palyra runs compare " +
                          run_id,
                      kExitWaiting);
    }
    if (run.finished_at_ms() == 0) continue;
    *end = run.state();
    return kExitOk;
  }
}

// Of a repetition that was shown beside its original.
int code_of(api::RunState end, const std::string& run_id) {
  if (end == api::RUN_STATE_COMPLETED) return kExitOk;
  return complain("the repetition " + run_id +
                      (end == api::RUN_STATE_CANCELLED ? " was cancelled" : " failed") +
                      "; see: palyra runs show " + run_id,
                  kExitRunFailed);
}

// Streams the file to the daemon.
int send_file(Connection& connection, ReplayStub& stub, const std::string& path,
              api::ReplayFileRequest first, api::ReplayFileResponse* response) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return complain("cannot read " + path + ": " + std::strerror(errno), kExitNotFound);
  Progress progress("replaying " + path);
  auto context = connection.context(kLongSeconds);
  auto writer = stub.ReplayFile(context.get(), response);
  std::string part(kPartBytes, '\0');
  api::ReplayFileRequest request = std::move(first);
  do {
    in.read(part.data(), static_cast<std::streamsize>(part.size()));
    request.set_data(part.data(), static_cast<size_t>(in.gcount()));
    if (!writer->Write(request)) break;
    request.Clear();
  } while (in);
  writer->WritesDone();
  const auto status = writer->Finish();
  progress.alive();
  if (status.ok()) return kExitOk;
  // What is wrong with the file is no failure of the daemon.
  if (status.error_code() == grpc::StatusCode::DATA_LOSS) {
    return complain(path + ": " + one_line(status.error_message()), kExitInvalid);
  }
  if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) {
    return complain(path + ": " + one_line(status.error_message()), kExitInvalid);
  }
  return connection.explain(status);
}

int replay_file(Connection& connection, ReplayStub& stub, const ReplayOptions& options) {
  api::ReplayFileRequest first;
  api::ReplayFileResponse response;
  if (changes(options) && !fill(*first.mutable_repeat(), options)) return kExitInvalid;
  if (const int code = send_file(connection, stub, options.what, first, &response);
      code != kExitOk) {
    return code;
  }
  if (!response.has_repeated_as()) {
    if (connection.options().output == Output::kText) {
      print_report(response.report());
    } else {
      print_message(connection, response.report());
    }
    return code_of(response.report());
  }
  const std::string run_id = response.repeated_as().run_id();
  api::RunState end = api::RUN_STATE_UNSPECIFIED;
  if (const int code = wait_for(connection, run_id, &end); code != kExitOk) return code;
  api::ReplayFileRequest beside;
  beside.set_compare_with(run_id);
  if (const int code = send_file(connection, stub, options.what, beside, &response);
      code != kExitOk) {
    return code;
  }
  print_comparison(connection, response.comparison());
  return code_of(end, run_id);
}

int replay_all(Connection& connection, ReplayStub& stub, const ReplayOptions& options) {
  api::ReplayAllRequest request;
  if (!options.since.empty()) {
    const auto since = moment_ms(options.since, now_ms());
    if (!since || *since < 0) {
      return complain("\"" + options.since + "\" is no time; write " + kMomentExamples, kExitUsage);
    }
    request.set_since_ms(*since);
  }
  request.set_session_id(options.session);
  request.set_limit(static_cast<uint32_t>(options.limit));
  Progress progress("replaying");
  auto context = connection.context(kLongSeconds);
  auto reader = stub.ReplayAll(context.get(), request);
  api::ReplayAllEvent event;
  api::ReplayAllSummary summary;
  const Output output = connection.options().output;
  bool first = true;
  uint64_t runs = 0;
  while (reader->Read(&event)) {
    if (event.has_summary()) summary = event.summary();
    const auto& report = event.report();
    if (output != Output::kText) {
      if (output == Output::kJson) std::printf(first ? "[" : ",");
      first = false;
      print_message(connection, event);
    } else if (event.has_report() && report.verdict() != api::REPLAY_VERDICT_SAME) {
      progress.alive();
      Progress::make_room();
      std::string why = one_line(report.problem());
      if (report.divergences_size() > 0) why = line_of(report.divergences(0));
      std::printf("%s %s%s\n", one_line(report.run_id()).c_str(), verdict_words(report).c_str(),
                  why.empty() ? "" : (": " + why).c_str());
    }
    if (event.has_report() && ++runs % 100 == 0) {
      progress.describe("replaying: " + counted(runs, "run"));
    }
  }
  const auto status = reader->Finish();
  progress.alive();
  // Also of what was there before it went wrong.
  if (output == Output::kJson) std::printf(first ? "[]\n" : "]\n");
  if (!status.ok()) return connection.explain(status);
  if (output == Output::kText) {
    const std::string unreadable =
        summary.unreadable() == 0 ? ""
                                  : ", " + std::to_string(summary.unreadable()) + " cannot be read";
    std::printf(
        "%s: %llu the same, %llu diverged, %llu of other versions, %llu erased%s; %s compared\n",
        counted(summary.runs(), "run").c_str(), static_cast<unsigned long long>(summary.same()),
        static_cast<unsigned long long>(summary.diverged()),
        static_cast<unsigned long long>(summary.other_version()),
        static_cast<unsigned long long>(summary.erased()), unreadable.c_str(),
        counted(summary.compared(), "decision").c_str());
  }
  return summary.diverged() + summary.unreadable() == 0 ? kExitOk : kExitRunFailed;
}

int compare_with_original(Connection& connection, ReplayStub& stub, const std::string& run_id,
                          const std::string& other) {
  api::CompareRunsRequest request;
  request.set_run_id(run_id);
  request.set_other_run_id(other);
  api::RunComparison comparison;
  auto context = connection.context(kReplaySeconds);
  const auto status = stub.CompareRuns(context.get(), request, &comparison);
  if (!status.ok()) return connection.explain(status);
  return print_comparison(connection, comparison);
}

int replay_one(Connection& connection, ReplayStub& stub, const ReplayOptions& options) {
  if (changes(options)) {
    api::RepeatRunRequest request;
    request.set_run_id(options.what);
    if (!fill(request, options)) return kExitInvalid;
    api::RepeatRunResponse response;
    auto context = connection.context();
    const auto status = stub.RepeatRun(context.get(), request, &response);
    if (!status.ok()) return connection.explain(status);
    api::RunState end = api::RUN_STATE_UNSPECIFIED;
    if (const int code = wait_for(connection, response.run_id(), &end); code != kExitOk) {
      return code;
    }
    const int code = compare_with_original(connection, stub, response.run_id(), options.what);
    return code == kExitOk ? code_of(end, response.run_id()) : code;
  }
  api::ReplayRunRequest request;
  request.set_run_id(options.what);
  api::ReplayReport report;
  Progress progress("replaying");
  auto context = connection.context(kReplaySeconds);
  const auto status = stub.ReplayRun(context.get(), request, &report);
  progress.alive();
  if (!status.ok()) return connection.explain(status);
  if (connection.options().output == Output::kText) {
    print_report(report);
  } else {
    print_message(connection, report);
  }
  return code_of(report);
}

}  // namespace

int replay(const GlobalOptions& global, const ReplayOptions& options) {
  if (options.all == !options.what.empty()) {
    return complain("name a run or an exported file, or say --all", kExitUsage);
  }
  if (!options.all && (!options.since.empty() || !options.session.empty() || options.limit != 0)) {
    return complain("--since, --session and --limit choose among all runs; say --all with them",
                    kExitUsage);
  }
  if (options.all && changes(options)) {
    return complain("--all only checks; change one run at a time", kExitUsage);
  }
  if (!options.all && !is_ulid(options.what) && !is_file(options.what)) {
    return complain(
        "there is no file " + options.what + ", and it is no run's id; see: palyra runs list",
        kExitNotFound);
  }
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const auto stub = connection.stub<api::ReplayService>();
  if (options.all) return replay_all(connection, *stub, options);
  if (is_file(options.what)) return replay_file(connection, *stub, options);
  return replay_one(connection, *stub, options);
}

int compare_runs(const GlobalOptions& global, const std::string& run_id, const std::string& other) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const auto stub = connection.stub<api::ReplayService>();
  return compare_with_original(connection, *stub, run_id, other);
}

int export_run(const GlobalOptions& global, const std::string& run_id, const std::string& file) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  const auto stub = connection.stub<api::ReplayService>();
  const std::string temporary = file + ".part";
  FILE* out = file.empty() ? stdout : std::fopen(temporary.c_str(), "we");
  if (out == nullptr) {
    return complain("cannot write " + temporary + ": " + std::strerror(errno), kExitCannotCreate);
  }
  api::ExportRunRequest request;
  request.set_run_id(run_id);
  Progress progress("exporting");
  auto context = connection.context(kLongSeconds);
  auto reader = stub->ExportRun(context.get(), request);
  api::FilePart part;
  std::vector<std::string> notes;
  while (reader->Read(&part)) {
    std::fwrite(part.data().data(), 1, part.data().size(), out);
    for (const std::string& note : part.notes()) notes.push_back(note);
  }
  const auto status = reader->Finish();
  progress.alive();
  int code = status.ok() ? kExitOk : connection.explain(status);
  const auto say_notes = [&notes] {
    for (const std::string& note : notes) {
      std::fprintf(stderr, "Note: %s.\n", one_line(note).c_str());
    }
  };
  if (file.empty()) {
    say_notes();
    return code;
  }
  const bool written = std::ferror(out) == 0;
  const bool closed = std::fclose(out) == 0;
  if (code == kExitOk &&
      (!written || !closed || std::rename(temporary.c_str(), file.c_str()) != 0)) {
    code = complain("cannot write " + file + ": " + std::strerror(errno), kExitCannotCreate);
  }
  if (code != kExitOk) {
    std::remove(temporary.c_str());
    return code;
  }
  std::fprintf(stderr, "%s can be replayed anywhere with: palyra replay %s\n", run_id.c_str(),
               file.c_str());
  say_notes();
  return kExitOk;
}

}  // namespace palyra::cli
