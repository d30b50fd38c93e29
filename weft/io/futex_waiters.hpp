// futex_waiters: futex waits where the kernel interface cannot do them beside I/O (epoll, poll; a ring
// before Linux 6.7; no driver at all): each wait that is under way has a thread, which sleeps in it.
//
//   Threads    submit, withdraw: any. An operation is completed from the thread that waited for it
//   Cost       a wait: two thread switches; the first ones a thread each, which stays for the next
//              wait and ends when there was none for a second
//   Cancel     the thread is told by a word of its own, and answers. A wake that it has used up
//              completes the operation; one that it has not stays with the word
//   Errors     where the system refuses a thread the wait ends at once, for no reason: who waits looks
//              at the word again, as it has to anyway
//   Rejected   one thread that waits for many words (futex_waitv): between two waits it is in line for
//              none of them, so a wake that is meant for one of many would let all look, and a wake
//              of one word is not told from wakes of those before it in the list. The blocking pool:
//              waits of unknown length would hold up work that is short.
#pragma once

#include <cstdint>
#include <deque>

#include "weft/base/atomic.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/io/driver.hpp"
#include "weft/os/thread.hpp"

namespace weft::io {

class futex_waiters {
 public:
  /// `keep_ns`: how long a thread without a wait stays. Throws std::bad_alloc.
  explicit futex_waiters(std::int64_t keep_ns = keep_ns_usual) : keep_ns_(keep_ns) {}
  futex_waiters(const futex_waiters&) = delete;
  futex_waiters& operator=(const futex_waiters&) = delete;
  /// No wait is under way. Joins the threads.
  ~futex_waiters();

  /// As driver::submit, for io_code::futex_wait. With a deadline the answer may be
  /// answer_futex_timed_out.
  [[nodiscard]] submitted submit(io_operation& op, promise_base& waiter,
                                 std::int64_t deadline_ns = never_ns) noexcept;
  void withdraw(io_operation& op) noexcept;

 private:
  /// A thread and what it waits for. Everything but `bell` is under lock_.
  struct seat {
    futex_waiters* home = nullptr;
    std::uint32_t number = 0;
    atomic<std::uint32_t> bell{0};  // rung for a new operation, a withdrawal, the end
    io_operation* op = nullptr;
    std::int64_t deadline_ns = never_ns;
    os::thread thread;
    bool withdrawn = false;
    bool is_over = false;  // its thread has left, or is about to: join it
    seat* next_free = nullptr;
  };
  static constexpr std::int64_t keep_ns_usual = 1'000'000'000;
  static constexpr std::size_t stack_bytes = 256 * 1024;

  seat* take_seat() noexcept;
  bool man(seat& s) noexcept;
  void serve(seat& s) noexcept;
  bool next(seat& s) noexcept;
  void ring(seat& s) noexcept;

  const std::int64_t keep_ns_;
  spin_lock lock_;
  std::deque<seat> seats_;  // grows only
  seat* free_ = nullptr;    // the one used last first
  bool closing_ = false;
};

}  // namespace weft::io
