// socket: the system's sockets as owned, non-blocking, close-on-exec descriptors, with errors as values.
//
//   Threads  any, as the system allows
//   Errors   EINTR is dealt with here; SIGPIPE is never raised; "not now" is
//            std::errc::operation_would_block
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "weft/base/result.hpp"
#include "weft/os/fd.hpp"

namespace weft::os {

enum class family : std::uint8_t { ip_v4, ip_v6 };

/// The system's own form of an address (struct sockaddr_storage), opaque here.
class socket_address {
 public:
  static constexpr std::uint32_t capacity = 128;  // bytes
  void* data() noexcept { return bytes_; }
  const void* data() const noexcept { return bytes_; }
  std::uint32_t size() const noexcept { return size_; }
  void set_size(std::uint32_t bytes) noexcept { size_ = bytes; }

 private:
  alignas(8) unsigned char bytes_[capacity] = {};
  std::uint32_t size_ = capacity;
};

/// IP address bytes are in network order: 4 of them or 16. `scope` is the interface of a link-local
/// IPv6 address.
struct ip_endpoint {
  family kind = family::ip_v4;
  unsigned char ip[16] = {};
  std::uint16_t port = 0;
  std::uint32_t scope = 0;
};
socket_address to_socket_address(const ip_endpoint& endpoint) noexcept;
/// False: not an IP address.
bool from_socket_address(const socket_address& address, ip_endpoint& endpoint) noexcept;

result<fd> open_tcp(family kind) noexcept;
struct bind_options {
  bool reuse_port = false;  // several listeners share the port, the kernel spreads connections
  bool v6_only = false;
};
/// Bound with SO_REUSEADDR, so that a restarted server gets its port back at once.
result<void> bind(const fd& socket, const socket_address& address, bind_options options) noexcept;
result<void> listen(const fd& socket, int backlog) noexcept;
result<socket_address> local_address(int socket) noexcept;
result<socket_address> peer_address(int socket) noexcept;
/// The error that a connecting socket ended with, if any.
result<void> pending_error(int socket) noexcept;

enum class direction : std::uint8_t { read, write, both };
result<void> shut_down(int socket, direction which) noexcept;
result<void> set_no_delay(int socket, bool on) noexcept;
result<void> set_keep_alive(int socket, bool on) noexcept;
result<void> set_send_buffer(int socket, int bytes) noexcept;
result<void> set_receive_buffer(int socket, int bytes) noexcept;
/// Closing it sends a reset instead of an orderly end.
result<void> set_reset_on_close(int socket, bool on) noexcept;

}  // namespace weft::os
