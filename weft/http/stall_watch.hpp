// Internal: the clock of one connection: what it waits for ends when its time is over.
//
// Protocol
//   One timer for the life of a connection, looked after lazily: armed_ns_ is never later than due_ns_,
//   so that a due moment that moves away (every request moves it) touches no timer. The timer that
//   fires early arms itself again; the one that fires in time shuts the socket down in both
//   directions, at which every read and write ends, whichever driver it waits in.
//   For waits after whose end nothing is said to the client any more: an idle connection, a write that
//   does not get on. Where an answer has to follow (408), deadline() is used.
//
//   I1  A fire that cancel() was too late for (in_flight_) comes to the lock sooner or later, and looks
//       at due_ns_ then: who finds it in flight need not arm anything. Only the end waits for it.
//   I2  The socket is shut down without the lock, while shutting_ is true; nothing is armed then or later,
//       as expired_ is true. The end waits for that, too: the stream need not outlive it.
//
// Threads: set() and the end by the connection; the fire by whatever worker it was armed on.
// Rejected: timeout() for each wait: a job, a frame, an arming and a cancelling each, twice a request.
#pragma once

#include <weft/base/spin_lock.hpp>
#include <weft/base/time.hpp>
#include <weft/net/tcp.hpp>
#include <weft/timer/timer_set.hpp>

#include <chrono>
#include <cstdint>

namespace weft::http::detail {

class stall_watch final : private timer_entry {
 public:
  /// `stream` stays open until this is gone.
  explicit stall_watch(net::tcp_stream& stream) noexcept : timer_entry(&fired), stream_(stream) {}
  /// The timer is off, and its fire, if it was under way, has ended.
  ~stall_watch();
  stall_watch(const stall_watch&) = delete;
  stall_watch& operator=(const stall_watch&) = delete;

  /// What is waited for now may take until then. By the job of the connection.
  void give_until(std::chrono::steady_clock::time_point due) noexcept;
  /// Nothing is waited for that it has to end. Result: false when the time was over before.
  [[nodiscard]] bool pause() noexcept;
  /// The time was over, and the socket is shut down.
  [[nodiscard]] bool expired() noexcept;

 private:
  static void fired(timer_entry& entry) noexcept;
  void fire() noexcept;

  net::tcp_stream& stream_;
  timer_set* in_ = nullptr;           // where it is armed; this and the rest: under lock_
  std::int64_t armed_ns_ = never_ns;  // never_ns: it is not
  std::int64_t due_ns_ = never_ns;
  spin_lock lock_;
  bool in_flight_ = false;  // I1
  bool expired_ = false;
  bool shutting_ = false;  // I2
};

}  // namespace weft::http::detail
