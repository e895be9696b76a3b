#include "plugins/common/http/http.h"

#include <strings.h>

namespace palyra::http {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  if (text.empty()) return false;
  for (const char c : text) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && kMarks.find(c) == std::string_view::npos) return false;
  }
  return true;
}

bool has_control(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7F) return true;
  }
  return false;
}

Status bad(std::string message) {
  return Status(Code::kInvalidArgument, std::move(message), PALYRA_ERROR_USER_FAULT);
}

bool starts_with_scheme(std::string_view url, std::string_view scheme) {
  return url.size() > scheme.size() && same_name(url.substr(0, scheme.size()), scheme);
}

}  // namespace

const std::string* ResponseHead::find(std::string_view name) const {
  for (const Header& header : headers) {
    if (same_name(header.name, name)) return &header.value;
  }
  return nullptr;
}

Status check_request(const Request& request) {
  if (!is_token(request.method)) return bad("the HTTP method is not a word");
  if (!starts_with_scheme(request.url, "http://") && !starts_with_scheme(request.url, "https://")) {
    return bad("the URL must begin with http:// or https://");
  }
  if (has_control(request.url) || request.url.find_first_of(" \t") != std::string::npos) {
    return bad("the URL holds a space or a control character: percent-encode it");
  }
  for (const Header& header : request.headers) {
    if (!is_token(header.name)) return bad("a header name is not a word");
    if (has_control(header.value)) {
      return bad("the header " + header.name + " holds a control character");
    }
  }
  return {};
}

std::string host_of(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  if (const auto at = url.rfind('@'); at != std::string_view::npos) url.remove_prefix(at + 1);
  return std::string(url);
}

}  // namespace palyra::http
