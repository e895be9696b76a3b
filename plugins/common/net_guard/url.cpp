// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/net_guard/url.h"

#include "plugins/common/net_guard/address.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <memory>

namespace palyra::net_guard {
namespace {

constexpr size_t kMaxUrl = 8192;
constexpr unsigned kFlags = CURLU_NON_SUPPORT_SCHEME | CURLU_DISALLOW_USER;

struct Cleanup {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Handle = std::unique_ptr<CURLU, Cleanup>;

Status refuse(const std::string& why) {
  return {Code::kInvalidArgument, "the URL " + why, PALYRA_ERROR_USER_FAULT};
}

Status check_characters(std::string_view text) {
  if (text.empty()) return refuse("is empty");
  if (text.size() > kMaxUrl) return refuse("is longer than " + std::to_string(kMaxUrl) + " bytes");
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    // Other parsers take a backslash for a slash: never let two of them disagree about the host.
    if (byte <= 0x20 || byte == 0x7F || byte == '\\') {
      return refuse("contains a space, control character or backslash; percent-encode it");
    }
  }
  // "https:///x" has no host; libcurl would read x as one.
  const size_t slashes = text.find("//");
  if (slashes != std::string_view::npos && slashes == text.find_first_of("/?#") &&
      text.substr(slashes).substr(0, 3) == "///") {
    return refuse("has no host");
  }
  return {};
}

Status curl_refusal(CURLUcode code) {
  switch (code) {
    case CURLUE_USER_NOT_ALLOWED:
      return refuse("must not contain a user name or password");
    case CURLUE_BAD_PORT_NUMBER:
      return refuse("has a port that is not 1 to 65535");
    case CURLUE_BAD_SCHEME:
    case CURLUE_NO_SCHEME:
      return refuse("must begin with a scheme, such as https://");
    case CURLUE_NO_HOST:
      return refuse("has no host");
    default:
      return refuse(std::string("does not parse: ") + curl_url_strerror(code));
  }
}

// The part, or empty if there is none.
std::string part(CURLU* url, CURLUPart which, unsigned flags, CURLUcode& code) {
  char* text = nullptr;
  code = curl_url_get(url, which, &text, flags);
  std::string result = text == nullptr ? "" : text;
  curl_free(text);
  return result;
}

bool host_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

Result<Url> read(CURLU* handle) {
  Url url;
  CURLUcode code = CURLUE_OK;
  url.scheme = part(handle, CURLUPART_SCHEME, 0, code);
  if (code != CURLUE_OK) return curl_refusal(code);
  url.host = part(handle, CURLUPART_HOST, CURLU_URLDECODE, code);
  if (code != CURLUE_OK) return curl_refusal(code);
  if (!part(handle, CURLUPART_ZONEID, 0, code).empty()) {
    return refuse("has an IPv6 zone id, which names a network of this machine");
  }
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  std::transform(url.host.begin(), url.host.end(), url.host.begin(), lower);
  std::transform(url.scheme.begin(), url.scheme.end(), url.scheme.begin(), lower);
  const bool v6 = url.host.size() > 2 && url.host.front() == '[' && url.host.back() == ']';
  if (v6) {
    url.host = url.host.substr(1, url.host.size() - 2);
    const auto address = Address::parse(url.host);
    if (!address) return refuse("has a host in brackets that is not an IPv6 address");
    url.host = address->to_string();
  } else {
    if (!url.host.empty() && url.host.back() == '.') url.host.pop_back();
    if (url.host.empty()) return refuse("has no host");
    if (url.host.size() > 253) return refuse("has a host name longer than 253 bytes");
    if (!std::all_of(url.host.begin(), url.host.end(), host_byte)) {
      return refuse(
          "has a host with characters other than letters, digits, '-', '.' and '_'; "
          "write an international name in its xn-- form");
    }
    if (url.host.find("..") != std::string::npos || url.host.front() == '.') {
      return refuse("has an empty label in its host name");
    }
    // What looks like an address but is not one that we understand.
    const size_t dot = url.host.rfind('.');
    const std::string last = dot == std::string::npos ? url.host : url.host.substr(dot + 1);
    const bool number =
        last.find_first_not_of("0123456789") == std::string::npos || last.rfind("0x", 0) == 0;
    if (number && !Address::parse(url.host)) return refuse("has a malformed IPv4 address as host");
  }
  const std::string port = part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT, code);
  if (!port.empty()) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
    if (error != std::errc() || *end != '\0' || url.port == 0) {
      return refuse("has a port that is not 1 to 65535");
    }
  }
  curl_url_set(handle, CURLUPART_FRAGMENT, nullptr, 0);
  curl_url_set(handle, CURLUPART_HOST, v6 ? ("[" + url.host + "]").c_str() : url.host.c_str(), 0);
  url.text = part(handle, CURLUPART_URL, 0, code);
  if (code != CURLUE_OK) return curl_refusal(code);
  return url;
}

}  // namespace

std::string Url::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Url> parse_url(std::string_view text) {
  if (Status status = check_characters(text); !status.ok()) return status;
  if (text.find("://") == std::string_view::npos) {
    return refuse("must begin with a scheme, such as https://");
  }
  Handle handle(curl_url());
  if (!handle) return Status(Code::kResourceExhausted, "out of memory");
  const CURLUcode code =
      curl_url_set(handle.get(), CURLUPART_URL, std::string(text).c_str(), kFlags);
  if (code != CURLUE_OK) return curl_refusal(code);
  return read(handle.get());
}

Result<Url> resolve_url(const Url& base, std::string_view location) {
  if (Status status = check_characters(location); !status.ok()) return status;
  Handle handle(curl_url());
  if (!handle) return Status(Code::kResourceExhausted, "out of memory");
  CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, base.text.c_str(), kFlags);
  if (code != CURLUE_OK) return curl_refusal(code);
  code = curl_url_set(handle.get(), CURLUPART_URL, std::string(location).c_str(), kFlags);
  if (code != CURLUE_OK) return curl_refusal(code);
  return read(handle.get());
}

}  // namespace palyra::net_guard
