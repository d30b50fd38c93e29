// serve: the loop of a server: accepts connections and runs a job for each.
//
//   co_await net::serve(listener, handle);        // task<> handle(net::tcp_stream stream)
//
//   Errors  running out of descriptors or memory does not end it: it pauses, 10 ms at first,
//           doubled up to 1 s, while the connections wait in the queue. Other errors do
//   Cancel  stopping it ends the accepting; the connections' jobs run on and end with the runtime
#pragma once

#include <algorithm>
#include <chrono>
#include <new>
#include <system_error>
#include <utility>

#include "weft/net/tcp.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"

namespace weft::net {

/// Errors of accept() that pass when others give back what they hold.
bool is_shortage(std::error_code error) noexcept;

inline constexpr std::chrono::milliseconds accept_pause_min{10};
inline constexpr std::chrono::milliseconds accept_pause_max{1000};

template <class Handler>
task<result<void>> serve(tcp_listener& listener, Handler handler) {
  std::chrono::milliseconds pause = accept_pause_min;
  for (;;) {
    auto accepted = co_await listener.accept();
    std::error_code error;
    if (accepted) {
      try {
        weft::spawn(handler, std::move(*accepted)).detach();
        pause = accept_pause_min;
        continue;
      } catch (const std::bad_alloc&) {  // the connection is closed
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

}  // namespace weft::net
