// socket_options: what can be set and asked of a socket, by name.
#pragma once

#include <cstdint>

#include "weft/base/result.hpp"
#include "weft/os/socket.hpp"

namespace weft::os {

/// Options whose value is a number. `_s`, `_ms`: its unit.
enum class socket_option : std::uint8_t {
  send_buffer,
  receive_buffer,
  reuse_address,
  reuse_port,
  broadcast,
  keep_alive,
  keep_alive_idle_s,
  keep_alive_interval_s,
  keep_alive_probes,
  no_delay,
  quick_ack,
  user_timeout_ms,
  unsent_low_water,   // bytes
  fast_open_queue,    // a listener: connections whose first bytes came before they were accepted
  fast_open_connect,  // a client: the first write goes with the request to connect
  v6_only,
  ttl_v4,
  ttl_v6,
  multicast_ttl_v4,
  multicast_ttl_v6,
  multicast_loop_v4,
  multicast_loop_v6,
  udp_segment,  // GSO
  udp_gro,
};
[[nodiscard]] result<void> set_option(int socket, socket_option option, int value) noexcept;
[[nodiscard]] result<int> get_option(int socket, socket_option option) noexcept;

/// Of the socket itself.
address_family family_of(int socket) noexcept;

/// Seconds that close() waits for what was written to arrive; -1: it does not wait, the kernel goes
/// on alone.
[[nodiscard]] result<void> set_linger(int socket, int seconds) noexcept;
[[nodiscard]] result<int> get_linger(int socket) noexcept;

/// Joins, or leaves, a multicast group at an interface; 0: the system's choice.
[[nodiscard]] result<void> set_membership(int socket, const socket_address& group,
                                          std::uint32_t interface_index, bool member) noexcept;
/// Where multicast goes out.
[[nodiscard]] result<void> set_multicast_interface(int socket, address_family family,
                                                   std::uint32_t interface_index) noexcept;

[[nodiscard]] result<fd> open_udp(address_family family) noexcept;
/// A datagram socket has no connection under way: this is done at once. `nullptr` takes it back.
[[nodiscard]] result<void> connect_datagram(int socket, const socket_address* to) noexcept;

}  // namespace weft::os
