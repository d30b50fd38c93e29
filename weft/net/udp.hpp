// udp: datagrams between endpoints.
//
//   auto socket = net::udp_socket::bind(*net::endpoint::parse("0.0.0.0:5353"));
//   const auto got = co_await socket->receive_from(buffer);        // got->size, got->from
//   const auto sent = co_await socket->send_to(reply, got->from);
//
//   Whole     a datagram goes and comes whole, also one of no bytes. One that the buffer is too small
//             for says `truncated`
//   Errors    values: message_size for one that is larger than may be; connection_refused where the
//             peer's system says so (a connected socket learns of it at its next operation)
//   Threads   one task receives and one task sends at a time. Made and used inside of jobs
//   Cancel    lossless: a stopped receive has taken no datagram, a stopped send has sent none
//   Lifetimes the buffer and the socket outlive the await
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "weft/net/datagram_batch.hpp"
#include "weft/net/message_operation.hpp"
#include "weft/net/socket.hpp"
#include "weft/task/task.hpp"

namespace weft::net {

/// How a socket is made; trivially copyable, safe in a co_await on GCC 12.
struct udp_options {
  bool reuse_address = false;  // several sockets may have the address: for multicast
  bool reuse_port = false;     // several sockets share the port, the kernel spreads the datagrams
  bool v6_only = false;        // an IPv6 socket takes IPv4 too, unless this is set; not for IPv4
  bool broadcast = false;      // may send to broadcast addresses
  /// Datagrams of one sender may come together (GRO): see datagram. Up to 64 KiB come so at once: what
  /// the buffer is too small for is cut off, so give it that.
  bool receive_merged = false;
  bool segment = true;  // send_segments() may leave the cutting to the kernel (GSO)
};

class udp_socket : public ip_socket {
 public:
  udp_socket() noexcept = default;

  /// Port 0 takes a free one. Errors: address_in_use, permission_denied.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] static result<udp_socket> bind(
      endpoint where, udp_options options = {}) noexcept;

  /// From now on to and from this peer only; does not wait, as nothing is sent.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> connect(endpoint to) noexcept;
  /// To and from all again, at the same local endpoint.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> disconnect() noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<endpoint> peer_endpoint() const noexcept;

  /// Waits for a datagram. Of a connected socket: the peer's.
  [[nodiscard("co_await it")]] receive_datagram_operation receive_from(std::span<std::byte> into
                                                                       WEFT_LIFETIMEBOUND) {
    return receive_datagram_operation(handle_, into);
  }
  [[nodiscard("co_await it")]] receive_datagram_operation receive(std::span<std::byte> into
                                                                  WEFT_LIFETIMEBOUND) {
    return receive_datagram_operation(handle_, into);
  }
  /// Sends one datagram; waits while the socket's buffer is full. Result: its bytes.
  [[nodiscard("co_await it")]] send_message_operation send_to(std::span<const std::byte> bytes
                                                              WEFT_LIFETIMEBOUND,
                                                              const endpoint& to) {
    return send_message_operation(handle_, bytes, to_system(to));
  }
  /// The same, to the peer. Errors: destination_address_required, when not connected.
  [[nodiscard("co_await it")]] send_message_operation send(std::span<const std::byte> bytes
                                                           WEFT_LIFETIMEBOUND) {
    return send_message_operation(handle_, bytes);
  }

  /// Waits for a datagram and takes with it what has come besides, up to the batch's capacity.
  ///
  /// Result  how many, at least 1; the batch has them
  [[nodiscard("co_await it")]] batch_operation receive_many(datagram_batch& into
                                                            WEFT_LIFETIMEBOUND) {
    return batch_operation(handle_, into);
  }
  /// Sends those of the batch from `first` on, as many as the socket takes: each to its address, or,
  /// when connected, to the peer if it has none.
  ///
  /// What came merged goes as the datagrams that it was: the kernel that put them together cuts them.
  ///
  /// Result  how many went, at least 1 (0 if there were none). An error is that of the first. A network
  ///         that refuses the cutting (io_error, invalid_argument, message_size) takes a merged one by
  ///         send_segments_to(batch.bytes(i), batch[i].segment_size, batch[i].from)
  [[nodiscard("co_await it")]] batch_operation send_many(datagram_batch& batch WEFT_LIFETIMEBOUND,
                                                         std::size_t first = 0) {
    return batch_operation(handle_, batch, first);
  }

  /// Sends `bytes` as datagrams of `segment` bytes each, the last with the rest; in few calls where
  /// the kernel cuts them (GSO), else one by one. What arrives is the same.
  ///
  /// Errors  those of the datagram that failed; the ones before it are sent
  /// Cancel  between pieces: what was sent is sent
  task<result<void>> send_segments(std::span<const std::byte> bytes, std::uint16_t segment);
  task<result<void>> send_segments_to(std::span<const std::byte> bytes, std::uint16_t segment,
                                      endpoint to);
  /// Whether the kernel cuts; found out once a process. False also after a network refused it.
  bool segments_in_kernel() const noexcept { return segment_; }

  [[nodiscard("co_await it")]] wait_operation wait_readable() {
    return wait_operation(handle_, io::io_code::wait_readable);
  }
  [[nodiscard("co_await it")]] wait_operation wait_writable() {
    return wait_operation(handle_, io::io_code::wait_writable);
  }

  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_broadcast(bool on) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<bool> broadcast() const noexcept;

  /// Takes part in a multicast group, at one interface by its number; 0: the system's choice.
  ///
  /// Errors  address_family_not_supported: an IPv6 group of an IPv4 socket, an IPv4 group of one that is for
  ///         IPv6 only
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> join(const address& group,
                                                       std::uint32_t interface_index = 0) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> leave(const address& group,
                                                        std::uint32_t interface_index = 0) noexcept;
  /// Routers that what goes to a group may pass; 0: it stays in this machine.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_multicast_ttl(int hops) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<int> multicast_ttl() const noexcept;
  /// Whether what is sent to a group also comes to this machine.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_multicast_loop(bool on) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<bool> multicast_loop() const noexcept;
  /// Where what is sent to a group goes out; of an IPv6 socket also what it sends to IPv4.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_multicast_interface(
      std::uint32_t interface_index) noexcept;

 private:
  udp_socket(io::io_handle handle, bool segment) noexcept
      : ip_socket(std::move(handle)), segment_(segment) {}
  bool is_v6() const noexcept;
  result<void> check_family(const address& group) const noexcept;
  task<result<void>> send_cut(std::span<const std::byte> bytes, std::uint16_t segment,
                              os::socket_address to);
  bool segment_ = false;
};

}  // namespace weft::net
