// turn: which turn of a worker it is, and whether somebody wants that turn to end.
//
// Every job that a worker runs has a turn. Others may look how long it lasts, and ask that it end: the job
// sees it in this_task::should_yield(), and a fiber inside of a preemptible region by a signal.
//
//   Threads   begin(), open_to_signals(): the worker's; all else any
//   Cost      a turn: a load and a store; a look whether it is to end: one relaxed load
//   Protocol  below
//
// Protocol
//   word_       twice the number of the turn, and one if it is to end.
//   I1  An ask for one turn never ends another one: the asker's compare-exchange names the turn that it
//       has seen, and begin() stores a number that was never there.
//   begin() is a plain load and store, and an ask may come in between: it is lost with the turn that it was
//   for. So no turn costs a read-modify-write.
//   All is relaxed: what is asked carries nothing. The signal that follows an ask is sent by a system call,
//   after the store in the order of the sender, and its handler runs on the worker's thread: the kernel
//   orders the two.
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"

namespace weft::detail {

class turn_state {
 public:
  /// The next turn begins; nobody has asked for its end.
  WEFT_ALWAYS_INLINE void begin() noexcept {
    word_.store((word_.load(order::relaxed) | to_end) + 1, order::relaxed);
  }

  /// What an ask has to name.
  std::uint64_t now() const noexcept { return word_.load(order::relaxed) & ~to_end; }
  WEFT_ALWAYS_INLINE bool is_to_end() const noexcept {
    return (word_.load(order::relaxed) & to_end) != 0;
  }

  enum class ask_result : std::uint8_t {
    asked,   // it is to end, by this ask or by an earlier one
    is_over  // it has ended already
  };
  [[nodiscard]] ask_result ask_to_end(std::uint64_t turn) noexcept {
    std::uint64_t seen = turn;
    if (WEFT_MUTATE("turn.ask.blindly", false, true)) {
      word_.fetch_or(to_end, order::relaxed);
      return ask_result::asked;
    }
    if (word_.compare_exchange(seen, turn | to_end, order::relaxed, order::relaxed)) {
      return ask_result::asked;
    }
    return seen == (turn | to_end) ? ask_result::asked : ask_result::is_over;
  }

  /// While a fiber runs here that may be left at any instruction: the thread that it runs on, else 0.
  void open_to_signals(std::uint64_t thread) noexcept { thread_.store(thread, order::relaxed); }
  std::uint64_t thread_open_to_signals() const noexcept { return thread_.load(order::relaxed); }

 private:
  static constexpr std::uint64_t to_end = 1;
  atomic<std::uint64_t> word_{0};
  // A hint: a signal that comes too late finds nothing to do, one that was not sent is sent at the next look.
  atomic<std::uint64_t> thread_{0};
};

}  // namespace weft::detail
