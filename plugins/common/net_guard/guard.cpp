// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/net_guard/guard.h"

#include <algorithm>
#include <charconv>

namespace palyra::net_guard {
namespace {

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

uint16_t default_port(const std::string& scheme) {
  if (scheme == "https") return 443;
  return scheme == "http" ? 80 : 0;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

}  // namespace

bool Guard::Pattern::matches(const Url& url) const {
  if (url.port != (port != 0 ? port : default_port(url.scheme))) return false;
  if (any) return true;
  if (subdomains) return ends_with(url.host, "." + host) && !Address::parse(url.host);
  return url.host == host;
}

Result<Guard::Pattern> Guard::parse_pattern(const std::string& text, const std::string& setting) {
  const auto invalid = [&](const std::string& why) {
    return Status(Code::kInvalidArgument, setting + ": \"" + text + "\" " + why,
                  PALYRA_ERROR_USER_FAULT);
  };
  Pattern pattern;
  std::string rest = lower(text);
  if (rest.find("://") != std::string::npos || rest.find('/') != std::string::npos) {
    return invalid("is a URL; write only host and port, such as example.com:8443");
  }
  std::string port;
  if (!rest.empty() && rest[0] == '[') {
    const size_t close = rest.find(']');
    if (close == std::string::npos) return invalid("has no closing bracket");
    port = rest.substr(close + 1);
    if (!port.empty() && port[0] != ':') return invalid("has text after the bracket");
    rest = rest.substr(1, close - 1);
    if (!Address::parse(rest)) return invalid("has no IPv6 address in its brackets");
  } else if (std::count(rest.begin(), rest.end(), ':') == 1) {
    port = rest.substr(rest.find(':'));
    rest.resize(rest.find(':'));
  }
  if (!port.empty()) {
    const char* end = port.data() + port.size();
    const auto [stop, error] = std::from_chars(port.data() + 1, end, pattern.port);
    if (error != std::errc() || stop != end || pattern.port == 0) {
      return invalid("has a port that is not 1 to 65535");
    }
  }
  if (rest == "*") {
    pattern.any = true;
    return pattern;
  }
  if (rest.rfind("*.", 0) == 0) {
    pattern.subdomains = true;
    rest = rest.substr(2);
  }
  if (!rest.empty() && rest.back() == '.') rest.pop_back();
  if (rest.empty()) return invalid("names no host");
  if (auto address = Address::parse(rest)) {
    if (pattern.subdomains) return invalid("puts a * before an address");
    rest = address->to_string();
  } else {
    const auto fits = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    };
    if (!std::all_of(rest.begin(), rest.end(), fits)) {
      return invalid("is not a host; allowed are example.com, *.example.com, * and an added :port");
    }
  }
  pattern.host = rest;
  return pattern;
}

Result<Guard> Guard::create(Rules rules) {
  Guard guard;
  for (const std::string& text : rules.allow_hosts) {
    auto pattern = parse_pattern(text, rules.settings + " allow_hosts");
    if (!pattern.ok()) return pattern.status();
    guard.hosts_.push_back(std::move(*pattern));
  }
  for (const std::string& text : rules.allow_private) {
    auto pattern = parse_pattern(text, rules.settings + " allow_private");
    if (!pattern.ok()) return pattern.status();
    if (pattern->any || pattern->subdomains || pattern->port == 0) {
      return Status(Code::kInvalidArgument,
                    rules.settings + " allow_private: \"" + text +
                        "\" must name one host and a port, such as 127.0.0.1:8080",
                    PALYRA_ERROR_USER_FAULT);
    }
    guard.private_.push_back(std::move(*pattern));
  }
  guard.rules_ = std::move(rules);
  return guard;
}

Status Guard::deny(const std::string& message) const { return {Code::kPermissionDenied, message}; }

bool Guard::is_private_endpoint(const Url& url) const {
  return std::any_of(private_.begin(), private_.end(),
                     [&url](const Pattern& pattern) { return pattern.matches(url); });
}

Status Guard::check_url(const Url& url) const {
  const bool endpoint = is_private_endpoint(url);
  const auto& schemes = rules_.schemes;
  const bool scheme_allowed =
      std::find(schemes.begin(), schemes.end(), url.scheme) != schemes.end() ||
      (endpoint && (url.scheme == "http" || url.scheme == "https"));
  if (!scheme_allowed) {
    std::string list;
    for (const std::string& scheme : schemes) list += (list.empty() ? "" : ", ") + scheme;
    return deny("the scheme " + url.scheme + " is not allowed for " + url.host +
                "; allowed: " + list);
  }
  const bool listed = std::any_of(hosts_.begin(), hosts_.end(),
                                  [&url](const Pattern& pattern) { return pattern.matches(url); });
  if (!endpoint && !listed) {
    const std::string entry = url.port == default_port(url.scheme) ? url.host : url.authority();
    return deny("the host " + url.authority() + " is not allowed; the operator can add \"" + entry +
                "\" to allow_hosts of " + rules_.settings);
  }
  if (const auto literal = Address::parse(url.host)) return check_address(url, *literal);
  return {};
}

Status Guard::check_address(const Url& url, const Address& address) const {
  const AddressKind kind = address.kind();
  switch (kind) {
    case AddressKind::kPublic:
      return {};
    case AddressKind::kLoopback:
    case AddressKind::kPrivate:
    case AddressKind::kLinkLocal:
    case AddressKind::kShared:
      if (is_private_endpoint(url)) return {};
      return deny(url.host + " is at " + address.to_string() + ", " + kind_name(kind) +
                  "; the operator can add \"" + url.authority() + "\" to allow_private of " +
                  rules_.settings);
    case AddressKind::kUnspecified:
    case AddressKind::kMetadata:
    case AddressKind::kMulticast:
    case AddressKind::kDocumentation:
    case AddressKind::kReserved:
      break;
  }
  return deny(url.host + " is at " + address.to_string() + ", " + kind_name(kind) +
              ", which is never reached");
}

Status Guard::check_socket(const Url& url, const sockaddr* address, size_t size) const {
  const auto parsed = Address::from_sockaddr(address, size);
  if (!parsed) return deny(url.host + " is not at an IP address");
  return check_address(url, *parsed);
}

}  // namespace palyra::net_guard
