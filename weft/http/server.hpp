// An HTTP/1.1 server: keep-alive, pipelining, and limits and time-outs that are on by default.
//
//   http::server site(handler);
//   const auto ended = co_await site.serve(listener);      // until the job is stopped
//
// Lifetimes: serve() ends after its connections have ended, however it ends: a handler, a
//   server and a listener in the frame of whoever awaits it are always safe to use.
// Cancel: stopping the job of serve() ends idle connections at once, lets busy ones finish their
//   response for `drain`, stops what is then left, and returns success. It must finish: it waits
//   for a handler that does not look at its stop.
// Memory: a connection that finds none ends, and no other.
// Protocol: connection.hpp
#pragma once

#include <weft/base/result.hpp>
#include <weft/http/handler.hpp>
#include <weft/http/limits.hpp>
#include <weft/net/tcp.hpp>
#include <weft/task/task.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace weft::http {

struct server_options {
  http::limits limits;  ///< of one request
  // milliseconds::max() is for ever.
  /// From the first byte of a request, or of an empty line before it, to the end of its head; longer: 408.
  std::chrono::milliseconds header_time{10'000};
  std::chrono::milliseconds body_stall{30'000};  ///< without a byte of the body; longer: 408
  /// Bytes a second. The whole of a body may take body_stall, and a second for each so many bytes of it that
  /// have come (what chunks are wrapped in does not count); longer: 408. 0: as long as it likes. It is no
  /// limit on the time alone, as that would be too short for a large body or too long for a slow client.
  std::uint64_t body_rate_min = 500;
  std::chrono::milliseconds write_stall{30'000};  ///< for each 64 KiB, of a file 256; longer: reset
  std::chrono::milliseconds idle_time{60'000};    ///< between two requests; longer: closed
  /// How long the requests of a refused client are read and dropped, so that it sees the answer: a
  /// close with unread bytes would be a reset, which takes the answer away from it.
  std::chrono::milliseconds linger{1'000};
  std::size_t linger_bytes = 4 * 1024 * 1024;
  /// After a stop, the time in which responses under way may end.
  std::chrono::milliseconds drain{5'000};
  std::size_t connections_max = 10'000;  ///< of one serve(); at it, no more are accepted
};

/// Each figure is true for itself; they are not one moment.
struct server_statistics {
  std::uint64_t connections_open = 0;
  std::uint64_t connections_busy = 0;  ///< with a request under way
  std::uint64_t connections_accepted = 0;
  std::uint64_t requests = 0;                   ///< that reached the handler
  std::array<std::uint64_t, 5> responses = {};  ///< [0]: 1xx ... [4]: 5xx, refusals included
  std::uint64_t body_bytes_sent = 0;
  std::uint64_t refused = 0;          ///< not well-formed, or over a limit
  std::uint64_t timed_out = 0;        ///< by all limits on time but idle_time
  std::uint64_t bodies_too_slow = 0;  ///< of timed_out: body_rate_min
  std::uint64_t handler_errors = 0;   ///< exceptions
  std::uint64_t accept_errors = 0;
};

namespace detail {
class server_counters;
}

class server {
 public:
  /// `answers` must live as long as a serve() runs.
  explicit server(handler& answers, server_options options = {});
  /// Keeps a callable as the handler.
  template <response_function F>
  explicit server(F answers, server_options options = {})
      : server(std::make_unique<function_handler<F>>(std::move(answers)), options) {}
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// Serves the connections of `listener` until the calling job is stopped (success), or the
  /// listener is closed or broken (its error). May run at once for several listeners.
  task<result<void>> serve(net::tcp_listener& listener);

  /// Of all serve() together, since the start. Threads: any.
  [[nodiscard]] server_statistics statistics() const noexcept;

 private:
  server(std::unique_ptr<handler> own, server_options options);

  std::unique_ptr<handler> own_;
  handler& answers_;
  server_options options_;
  std::shared_ptr<detail::server_counters> counters_;
};

}  // namespace weft::http
