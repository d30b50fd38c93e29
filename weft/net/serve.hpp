// serve: the loop of a server: accepts connections and runs a job for each.
//
//   co_await net::serve(listener, handle);        // task<> handle(net::tcp_stream stream)
//
//   auto listeners = net::bind_per_worker(*net::endpoint::parse("0.0.0.0:8080"));
//   co_await net::serve_per_worker(*listeners, handle);      // one on each worker, which shares nothing
//
//   Errors  running out of descriptors or memory does not end it: it pauses, 10 ms at first,
//           doubled up to 1 s, while the connections wait in the queue. Other errors do. A connection
//           whose job finds no memory to begin is closed, and counted: connections_refused()
//   Cancel  stopping it ends the accepting; the connections' jobs run on and end with the runtime
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <new>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/net/tcp.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/not_begun.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/when_all.hpp"

namespace weft::net {

/// Errors of accept() that pass when others give back what they hold.
bool is_shortage(std::error_code error) noexcept;

/// How many connections serve() has closed in this process, as there was no memory for their jobs. Threads:
/// any.
std::uint64_t connections_refused() noexcept;

inline constexpr std::chrono::milliseconds accept_pause_min{10};
inline constexpr std::chrono::milliseconds accept_pause_max{1000};

namespace internal {

void count_refused() noexcept;

/// What the job of a connection calls. The handler's frame is made there, on whatever worker: where that
/// fails nobody is left who could be told, so the connection is refused.
template <class Handler>
class connection_body {
 public:
  explicit connection_body(const Handler& handler) : handler_(handler) {}
  std::invoke_result_t<Handler&, tcp_stream> operator()(tcp_stream stream) {
    try {
      return std::invoke(handler_, std::move(stream));
    } catch (const std::bad_alloc&) {  // the stream is closed
      count_refused();
      throw weft::detail::not_begun();
    }
  }

 private:
  [[no_unique_address]] Handler handler_;
};

}  // namespace internal

/// `connections`: how their jobs are spawned.
template <class Handler>
task<result<void>> serve(tcp_listener& listener, Handler handler, spawn_options connections = {}) {
  std::chrono::milliseconds pause = accept_pause_min;
  for (;;) {
    auto accepted = co_await listener.accept();
    std::error_code error;
    if (accepted) {
      try {
        weft::spawn(connections, internal::connection_body<Handler>(handler), std::move(*accepted))
            .detach();
        pause = accept_pause_min;
        continue;
      } catch (const std::bad_alloc&) {
        *accepted = {};  // now: not after the pause
        internal::count_refused();
        error = std::make_error_code(std::errc::not_enough_memory);
      }
    } else {
      error = accepted.error();
    }
    if (!is_shortage(error)) co_return std::unexpected(error);
    co_await sleep_for(pause);
    pause = std::min(pause * 2, accept_pause_max);
  }
}

/// As many listeners on one port as the current runtime has workers; the kernel spreads connections
/// over them. Port 0 takes a free one, the same for all. Errors: those of tcp_listener::bind.
[[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::vector<tcp_listener>> bind_per_worker(
    endpoint where, listen_options options = {});

/// Of serve_per_worker(): ends with the loop, by an exception, which ends the wait for the others.
task<> until_it_ends(join_handle<result<void>>& loop);

/// serve() for each listener, listeners[i] on worker i modulo their number, and each connection's job on
/// the worker that accepted it. It ends with the first error of one of them, when all have ended.
///
/// Cancel     as serve(): afterwards nothing is accepted any more, and the listeners may go
/// Lifetimes  the listeners outlive the await
template <class Handler>
task<result<void>> serve_per_worker(std::vector<tcp_listener>& listeners, Handler handler) {
  const unsigned workers = current_metrics().workers;
  std::vector<join_handle<result<void>>> loops;
  loops.reserve(listeners.size());
  std::exception_ptr thrown;
  result<void> ended;
  try {
    for (auto& listener : listeners) {
      const spawn_options there{.worker = static_cast<unsigned>(loops.size()) % workers};
      loops.push_back(weft::spawn(there, serve<Handler>, std::ref(listener), handler, there));
    }
    const auto stopped = co_await catch_stop(when_all(loops, until_it_ends));
    static_cast<void>(stopped);
  } catch (const error& e) {
    ended = std::unexpected(e.code());
  } catch (...) {  // out of a copy of the handler
    thrown = std::current_exception();
  }
  for (auto& loop : loops) loop.stop();
  {
    const shield_scope until_all_have_ended;  // they use the listeners
    for (auto& loop : loops) {
      if (loop.done()) continue;
      const auto how = co_await loop.outcome();
      static_cast<void>(how);
    }
  }
  if (thrown) std::rethrow_exception(std::move(thrown));
  if (ended) co_await yield_now();  // none of them failed, so this job was stopped: it ends here
  co_return ended;
}

}  // namespace weft::net
