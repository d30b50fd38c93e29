#include "weft/runtime/interval.hpp"

#include "weft/base/assert.hpp"

namespace weft {

interval::interval(std::int64_t first_ns, std::int64_t period_ns, missed_tick late)
    : due_ns_(first_ns), period_ns_(period_ns), late_(late) {
  WEFT_ASSERT(period_ns > 0, "an interval's period is more than nothing");
}

/// The tick has come; when the next one is due.
void interval::take() noexcept {
  const std::int64_t late_ns = now_ns() - due_ns_;
  std::int64_t periods = 1;
  if (late_ns >= period_ns_ && late_ != missed_tick::burst) {
    if (late_ == missed_tick::delay) {
      due_ns_ = saturating_add_ns(due_ns_ + late_ns, period_ns_);
      return;
    }
    periods += late_ns / period_ns_;  // those in between have passed
  }
  due_ns_ = saturating_add_ns(due_ns_, periods * period_ns_);
}

}  // namespace weft
