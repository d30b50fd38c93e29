// turn: which turn of a worker it is, and whether somebody wants that turn to end.
//
// Every job that a worker runs has a turn. Others may look how long it lasts, and ask that it end: the job
// sees it in this_task::should_yield(), and a fiber inside of a preemptible region by a signal.
//
//   Threads   begin(), open_to_signals(): the worker's; all else any
//   Cost      a turn: one word counted up; a look whether it is to end: two relaxed loads of one line
//   Protocol  below
//
// Protocol
//   turn_   the number of the turn; only goes up. The worker
//   asked_  the number of the turn that is to end; askers
//   I1  An ask for one turn never ends another one: it stores the number that its asker has seen, and each
//       turn has a number that was never there.
//   I2  What one asker asks for the turn that goes on is seen there, unless another asker meanwhile stores an
//       older number. So who asks does it again for as long as the turn goes on.
//   All is relaxed: what is asked carries nothing. The signal that follows an ask is sent by a system call,
//   after the store in the order of the sender, and its handler runs on the worker's thread: the kernel
//   orders the two.
// Rejected: one word with a bit that says to end. It costs each turn one instruction more, and an ask a
// compare-exchange.
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"

namespace weft::detail {

class turn_state {
 public:
  /// The next turn begins; nobody has asked for its end.
  WEFT_ALWAYS_INLINE void begin() noexcept {
    turn_.store(turn_.load(order::relaxed) + 1, order::relaxed);
  }

  /// What an ask has to name, and how many have begun.
  std::uint64_t now() const noexcept { return turn_.load(order::relaxed); }
  WEFT_ALWAYS_INLINE bool is_to_end() const noexcept {
    return asked_.load(order::relaxed) == turn_.load(order::relaxed);
  }

  enum class ask_result : std::uint8_t { asked, is_over };
  /// is_over: it has ended already, and nothing was done.
  ask_result ask_to_end(std::uint64_t turn) noexcept {
    if (WEFT_MUTATE("turn.ask.blindly", false, true)) turn = now();
    if (now() != turn) return ask_result::is_over;
    asked_.store(turn, order::relaxed);
    return ask_result::asked;
  }

  /// While a fiber runs here that may be left at any instruction: the thread that it runs on, else 0.
  void open_to_signals(std::uint64_t thread) noexcept { thread_.store(thread, order::relaxed); }
  std::uint64_t thread_open_to_signals() const noexcept { return thread_.load(order::relaxed); }

 private:
  static constexpr std::uint64_t nobody_asked = ~std::uint64_t{0};
  atomic<std::uint64_t> turn_{0};
  atomic<std::uint64_t> asked_{nobody_asked};
  // A hint: a signal that comes too late finds nothing to do, one that was not sent is sent at the next look.
  atomic<std::uint64_t> thread_{0};
};

}  // namespace weft::detail
