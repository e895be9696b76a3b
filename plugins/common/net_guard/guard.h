// SPDX-License-Identifier: Apache-2.0
// Judges outbound connections twice: the URL before a name is looked up, and every address at the
// moment of connecting, so that a name that changes its answer (DNS rebinding) gains nothing. Both
// again for each redirect.
//
// Always holds: what is not listed is refused; a private address needs a line of its own; metadata,
// unspecified, multicast, documentation and reserved addresses are never reached. Immutable, [any].
#pragma once

#include "palyra/status.hpp"
#include "plugins/common/net_guard/address.h"
#include "plugins/common/net_guard/url.h"

#include <cstdint>
#include <string>
#include <vector>

struct sockaddr;

namespace palyra::net_guard {

struct Rules {
  // "example.com", "*.example.com" (its subdomains, not itself), "*" (every public host); with
  // ":port" only that port, without one only the scheme's own. An IPv6 address with a port is in
  // brackets.
  std::vector<std::string> allow_hosts;
  // "127.0.0.1:8080", "[::1]:8080", "nas.local:443": may be reached although its address is
  // loopback, private, link-local or shared; such a host need not be in allow_hosts. A port is
  // required, patterns are not allowed.
  std::vector<std::string> allow_private;
  // For hosts of allow_hosts; those of allow_private may use http as well.
  std::vector<std::string> schemes = {"https"};
  // The settings' name in error sentences ("[tools.http]").
  std::string settings = "the configuration";
};

class Guard {
 public:
  // INVALID_ARGUMENT names the entry that is not understood.
  static Result<Guard> create(Rules rules);

  // OK, or PERMISSION_DENIED with the reason and the line that would allow it. A literal address in
  // the URL is judged as well.
  Status check_url(const Url& url) const;
  // For each address a connection for `url` is about to use.
  Status check_address(const Url& url, const Address& address) const;
  // The same for the client's open-socket hook; an address family other than IP is refused.
  Status check_socket(const Url& url, const sockaddr* address, size_t size) const;
  // True if allow_private lists the URL's host and port.
  bool is_private_endpoint(const Url& url) const;

 private:
  struct Pattern {
    std::string host;  // without "*."
    bool subdomains = false;
    bool any = false;
    uint16_t port = 0;  // 0: the scheme's own

    bool matches(const Url& url) const;
  };
  static Result<Pattern> parse_pattern(const std::string& text, const std::string& setting);
  Status deny(const std::string& message) const;

  Rules rules_;
  std::vector<Pattern> hosts_;
  std::vector<Pattern> private_;
};

}  // namespace palyra::net_guard
