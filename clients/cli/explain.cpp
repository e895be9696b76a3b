// What went into the prompts of a run, segment by segment.
#include "clients/cli/commands.h"
#include "clients/cli/connection.h"
#include "clients/cli/terminal.h"
#include "clients/cli/words.h"

#include <algorithm>
#include <cstdio>

namespace palyra::cli {

namespace {

using SessionStub = api::SessionService::Stub;

constexpr int64_t kBarColumns = 24;

const char* kind_word(tape::v1::SegmentKind kind) {
  switch (kind) {
    case tape::v1::SEGMENT_KIND_SYSTEM:
      return "system";
    case tape::v1::SEGMENT_KIND_AGENT:
      return "agent";
    case tape::v1::SEGMENT_KIND_HISTORY:
      return "history";
    case tape::v1::SEGMENT_KIND_INPUT:
      return "input";
    case tape::v1::SEGMENT_KIND_RUN:
      return "run";
    case tape::v1::SEGMENT_KIND_REPAIR:
      return "repair";
    case tape::v1::SEGMENT_KIND_SUMMARY:
      return "summary";
    case tape::v1::SEGMENT_KIND_PINNED:
      return "pinned";
    default:
      return "other";
  }
}

const char* provenance_word(common::v1::Provenance provenance) {
  switch (provenance) {
    case common::v1::PROVENANCE_OPERATOR:
      return "operator";
    case common::v1::PROVENANCE_PRINCIPAL:
      return "principal";
    case common::v1::PROVENANCE_MODEL:
      return "model";
    case common::v1::PROVENANCE_WORKSPACE:
      return "workspace";
    default:
      return "untrusted";
  }
}

const char* trigger_word(tape::v1::CompactionTrigger trigger) {
  switch (trigger) {
    case tape::v1::COMPACTION_TRIGGER_BUDGET:
      return "the history was too long for the budget";
    case tape::v1::COMPACTION_TRIGGER_COMMAND:
      return "asked for";
    case tape::v1::COMPACTION_TRIGGER_OVERFLOW:
      return "the provider refused the prompt as too long";
    default:
      return "";
  }
}

// A share of the budget; for terminals only.
std::string bar(int64_t tokens, int64_t budget) {
  if (!is_terminal(1) || budget <= 0) return "";
  const int64_t filled = std::clamp<int64_t>(tokens * kBarColumns / budget, 0, kBarColumns);
  return std::string(static_cast<size_t>(tokens > 0 ? std::max<int64_t>(filled, 1) : 0), '#');
}

void print_context(const api::ExplainedContext& context, bool full) {
  std::printf("turn %u  %s  %lld of %lld tokens", context.turn(), one_line(context.model()).c_str(),
              static_cast<long long>(context.tokens()),
              static_cast<long long>(context.budget_tokens()));
  if (context.dropped_tokens() > 0) {
    std::printf(", %lld dropped", static_cast<long long>(context.dropped_tokens()));
  }
  std::printf("%s\n", context.compaction_wanted() ? ", to be compacted first" : "");
  Table table({"SEGMENT", "FROM", "TOKENS", "", "SOURCE"});
  for (const auto& explained : context.segments()) {
    const auto& segment = explained.segment();
    table.add({kind_word(segment.kind()), provenance_word(segment.provenance()),
               std::to_string(segment.tokens()),
               segment.dropped() ? "dropped" : bar(segment.tokens(), context.budget_tokens()),
               segment.source()});
  }
  if (context.tool_tokens() > 0) {
    table.add({"tools", "operator", std::to_string(context.tool_tokens()),
               bar(context.tool_tokens(), context.budget_tokens()), "tool definitions"});
  }
  table.print();
  if (full) {
    std::printf("%s\n", context.as_sent()
                            ? "as sent: compiled again it is the request on the tape"
                            : ("not compared: " + printable(context.detail())).c_str());
    for (const auto& explained : context.segments()) {
      std::printf("\n%s\n%s\n",
                  styled(Style::kBold, std::string("-- ") + kind_word(explained.segment().kind()) +
                                           ", " + one_line(explained.segment().source()))
                      .c_str(),
                  printable(explained.content()).c_str());
    }
  }
  std::printf("\n");
}

void print_compaction(const api::ExplainedCompaction& compaction) {
  std::printf("compaction by %s: %s\n", one_line(compaction.model()).c_str(),
              trigger_word(compaction.trigger()));
  if (compaction.has_finished()) {
    const auto& finished = compaction.finished();
    std::printf("  %s, %lld -> %lld tokens\n", counted(finished.turns(), "turn").c_str(),
                static_cast<long long>(finished.tokens_before()),
                static_cast<long long>(finished.tokens_after()));
  } else if (compaction.has_failure()) {
    std::printf("  failed: %s\n", one_line(compaction.failure().message()).c_str());
  }
  if (!compaction.summary().empty()) std::printf("\n%s\n", printable(compaction.summary()).c_str());
  std::printf("\n");
}

}  // namespace

int explain_run(const GlobalOptions& global, const std::string& run_id, int turn, bool full) {
  Connection connection(global);
  if (const int code = connection.find_daemon(); code != kExitOk) return code;
  api::ExplainRunRequest request;
  request.set_run_id(run_id);
  request.set_turn(static_cast<uint32_t>(turn));
  request.set_full(full);
  return call_and_print<SessionStub, api::ExplainRunRequest, api::ExplainRunResponse>(
      connection, connection.sessions(), &SessionStub::ExplainRun, request,
      [full](const api::ExplainRunResponse& response) {
        if (response.contexts().empty()) std::printf("No prompt was made yet.\n");
        for (const auto& context : response.contexts()) print_context(context, full);
        for (const auto& compaction : response.compactions()) print_compaction(compaction);
        return static_cast<int>(kExitOk);
      });
}

}  // namespace palyra::cli
