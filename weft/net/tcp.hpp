// tcp: streams of bytes between two endpoints, and the listener that takes them in.
//
//   auto listener = net::tcp_listener::bind(*net::endpoint::parse("0.0.0.0:8080"));
//   auto stream = co_await listener->accept();
//   const auto n = co_await stream->read_some(buffer);
//
//   auto there = co_await net::tcp_stream::connect("example.org", 443);     // by name
//
//   Reading and writing, errors, threads, lifetimes, cancel: stream_of.hpp. Made and used inside of
//   jobs: I/O needs a runtime
//   Cost       TCP_NODELAY is on, as what is written here is written whole
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "weft/net/stream_of.hpp"

namespace weft::net {

class resolver;         // resolve.hpp
struct connect_report;  // happy_eyeballs.hpp

/// When a silent peer is given up.
struct keep_alive_options {
  std::chrono::seconds idle{60};      // silence before the first probe
  std::chrono::seconds interval{10};  // between probes
  int probes = 6;                     // unanswered ones
};

/// How a connection is made; trivially copyable, safe in a co_await on GCC 12.
struct connect_options {
  /// Between the beginnings of attempts at several addresses: 10 ms at least (RFC 8305).
  std::chrono::nanoseconds attempt_delay = std::chrono::milliseconds(250);
  resolver* names = nullptr;         // nullptr: system_resolver()
  connect_report* report = nullptr;  // learns of each attempt that failed; what it had is dropped
  /// The first write goes with the request to connect (TFO). Success may then mean only that nothing
  /// was sent yet: write before you read. Not used where a name has several addresses, as none could
  /// be told from one that answers.
  bool fast_open = false;
};

class tcp_stream : public stream_of<tcp_stream, ip_socket> {
 public:
  tcp_stream() noexcept = default;
  explicit tcp_stream(io::io_handle handle) noexcept : stream_of(std::move(handle)) {}

  /// Connects to an address. Cancel: lossless, the half-made connection is dropped.
  static task<result<tcp_stream>> connect(endpoint to);
  static task<result<tcp_stream>> connect(endpoint to, connect_options options);

  /// Connects to a host by its name, or literal address: looks it up (net::resolve) and tries its
  /// addresses by happy eyeballs (RFC 8305): families in turn, the next attempt after
  /// options.attempt_delay or as soon as one has failed, the first to succeed wins. The others are
  /// stopped, and have ended when this does.
  ///
  /// Errors     the lookup's; or, if no attempt succeeds, the most telling of their errors: the last
  ///            one that does not just say that this machine has no way there
  /// Cancel     lossless: every attempt is dropped
  /// Lifetimes  `host` outlives the await
  static task<result<tcp_stream>> connect(std::string_view host, std::uint16_t port,
                                          connect_options options = {});

  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<endpoint> peer_endpoint() const noexcept;

  /// Off: small writes are gathered by the kernel (Nagle).
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_no_delay(bool on) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<bool> no_delay() const noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_keep_alive(bool on) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_keep_alive(
      const keep_alive_options& options) noexcept;
  /// nullopt: off.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::optional<keep_alive_options>> keep_alive()
      const noexcept;
  /// How long what was written may stay unacknowledged before the connection is given up with
  /// timed_out; 0: the system's rule.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_user_timeout(
      std::chrono::milliseconds limit) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::chrono::milliseconds> user_timeout()
      const noexcept;
  /// A write waits while the kernel has so many bytes that it has not sent yet, and goes on at half of it.
  /// 0: the system's rule, which is megabytes, and to wait until a third of them has gone.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_unsent_low_water(std::size_t bytes) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> unsent_low_water() const noexcept;
  /// On: what comes is acknowledged at once. A hint that the kernel may drop later.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_quick_ack(bool on) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<bool> quick_ack() const noexcept;
};

/// How a listener is made; an aggregate that is trivially copyable, safe in a co_await on GCC 12.
struct listen_options {
  int backlog = 1024;  // connections that wait to be accepted; the kernel has a limit of its own
  bool reuse_port = false;  // several listeners share the port, the kernel spreads connections
  bool v6_only = false;     // an IPv6 listener takes IPv4 too, unless this is set; not for IPv4
  int fast_open = 0;  // connections whose first bytes came with the request (TFO), in the queue
  std::size_t send_buffer = 0;     // bytes, of the accepted streams; 0: the system's rule
  std::size_t receive_buffer = 0;  // set before they connect, or the window could not grow to it
};

class tcp_listener : public ip_socket {
 public:
  tcp_listener() noexcept = default;

  /// Listens; port 0 takes a free one (see local_endpoint()). Errors: address_in_use,
  /// permission_denied.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] static result<tcp_listener> bind(
      endpoint where, listen_options options = {}) noexcept;

  /// Waits for a connection.
  ///
  /// Errors  too_many_files_open and its like, at which one should wait a little before trying
  ///         again (serve() does). A connection that dies while it waits is passed over.
  /// Cancel  lossless: the connection stays in the queue
  [[nodiscard("co_await it")]] accept_operation<tcp_stream> accept() {
    return accept_operation<tcp_stream>(handle_);
  }

 private:
  explicit tcp_listener(io::io_handle handle) noexcept : ip_socket(std::move(handle)) {}
};

}  // namespace weft::net
