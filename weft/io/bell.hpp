// bell: ends a wait() of another thread through a descriptor that this wait looks at, with one write
// however many ring. The driver that waits owns the descriptor; here is who writes to it.
//
//   Threads  ring: any; answered: the driver's owner
//   Cost     a ring that is not the first: one exchange, no system call
//
// Protocol
//   rung_ is up from a ring until the wait() that was told of it answers.
//   I1  Between two answers there is one write: who finds rung_ up leaves it at that.
//   P1  ring: up (acq_rel)  ->  answered: down (acq_rel): what the ringers did before, those too that
//       found it up. So the owner looks at what they did after answered().
//   No ring is lost: one that finds rung_ up comes before the answer, whose wait() returns and whose
//   owner then looks; one that finds it down writes.
//   Where the write stays until it is read (a pipe), it is read before answered(): read after it, it
//   would take away the byte of a ring that came in between.
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"

namespace weft::io {

class bell {
 public:
  /// True: the caller has to write.
  [[nodiscard]] bool ring() noexcept {
    return rung_.exchange(1, WEFT_MUTATE("bell.ring.relaxed", order::acq_rel, order::relaxed)) ==
           0;  // P1
  }
  /// By the owner: whether a ring waits for its answer. One that comes at the same time may be missed, and
  /// then ends the next sleep.
  bool is_up() const noexcept { return rung_.load(order::relaxed) != 0; }
  void answered() noexcept {
    rung_.exchange(0, WEFT_MUTATE("bell.answered.relaxed", order::acq_rel, order::relaxed));  // P1
  }

 private:
  atomic<std::uint32_t> rung_{0};
};

}  // namespace weft::io
