//   I1  Nobody is in line while a place is free: leave() hands its place over, and enter() and leave()
//       hold the lock.
//   I2  A work is in one line at a time, the class's or the pool's. In between, when it has a place and
//       the pool has not seen it, a stop is left for blocking_pool::submit() to find.
//   I3  Who has a place gives it up before its operation is finished: afterwards the class may be gone.
#include "weft/runtime/blocking_class.hpp"

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/runtime/blocking.hpp"

namespace weft {

using detail::blocking_work;

blocking_class::blocking_class(options how) noexcept
    : name_(how.name), at_most_(how.at_most), waiting_max_(how.waiting_max) {
  WEFT_ASSERT(at_most_ > 0, "a blocking_class that lets nothing in; set at_most to 1 or more");
}

blocking_class::~blocking_class() {
  const spin_guard guard(lock_);
  WEFT_ASSERT(running_ == 0 && line_.empty(),
              "a blocking_class was destroyed while its work runs or waits; await the end of each "
              "spawn_blocking() that names it, or make it a static");
}

blocking_class::entered blocking_class::enter(blocking_work& work) noexcept {
  const spin_guard guard(lock_);
  if (work.standing == blocking_work::stands::withdrawn &&
      !WEFT_MUTATE("blocking_class.enter.unasked", false, true)) {
    return entered::withdrawn;
  }
  if (running_ < at_most_ || WEFT_MUTATE("blocking_class.enter.over_limit", false, true)) {
    ++running_;
    work.standing = blocking_work::stands::let_in;
    return entered::let_in;
  }
  if (waiting_ >= waiting_max_ && !WEFT_MUTATE("blocking_class.enter.line_too_long", false, true)) {
    work.standing = blocking_work::stands::refused;
    return entered::refused;
  }
  work.standing = blocking_work::stands::in_line;
  line_.push_back(work);
  ++waiting_;
  return entered::in_line;
}

blocking_class::withdrawal blocking_class::withdraw(blocking_work& work) noexcept {
  const spin_guard guard(lock_);
  switch (work.standing) {
    case blocking_work::stands::outside:
      work.standing = WEFT_MUTATE("blocking_class.withdraw.unnoted",
                                  blocking_work::stands::withdrawn, blocking_work::stands::outside);
      return withdrawal::not_yet_seen;
    case blocking_work::stands::in_line:
      work.standing = blocking_work::stands::withdrawn;
      if (WEFT_MUTATE("blocking_class.withdraw.stays_in_line", false, true)) {
        return withdrawal::out_of_line;
      }
      static_cast<list_hook<detail::blocking_tag>&>(work).unlink();
      --waiting_;
      return withdrawal::out_of_line;
    case blocking_work::stands::refused:
      return withdrawal::over;
    case blocking_work::stands::let_in:
    case blocking_work::stands::withdrawn:
      break;
  }
  return withdrawal::was_let_in;
}

blocking_work* blocking_class::leave() noexcept {
  const spin_guard guard(lock_);
  if (line_.empty() || WEFT_MUTATE("blocking_class.leave.hands_nothing_over", false, true)) {
    --running_;
    return nullptr;
  }
  blocking_work& next = line_.pop_front();
  --waiting_;
  next.standing = blocking_work::stands::let_in;
  return &next;
}

unsigned blocking_class::running() const noexcept {
  const spin_guard guard(lock_);
  return running_;
}

unsigned blocking_class::waiting() const noexcept {
  const spin_guard guard(lock_);
  return waiting_;
}

}  // namespace weft
