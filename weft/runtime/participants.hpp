// participants: how many of a runtime's workers take part, where that follows a CPU quota while the
// program runs. Workers 0 to active()-1 take part; the others are benched (what that means for a worker
// is told in sit_out.cpp).
//
// A quota of 2 CPUs with 16 workers at work is used up in an eighth of each period, and then the kernel
// stops all of them for the rest of it: 87 ms in which no job runs and no timer fires. So no more of
// them take part than the quota has CPUs.
//
//   Threads  any
//   Cost     look(): a load and a comparison, but for one caller a second, who asks the environment
//            (45 us of file reads; descriptors held open would be cheaper, but groups move, and files
//            of limits come and go with the controllers that systemd switches on when asked)
//   After    Go 1.25's GOMAXPROCS, which asks once a second, too
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/time.hpp"
#include "weft/queue/idle.hpp"
#include "weft/runtime/environment.hpp"
#include "weft/runtime/options.hpp"

namespace weft::detail {

class participants {
 public:
  participants(const runtime_options& options, environment& env) noexcept;

  /// How many workers there are, for good.
  unsigned workers() const noexcept { return workers_; }
  /// The number is followed at run time: the program did not say one.
  bool automatic() const noexcept { return automatic_; }
  unsigned active() const noexcept { return active_.load(order::relaxed); }
  bool benched(unsigned worker) const noexcept { return worker >= active(); }

  /// Workers [first, last) have been benched or called back, and must be woken to see it.
  struct change {
    unsigned first = 0;
    unsigned last = 0;
  };
  /// Asks the environment if it is time to. At most one caller has the time to ask.
  [[nodiscard]] WEFT_ALWAYS_INLINE change look(std::int64_t now_ns) noexcept {
    if (WEFT_LIKELY(now_ns < next_look_ns_.load(order::relaxed))) return {};
    return ask(now_ns);
  }

  /// For figures: a worker begins and ends to sit out.
  void sits_down() noexcept { sitting_.fetch_add(1, order::relaxed); }
  void gets_up() noexcept { sitting_.fetch_sub(1, order::relaxed); }
  unsigned sitting() const noexcept { return sitting_.load(order::relaxed); }

 private:
  WEFT_NOINLINE change ask(std::int64_t now_ns) noexcept;
  unsigned granted() noexcept;

  environment& env_;
  const bool automatic_;
  const unsigned workers_;
  atomic<unsigned> active_;
  atomic<unsigned> sitting_{0};
  atomic<std::int64_t> next_look_ns_{never_ns};
};

}  // namespace weft::detail
