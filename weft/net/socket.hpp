// socket: what all sockets have: a descriptor in a driver's care, and options. Errors are values; a
// closed socket's is bad_file_descriptor.
//
//   Threads  options: any, while the socket is neither moved nor closed
//   Buffers  in bytes as the system counts them: it takes what it is given for a hint, keeps room for
//            its own beside (Linux doubles), and says what it made of it
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

#include "weft/io/driver.hpp"
#include "weft/net/address.hpp"
#include "weft/os/socket_options.hpp"

namespace weft::net {

class basic_socket {
 public:
  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }
  /// The system's number for it, -1 when closed. For options that have no name here.
  int native() const noexcept { return handle_.fd(); }
  void close() noexcept { handle_.close(); }

  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_send_buffer(std::size_t bytes) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> send_buffer() const noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_receive_buffer(std::size_t bytes) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> receive_buffer() const noexcept;

  /// What close() does with what was written and has not arrived: nullopt, the kernel sends it on
  /// alone (the rule); 0, it is dropped and the peer sees a reset; more: close() holds its worker for
  /// up to so long, so prefer shutdown_write() and a read to the end.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_linger(
      std::optional<std::chrono::seconds> how_long) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::optional<std::chrono::seconds>> linger()
      const noexcept;

  /// Takes the error that waits on the socket; none: no error.
  std::error_code take_error() noexcept { return os::socket_error(native()); }

 protected:
  basic_socket() noexcept = default;
  explicit basic_socket(io::io_handle handle) noexcept : handle_(std::move(handle)) {}
  io::io_handle handle_;
};

/// One whose addresses are endpoints.
class ip_socket : public basic_socket {
 public:
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<endpoint> local_endpoint() const noexcept;

  /// How many routers a packet may pass (IPv6: hops): 1 to 255. Of an IPv6 socket for what it sends to
  /// IPv4, too.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_ttl(int hops) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<int> ttl() const noexcept;

  // Set where the socket is made (listen_options, udp_options): later is too late.
  /// Errors: address_family_not_supported: an IPv4 socket.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<bool> v6_only() const noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<bool> reuse_address() const noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<bool> reuse_port() const noexcept;

 protected:
  ip_socket() noexcept = default;
  explicit ip_socket(io::io_handle handle) noexcept : basic_socket(std::move(handle)) {}
  /// An option that each family has: an IPv6 socket may send to IPv4, too.
  result<void> set_both(os::socket_option v6, os::socket_option v4, int value) noexcept;
};

}  // namespace weft::net
