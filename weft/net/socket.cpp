#include "weft/net/socket.hpp"

#include <algorithm>
#include <climits>

#include "weft/os/socket_options.hpp"

namespace weft::net {
namespace {

using os::socket_option;

int as_int(std::size_t bytes) noexcept {
  return static_cast<int>(std::min<std::size_t>(bytes, INT_MAX));
}
result<std::size_t> as_size(const result<int>& n) noexcept {
  if (!n) return std::unexpected(n.error());
  return static_cast<std::size_t>(*n);
}
result<bool> as_bool(const result<int>& n) noexcept {
  if (!n) return std::unexpected(n.error());
  return *n != 0;
}

}  // namespace

result<void> basic_socket::set_send_buffer(std::size_t bytes) noexcept {
  return os::set_option(native(), socket_option::send_buffer, as_int(bytes));
}
result<std::size_t> basic_socket::send_buffer() const noexcept {
  return as_size(os::get_option(native(), socket_option::send_buffer));
}
result<void> basic_socket::set_receive_buffer(std::size_t bytes) noexcept {
  return os::set_option(native(), socket_option::receive_buffer, as_int(bytes));
}
result<std::size_t> basic_socket::receive_buffer() const noexcept {
  return as_size(os::get_option(native(), socket_option::receive_buffer));
}
result<void> basic_socket::set_linger(std::optional<std::chrono::seconds> how_long) noexcept {
  using rep = std::chrono::seconds::rep;
  const rep seconds = how_long ? std::clamp<rep>(how_long->count(), 0, INT_MAX) : -1;
  return os::set_linger(native(), static_cast<int>(seconds));
}
result<std::optional<std::chrono::seconds>> basic_socket::linger() const noexcept {
  const auto seconds = os::get_linger(native());
  if (!seconds) return std::unexpected(seconds.error());
  std::optional<std::chrono::seconds> how_long;
  if (*seconds >= 0) how_long = std::chrono::seconds(*seconds);
  return how_long;
}

result<endpoint> ip_socket::local_endpoint() const noexcept {
  const auto address = os::local_address(native());
  if (!address) return std::unexpected(address.error());
  return from_system(*address);
}
result<void> ip_socket::set_both(os::socket_option v6, os::socket_option v4, int value) noexcept {
  if (os::family_of(native()) != os::address_family::ipv6) {
    return os::set_option(native(), v4, value);
  }
  if (auto set = os::set_option(native(), v6, value); !set) return set;
  // For what an IPv6 socket sends to IPv4. A system that refuses has no such traffic.
  static_cast<void>(os::set_option(native(), v4, value));
  return {};
}
result<void> ip_socket::set_ttl(int hops) noexcept {
  return set_both(socket_option::ttl_v6, socket_option::ttl_v4, hops);
}
result<int> ip_socket::ttl() const noexcept {
  const bool v6 = os::family_of(native()) == os::address_family::ipv6;
  return os::get_option(native(), v6 ? socket_option::ttl_v6 : socket_option::ttl_v4);
}
result<bool> ip_socket::v6_only() const noexcept {
  if (os::family_of(native()) == os::address_family::ipv4) {
    return std::unexpected(std::make_error_code(std::errc::address_family_not_supported));
  }
  return as_bool(os::get_option(native(), socket_option::v6_only));
}
result<bool> ip_socket::reuse_address() const noexcept {
  return as_bool(os::get_option(native(), socket_option::reuse_address));
}
result<bool> ip_socket::reuse_port() const noexcept {
  return as_bool(os::get_option(native(), socket_option::reuse_port));
}

}  // namespace weft::net
