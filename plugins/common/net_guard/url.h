// SPDX-License-Identifier: Apache-2.0
// A URL as libcurl will understand it: the same parser judges and connects, so that no trick of
// writing means one host here and another there.
#pragma once

#include "palyra/status.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace palyra::net_guard {

struct Url {
  // Normalised; hand this to the client, never what was typed. Without a fragment.
  std::string text;
  std::string scheme;  // lower case
  // Lower case, no trailing dot, percent-decoded; an IPv6 address without brackets. IPv4 in any
  // notation (0x7f.1, 2130706433) is four decimal numbers here.
  std::string host;
  uint16_t port = 0;  // the scheme's own if not given

  // "example.com:443", "[::1]:8080".
  std::string authority() const;
};

// An absolute URL. INVALID_ARGUMENT: does not parse, no host, longer than 8 KiB, control characters
// or spaces, a user name or password, a zone id, a host that is not ASCII. Any scheme; errors do
// not quote the text. [any]
Result<Url> parse_url(std::string_view text);

// `location` of a redirect, relative to `base`; the same errors.
Result<Url> resolve_url(const Url& base, std::string_view location);

}  // namespace palyra::net_guard
