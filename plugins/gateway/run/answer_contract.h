// The final-answer contract: what a model's last text must be to end a run. Pure.
#pragma once

#include "plugins/gateway/run/decide.h"

#include <string>
#include <string_view>

namespace palyra::gateway::run {

// Empty if the answer stands; otherwise one sentence for the model that says what to repair: it is
// empty, cut off, filtered, only promises work ("I will now ..."), or does not match the schema.
std::string judge_answer(std::string_view text, service::FinishReason finish_reason,
                         std::string_view schema_json, const SchemaCheck& schema_check);

// True if the whole text announces work as the next step instead of answering. Conservative: a text
// over 400 bytes, with a question, a list, code or a result in it is not a promise.
bool is_promise(std::string_view text);

}  // namespace palyra::gateway::run
