// socket: making TCP sockets, their addresses and their options. To accept, send and receive is the
// matter of the drivers (weft/io).
//
//   Sockets  non-blocking and close-on-exec from birth
//   Errors   values
//   Threads  any; the kernel orders the calls on one socket
#pragma once

#include <cstdint>

#include "weft/base/result.hpp"
#include "weft/os/fd.hpp"

namespace weft::os {

enum class address_family : std::uint8_t { none, ipv4, ipv6, other };

/// An address as the kernel takes it; what is inside is known to socket_posix.cpp alone.
struct socket_address {
  alignas(8) unsigned char bytes[128];
  std::uint32_t size = 0;  // of `bytes`, in use; 0: no address
};

/// `ip` in network order (192.0.2.1 is {192, 0, 2, 1}), `port` in host order.
socket_address make_ipv4(const std::uint8_t (&ip)[4], std::uint16_t port) noexcept;
/// `scope` is the interface's index for link-local addresses, else 0.
socket_address make_ipv6(const std::uint8_t (&ip)[16], std::uint16_t port,
                         std::uint32_t scope = 0) noexcept;

/// An address taken apart.
struct ip_endpoint {
  address_family family = address_family::none;
  std::uint8_t ip[16] = {};  // the first 4 for IPv4
  std::uint16_t port = 0;
  std::uint32_t scope = 0;
};
address_family family_of(const socket_address& address) noexcept;
/// family is none or other where there is no IP address inside.
ip_endpoint take_apart(const socket_address& address) noexcept;

[[nodiscard]] result<fd> open_tcp(address_family family) noexcept;

/// A pair of connected stream sockets of this machine, for tests.
struct socket_pair {
  fd first, second;
};
[[nodiscard]] result<socket_pair> open_pair() noexcept;

[[nodiscard]] result<void> bind(int socket, const socket_address& address) noexcept;
[[nodiscard]] result<void> listen(int socket, int backlog) noexcept;

struct listen_options {
  int backlog = 1024;       // connections; the system may have a lower limit
  bool reuse_port = false;  // several listeners share the port's connections
  bool only_ipv6 = false;   // an IPv6 listener takes IPv4 too, unless this is set
};
/// Opens a socket that listens at `address`, also where old connections to it are still closing
/// (SO_REUSEADDR). Port 0: any free one; local_address() tells.
[[nodiscard]] result<fd> listen_tcp(const socket_address& address,
                                    const listen_options& options = {}) noexcept;

/// True: connected. False: under way; when writable, socket_error() tells.
[[nodiscard]] result<bool> connect_start(int socket, const socket_address& address) noexcept;

enum class shutdown_side : std::uint8_t { receive, send, both };
[[nodiscard]] result<void> shutdown(int socket, shutdown_side side) noexcept;

[[nodiscard]] result<socket_address> local_address(int socket) noexcept;
[[nodiscard]] result<socket_address> peer_address(int socket) noexcept;

/// Takes the error that waits on the socket; none: no error.
std::error_code socket_error(int socket) noexcept;

[[nodiscard]] result<void> set_nodelay(int socket, bool on) noexcept;
[[nodiscard]] result<void> set_reuse_address(int socket, bool on) noexcept;
[[nodiscard]] result<void> set_reuse_port(int socket, bool on) noexcept;
[[nodiscard]] result<void> set_only_ipv6(int socket, bool on) noexcept;
/// Bytes; the system may take more or less.
[[nodiscard]] result<void> set_send_buffer(int socket, int bytes) noexcept;
[[nodiscard]] result<void> set_receive_buffer(int socket, int bytes) noexcept;
/// Close with a reset instead of a farewell (linger 0).
[[nodiscard]] result<void> set_reset_on_close(int socket, bool on) noexcept;

struct keepalive_options {
  bool on = true;
  int idle_s = 60;      // silence before the first probe
  int interval_s = 10;  // between probes
  int probes = 6;       // unanswered ones before the connection is given up
};
[[nodiscard]] result<void> set_keepalive(int socket, const keepalive_options& options) noexcept;

}  // namespace weft::os
