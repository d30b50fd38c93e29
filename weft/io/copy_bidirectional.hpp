// copy_bidirectional: what a proxy does: all that each of two streams gives goes into the other.
//
//   const auto moved = co_await io::copy_bidirectional(client, upstream);
//   if (moved) log(moved->forth, moved->back);
//
//   The end  of one stream is handed on: the other one's shutdown_write(), after all that came before it. The
//            other direction goes on. It is done when both have ended
//   Errors   an error in one direction stops the other; when both have ended it is given. Nothing is closed:
//            that is the caller's
//   Cancel   stops both, and awaits them. What was read and not written yet goes with it, at most
//            buffer_default bytes each way: after a stop, as after an error, the streams are good for
//            nothing but to be closed
//   Threads  the directions are two branches of the job, on one worker or two: each stream must bear that one
//            job reads and another writes, as sockets and duplex() do
//   Cost     two buffers of buffer_default bytes, two branches, a stop_source
//   After    Tokio's copy_bidirectional
#pragma once

#include <cstdint>
#include <tuple>

#include "weft/io/copy.hpp"
#include "weft/together/stop_token.hpp"
#include "weft/together/when_all.hpp"

namespace weft::io {

/// Bytes that were written.
class copied_both {
 public:
  std::uint64_t forth = 0;  // from the first into the second
  std::uint64_t back = 0;
};

namespace detail {

template <async_reader R, half_closable W>
task<result<void>> copy_and_shut_down(R& from, W& to, std::uint64_t& copied, stop_source& failed) {
  result<void> done = co_await copy_counted(from, to, copy_all, copied);
  if (done) {
    done = co_await shut_down(to);
    // Its peer has gone: whether that is an error is for the other direction to say.
    if (!done && done.error() == std::errc::not_connected) done = result<void>();
  }
  if (!done) failed.request_stop();
  co_return done;
}

}  // namespace detail

/// See the top of the file.
template <async_stream A, async_stream B>
task<result<copied_both>> copy_bidirectional(A& a, B& b) {
  stop_source failed;
  const stop_token token = failed.get_token();
  copied_both n;
  const auto ends =
      co_await when_all(with_stop(token, detail::copy_and_shut_down(a, b, n.forth, failed)),
                        with_stop(token, detail::copy_and_shut_down(b, a, n.back, failed)));
  // The direction that was cut off because of the other one says operation_canceled.
  std::error_code why;
  for (const result<void>& end : {std::get<0>(ends), std::get<1>(ends)}) {
    if (end) continue;
    if (!why || why == std::errc::operation_canceled) why = end.error();
  }
  if (why) co_return std::unexpected(why);
  co_return n;
}

}  // namespace weft::io
