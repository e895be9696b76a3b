// Errors of the API as typed failures. Pure.
#pragma once

#include "plugins/common/http/http.h"
#include "plugins/common/provider/failure.h"

#include <string>
#include <string_view>

namespace palyra::openai {

// From an HTTP answer that is no success: its status, headers and body (JSON or not, may be cut).
// `key` is removed from what the server says, in case it repeats it.
provider::Failure failure_of_answer(const std::string& endpoint, const http::ResponseHead& head,
                                    std::string_view body, std::string_view key,
                                    int64_t wall_now_ns);

// From an {"error": ...} object inside an answer of status 200; `json` is the whole document.
// Nothing in it that says what kind it is: UNAVAILABLE.
provider::Failure failure_of_error_object(const std::string& endpoint, std::string_view json,
                                          std::string_view key);

// From a transport that failed (http::ResponseHandler::on_done).
provider::Failure failure_of_transport(const Status& status);

// One line for people: at most 300 bytes, printable, without `key` and anything that looks like
// one.
std::string scrub(std::string_view text, std::string_view key);

}  // namespace palyra::openai
