// address: an IP address, and endpoint: an address and a port.
//
//   auto where = net::endpoint::parse("[::1]:8080");
//   net::endpoint any{net::address::any_v4(), 8080};
//
//   Cost    plain values; nothing is looked up (names are dns's)
//   Text    IPv4 dotted; IPv6 as RFC 5952 writes it, and all that RFC 4291 allows is read
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "weft/base/result.hpp"
#include "weft/os/socket.hpp"

namespace weft::net {

class address {
 public:
  address() noexcept = default;  // 0.0.0.0

  static address v4(unsigned char a, unsigned char b, unsigned char c, unsigned char d) noexcept;
  /// `bytes`: 16 in network order. `scope`: the interface of a link-local address, by number.
  static address v6(const unsigned char* bytes, std::uint32_t scope = 0) noexcept;
  static address any_v4() noexcept { return address(); }
  static address any_v6() noexcept;
  static address loopback_v4() noexcept { return v4(127, 0, 0, 1); }
  static address loopback_v6() noexcept;

  /// "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%2". Errors: invalid_argument.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] static result<address> parse(std::string_view text) noexcept;
  std::string to_string() const;

  bool is_v4() const noexcept { return !is_v6_; }
  bool is_v6() const noexcept { return is_v6_; }
  bool is_loopback() const noexcept;
  /// 4 or 16, in network order.
  const unsigned char* bytes() const noexcept { return bytes_; }
  std::uint32_t scope() const noexcept { return scope_; }

  friend bool operator==(const address&, const address&) noexcept = default;

 private:
  unsigned char bytes_[16] = {};
  std::uint32_t scope_ = 0;
  bool is_v6_ = false;
};

struct endpoint {
  net::address address;
  std::uint16_t port = 0;

  /// "192.0.2.1:80", "[2001:db8::1]:80". Errors: invalid_argument.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] static result<endpoint> parse(std::string_view text) noexcept;
  std::string to_string() const;

  friend bool operator==(const endpoint&, const endpoint&) noexcept = default;
};

/// The system's form.
os::socket_address to_system(const endpoint& e) noexcept;
/// Errors: address_family_not_supported, where it is no IP address.
result<endpoint> from_system(const os::socket_address& a) noexcept;

}  // namespace weft::net
