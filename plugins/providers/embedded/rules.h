// The rule-based answers of model "rules" and "bench". Pure functions of the prompt.
#pragma once

#include "palyra/service/v1/provider.pb.h"
#include "plugins/providers/embedded/answer.h"

namespace palyra::embedded {

inline constexpr const char* kRulesModel = "rules";
inline constexpr const char* kBenchModel = "bench";

// Commands are lines of the last user message:
//   /tool NAME {json}   calls a tool; several lines, several calls
//   /echo TEXT          answers TEXT
//   /tools              lists the tools that were offered
//   /deltas N M         N deltas of M bytes (N <= 10,000,000, 1 <= M <= 65,536)
//   /help               says so
// Results of tools that came after that message are summarised. Anything else gets an answer that
// says plainly that no language model is at work.
Answer answer_by_rules(const service::v1::ChatRequest& request);

// `/deltas N M` if the last user message asks for it, else 20 deltas of 64 bytes.
Answer answer_bench(const service::v1::ChatRequest& request);

}  // namespace palyra::embedded
