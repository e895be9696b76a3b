// SPDX-License-Identifier: Apache-2.0
// Ranges: IANA's special-purpose registries for IPv4 and IPv6.
#include "plugins/common/net_guard/address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

namespace palyra::net_guard {
namespace {

struct RangeV4 {
  uint32_t network;  // host order
  int bits;
  AddressKind kind;
};

constexpr uint32_t v4(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}

// The first match wins.
constexpr RangeV4 kRangesV4[] = {
    {v4(169, 254, 169, 254), 32, AddressKind::kMetadata},  // AWS, GCP, Azure and others
    {v4(169, 254, 170, 2), 32, AddressKind::kMetadata},    // AWS ECS task credentials
    {v4(169, 254, 170, 23), 32, AddressKind::kMetadata},   // AWS EKS pod identity
    {v4(100, 100, 100, 200), 32, AddressKind::kMetadata},  // Alibaba
    {v4(192, 0, 0, 192), 32, AddressKind::kMetadata},      // Oracle
    {v4(168, 63, 129, 16), 32, AddressKind::kMetadata},    // Azure's wire server
    {v4(0, 0, 0, 0), 8, AddressKind::kUnspecified},
    {v4(10, 0, 0, 0), 8, AddressKind::kPrivate},
    {v4(100, 64, 0, 0), 10, AddressKind::kShared},
    {v4(127, 0, 0, 0), 8, AddressKind::kLoopback},
    {v4(169, 254, 0, 0), 16, AddressKind::kLinkLocal},
    {v4(172, 16, 0, 0), 12, AddressKind::kPrivate},
    {v4(192, 0, 0, 0), 24, AddressKind::kReserved},
    {v4(192, 0, 2, 0), 24, AddressKind::kDocumentation},
    {v4(192, 88, 99, 0), 24, AddressKind::kReserved},  // 6to4 relays, deprecated
    {v4(192, 168, 0, 0), 16, AddressKind::kPrivate},
    {v4(198, 18, 0, 0), 15, AddressKind::kReserved},  // benchmarks
    {v4(198, 51, 100, 0), 24, AddressKind::kDocumentation},
    {v4(203, 0, 113, 0), 24, AddressKind::kDocumentation},
    {v4(224, 0, 0, 0), 4, AddressKind::kMulticast},
    {v4(240, 0, 0, 0), 4, AddressKind::kReserved},  // with the broadcast address
};

struct RangeV6 {
  std::array<uint8_t, 16> network;
  int bits;
  AddressKind kind;
};

constexpr RangeV6 kRangesV6[] = {
    {{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54},
     128,
     AddressKind::kMetadata},  // AWS fd00:ec2::254
    {{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x23},
     128,
     AddressKind::kMetadata},  // AWS EKS fd00:ec2::23
    {{0xfd, 0x20, 0x0c, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54},
     128,
     AddressKind::kMetadata},  // GCP fd20:ce::254
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 128, AddressKind::kUnspecified},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, AddressKind::kLoopback},
    {{0xff}, 8, AddressKind::kMulticast},
    {{0xfe, 0x80}, 10, AddressKind::kLinkLocal},
    {{0xfe, 0xc0}, 10, AddressKind::kPrivate},  // site-local, deprecated but routed by some
    {{0xfc}, 7, AddressKind::kPrivate},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, AddressKind::kDocumentation},
    {{0x3f, 0xff}, 20, AddressKind::kDocumentation},
    {{0x20, 0x01}, 23, AddressKind::kReserved},  // protocol assignments; Teredo is judged before
};

bool in_prefix(const std::array<uint8_t, 16>& bytes, const std::array<uint8_t, 16>& network,
               int bits) {
  const auto whole = static_cast<size_t>(bits / 8);
  if (!std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(whole),
                  network.begin())) {
    return false;
  }
  const int rest = bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xFF << (8 - rest));
  return (bytes[whole] & mask) == (network[whole] & mask);
}

}  // namespace

const char* kind_name(AddressKind kind) {
  switch (kind) {
    case AddressKind::kPublic:
      return "a public address";
    case AddressKind::kUnspecified:
      return "an unspecified address";
    case AddressKind::kLoopback:
      return "a loopback address";
    case AddressKind::kPrivate:
      return "a private address";
    case AddressKind::kLinkLocal:
      return "a link-local address";
    case AddressKind::kShared:
      return "a shared (carrier-grade NAT) address";
    case AddressKind::kMetadata:
      return "a cloud metadata address";
    case AddressKind::kMulticast:
      return "a multicast address";
    case AddressKind::kDocumentation:
      return "a documentation address";
    case AddressKind::kReserved:
      break;
  }
  return "a reserved address";
}

