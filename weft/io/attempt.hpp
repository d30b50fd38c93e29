// attempt: one try of the call that an operation asks for, without waiting: what a driver that is
// told of readiness (epoll, poll) does with it, and what a completion driver need not.
//
//   Errors  EINTR, a connection that died in the queue of a listener, SIGPIPE and short counts end
//           here; the answer is a result that a user can act upon
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::io {

class io_operation;

/// What a try of the call gave.
enum class attempt : std::uint8_t {
  done,     // op.answer is set
  drained,  // done, and what was received is all that there was: the next try would say not_yet
  not_yet,  // EAGAIN: an event will tell
  more,     // it moved its share of this turn and could go on: later, without an event
};

constexpr bool is_done(attempt how) noexcept {
  return how == attempt::done || how == attempt::drained;
}

/// Bytes that a `whole` operation may move in one try, so that a fast peer cannot keep a worker.
inline constexpr std::size_t attempt_bytes_max = std::size_t{1} << 20;
/// Dead connections that one accept passes over before it reports the error.
inline constexpr int accept_skips_max = 1024;

[[nodiscard]] attempt try_call(io_operation& op) noexcept;

/// Errors of accept() that are about the connection that was to be accepted, not the listener.
[[nodiscard]] bool is_connection_error(int error) noexcept;

}  // namespace weft::io
