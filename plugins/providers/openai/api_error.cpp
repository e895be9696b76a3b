#include "plugins/providers/openai/api_error.h"

#include "plugins/common/retry/retry_after.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>

namespace palyra::openai {
namespace {

using nlohmann::json;
using service::v1::FailureKind;

constexpr size_t kMaxMessage = 300;

struct ApiError {
  std::string message;
  std::string code;
  std::string type;
};

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  return found->is_number_integer() ? found->dump() : std::string();
}

// {"error": {"message", "code", "type"}}, {"error": "text"} or {"message": "text"}.
ApiError parse_error(std::string_view body) {
  ApiError error;
  json root = json::parse(body, nullptr, false);
  if (root.is_array() && !root.empty()) root = json(root[0]);
  if (!root.is_object()) return error;
  const auto found = root.find("error");
  if (found != root.end() && found->is_string()) {
    error.message = found->get<std::string>();
    return error;
  }
  const json& object = found != root.end() && found->is_object() ? *found : root;
  error.message = text_of(object, "message");
  error.code = text_of(object, "code");
  error.type = text_of(object, "type");
  return error;
}

bool mentions(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

bool is_quota(const ApiError& error) {
  return error.code == "insufficient_quota" || error.type == "insufficient_quota" ||
         error.code == "billing_hard_limit_reached" || error.code == "billing_not_active";
}

bool is_overflow(const ApiError& error) {
  return error.code == "context_length_exceeded" || error.code == "string_above_max_length" ||
         mentions(error.message, "maximum context length") ||
         mentions(error.message, "context window") || mentions(error.message, "context length");
}

FailureKind kind_of(int status, const ApiError& error) {
  if (error.code == "invalid_api_key") return service::v1::FAILURE_KIND_AUTH;
  if (error.code == "model_not_found") return service::v1::FAILURE_KIND_MODEL_NOT_FOUND;
  if (is_quota(error)) return service::v1::FAILURE_KIND_QUOTA;
  if (error.code == "rate_limit_exceeded") return service::v1::FAILURE_KIND_RATE_LIMIT;
  if (status < 500 && is_overflow(error)) return service::v1::FAILURE_KIND_CONTEXT_OVERFLOW;
  switch (status) {
    case 401:
    case 403:
      return service::v1::FAILURE_KIND_AUTH;
    case 402:
      return service::v1::FAILURE_KIND_QUOTA;
    case 404:
      return service::v1::FAILURE_KIND_MODEL_NOT_FOUND;
    case 408:
    case 504:
      return service::v1::FAILURE_KIND_TIMEOUT;
    case 429:
      return service::v1::FAILURE_KIND_RATE_LIMIT;
    default:
      break;
  }
  if (status >= 500) return service::v1::FAILURE_KIND_UNAVAILABLE;
  return status >= 400 ? service::v1::FAILURE_KIND_BAD_REQUEST : service::v1::FAILURE_KIND_PROTOCOL;
}

const char* advice(FailureKind kind) {
  switch (kind) {
    case service::v1::FAILURE_KIND_AUTH:
      return "; check api_key";
    case service::v1::FAILURE_KIND_QUOTA:
      return "; check the account's plan and billing";
    case service::v1::FAILURE_KIND_MODEL_NOT_FOUND:
      return "; check the model's name and base_url";
    default:
      return "";
  }
}

int64_t retry_after_ms(const http::ResponseHead& head, int64_t wall_now_ns) {
  if (const std::string* ms = head.find("retry-after-ms")) {
    const long long value = std::strtoll(ms->c_str(), nullptr, 10);
    if (value > 0 && value <= 86'400'000) return value;
  }
  if (const std::string* value = head.find("retry-after")) {
    return retry::parse_retry_after(*value, wall_now_ns).value_or(0);
  }
  return 0;
}

std::string sentence(const std::string& start, const ApiError& error, std::string_view raw,
                     std::string_view key, FailureKind kind) {
  std::string text = start;
  if (!error.code.empty()) text += " (" + scrub(error.code, key) + ")";
  const std::string said = scrub(error.message.empty() ? raw : error.message, key);
  if (!said.empty()) text += ": " + said;
  return text + advice(kind);
}

}  // namespace

std::string scrub(std::string_view text, std::string_view key) {
  std::string out(text.substr(0, 4096));
  if (key.size() >= 4) {
    for (size_t at = out.find(key); at != std::string::npos; at = out.find(key, at)) {
      out.replace(at, key.size(), "***");
    }
    // Servers that repeat a part of the key.
    for (size_t part = std::min<size_t>(key.size() - 1, 64); part >= 12; --part) {
      const std::string_view start = key.substr(0, part);
      const std::string_view end = key.substr(key.size() - part);
      for (const std::string_view piece : {start, end}) {
        for (size_t at = out.find(piece); at != std::string::npos; at = out.find(piece, at)) {
          out.replace(at, piece.size(), "***");
        }
      }
    }
  }
  for (size_t at = out.find("sk-"); at != std::string::npos; at = out.find("sk-", at + 3)) {
    size_t end = at + 3;
    while (end < out.size() && (std::isalnum(static_cast<unsigned char>(out[end])) != 0 ||
                                out[end] == '-' || out[end] == '_' || out[end] == '*')) {
      ++end;
    }
    if (end - at > 8) out.replace(at, end - at, "sk-***");
  }
  if (out.size() > kMaxMessage) {
    out.resize(kMaxMessage);
    out += "...";
  }
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) c = ' ';
    if (byte >= 0x80) c = '?';
  }
  return out;
}

provider::Failure failure_of_answer(const std::string& endpoint, const http::ResponseHead& head,
                                    std::string_view body, std::string_view key,
                                    int64_t wall_now_ns) {
  const ApiError error = parse_error(body);
  const FailureKind kind = kind_of(head.status, error);
  if (head.status >= 300 && head.status < 400) {
    return provider::make_failure(kind,
                                  endpoint + " answered " + std::to_string(head.status) +
                                      ", a redirect, which is not followed; check base_url",
                                  head.status);
  }
  return provider::make_failure(
      kind, sentence(endpoint + " answered " + std::to_string(head.status), error, body, key, kind),
      head.status, retry_after_ms(head, wall_now_ns));
}

provider::Failure failure_of_error_object(const std::string& endpoint, std::string_view json,
                                          std::string_view key) {
  const ApiError error = parse_error(json);
  int status = std::atoi(error.code.c_str());
  if (status < 400 || status > 599) status = 500;
  const bool known = error.type == "invalid_request_error" && status == 500;
  const FailureKind kind = kind_of(known ? 400 : status, error);
  return provider::make_failure(
      kind, sentence(endpoint + " reported an error in its answer", error, "", key, kind), 200);
}

provider::Failure failure_of_transport(const Status& status) {
  FailureKind kind = service::v1::FAILURE_KIND_UNAVAILABLE;
  switch (status.code()) {
    case Code::kDeadlineExceeded:
      kind = service::v1::FAILURE_KIND_TIMEOUT;
      break;
    case Code::kResourceExhausted:
      kind = service::v1::FAILURE_KIND_PROTOCOL;
      break;
    case Code::kInvalidArgument:
    case Code::kPermissionDenied:
      kind = service::v1::FAILURE_KIND_BAD_REQUEST;
      break;
    default:
      break;
  }
  return provider::make_failure(kind, status.message());
}

}  // namespace palyra::openai