std::optional<Address> Address::parse(std::string_view text) {
  // Longest: "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".
  char buffer[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof buffer) return std::nullopt;
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  Address address;
  if (inet_pton(AF_INET, buffer, address.bytes_.data()) == 1) {
    address.is_v4_ = true;
    return address;
  }
  if (inet_pton(AF_INET6, buffer, address.bytes_.data()) == 1) return address;
  return std::nullopt;
}

std::optional<Address> Address::from_sockaddr(const sockaddr* address, size_t size) {
  Address result;
  if (address == nullptr || size < sizeof(sa_family_t)) return std::nullopt;
  if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in v4_address;
    std::memcpy(&v4_address, address, sizeof v4_address);
    std::memcpy(result.bytes_.data(), &v4_address.sin_addr, 4);
    result.is_v4_ = true;
    return result;
  }
  if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6_address;
    std::memcpy(&v6_address, address, sizeof v6_address);
    std::memcpy(result.bytes_.data(), &v6_address.sin6_addr, 16);
    return result;
  }
  return std::nullopt;
}

AddressKind Address::kind_v4(const V4& bytes) {
  const uint32_t value = v4(bytes[0], bytes[1], bytes[2], bytes[3]);
  for (const RangeV4& range : kRangesV4) {
    const uint32_t mask = ~uint32_t{0} << (32 - range.bits);
    if ((value & mask) == range.network) return range.kind;
  }
  return AddressKind::kPublic;
}

Address::V4 Address::v4_at(size_t offset) const {
  V4 bytes;
  std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), 4, bytes.begin());
  return bytes;
}

AddressKind Address::kind_v6() const {
  static constexpr std::array<uint8_t, 16> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  static constexpr std::array<uint8_t, 16> kTranslated{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  static constexpr std::array<uint8_t, 16> kNat64{0, 0x64, 0xff, 0x9b};
  static constexpr std::array<uint8_t, 16> kNat64Local{0, 0x64, 0xff, 0x9b, 0, 1};
  static constexpr std::array<uint8_t, 16> kSixToFour{0x20, 0x02};
  static constexpr std::array<uint8_t, 16> kTeredo{0x20, 0x01};
  for (const RangeV6& range : kRangesV6) {
    if (range.bits == 128 && bytes_ == range.network) return range.kind;
  }
  if (in_prefix(bytes_, kMapped, 96)) return kind_v4(v4_at(12));
  if (in_prefix(bytes_, kTranslated, 96)) return kind_v4(v4_at(12));
  if (in_prefix(bytes_, {}, 96)) {
    // IPv4-compatible, deprecated: never better than reserved.
    const AddressKind kind = kind_v4(v4_at(12));
    return kind == AddressKind::kPublic ? AddressKind::kReserved : kind;
  }
  if (in_prefix(bytes_, kNat64, 96)) return kind_v4(v4_at(12));
  if (in_prefix(bytes_, kNat64Local, 48)) return AddressKind::kPrivate;
  if (in_prefix(bytes_, kSixToFour, 16)) return kind_v4(v4_at(2));
  if (in_prefix(bytes_, kTeredo, 32)) {
    // The server in clear, the client inverted.
    V4 client = v4_at(12);
    for (uint8_t& byte : client) byte = static_cast<uint8_t>(~byte);
    const AddressKind server = kind_v4(v4_at(4));
    return server == AddressKind::kPublic ? kind_v4(client) : server;
  }
  for (const RangeV6& range : kRangesV6) {
    if (in_prefix(bytes_, range.network, range.bits)) return range.kind;
  }
  // ISATAP: an interface id of [02]00:5efe and an IPv4 address.
  if ((bytes_[8] & 0xFD) == 0 && bytes_[9] == 0 && bytes_[10] == 0x5e && bytes_[11] == 0xfe) {
    return kind_v4(v4_at(12));
  }
  // Only 2000::/3 is global unicast.
  return (bytes_[0] & 0xE0) == 0x20 ? AddressKind::kPublic : AddressKind::kReserved;
}

AddressKind Address::kind() const { return is_v4_ ? kind_v4(v4_at(0)) : kind_v6(); }

std::string Address::to_string() const {
  char buffer[INET6_ADDRSTRLEN] = "";
  inet_ntop(is_v4_ ? AF_INET : AF_INET6, bytes_.data(), buffer, sizeof buffer);
  return buffer;
}

}  // namespace palyra::net_guard
