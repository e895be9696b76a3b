// SPDX-License-Identifier: Apache-2.0
// An IP address and what it is good for. IPv4 embedded in IPv6 (mapped, compatible, NAT64, 6to4,
// Teredo, ISATAP) is judged as the IPv4 address that packets end up at.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

struct sockaddr;

namespace palyra::net_guard {

enum class AddressKind {
  kPublic,
  kUnspecified,    // 0.0.0.0/8, ::
  kLoopback,       // 127/8, ::1
  kPrivate,        // 10/8, 172.16/12, 192.168/16, fc00::/7, fec0::/10
  kLinkLocal,      // 169.254/16, fe80::/10
  kShared,         // 100.64/10, carrier-grade NAT
  kMetadata,       // a cloud's instance metadata service
  kMulticast,      // 224/4, ff00::/8
  kDocumentation,  // 192.0.2/24 and friends, 2001:db8::/32
  kReserved        // the rest that is not globally routed
};

// "a loopback address".
const char* kind_name(AddressKind kind);

class Address {
 public:
  // Strict: dotted quad of decimal numbers without leading zeros, or RFC 4291 text without a zone
  // and without brackets. Nothing else.
  static std::optional<Address> parse(std::string_view text);
  // AF_INET or AF_INET6; a scope id is ignored.
  static std::optional<Address> from_sockaddr(const sockaddr* address, size_t size);

  AddressKind kind() const;
  std::string to_string() const;
  bool operator==(const Address&) const = default;

 private:
  using V4 = std::array<uint8_t, 4>;
  static AddressKind kind_v4(const V4& bytes);
  AddressKind kind_v6() const;
  V4 v4_at(size_t offset) const;

  bool is_v4_ = false;
  std::array<uint8_t, 16> bytes_{};  // network order; IPv4 in the first four
};

}  // namespace palyra::net_guard
