// clock: what time it is.
//
//   Units    nanoseconds
//   Cost     about 20 ns: no system call where the kernel maps its clock into the process
//   Suspend  the monotonic clock stands still while the machine is suspended. So a one-hour sleep
//            is an hour of running, and timers do not come in a burst when the lid is opened
#pragma once

#include <cstdint>

#include "weft/base/time.hpp"

namespace weft::os {

using weft::never_ns;
using weft::saturating_add_ns;

/// Since some moment in the past, never backwards. The epoch is that of std::chrono::steady_clock.
std::int64_t monotonic_ns() noexcept;

/// From now until a moment of it: 0 when that is past, never_ns for never. A moment of 0 or less costs no
/// look at the clock.
inline std::int64_t ns_left_until(std::int64_t deadline_ns) noexcept {
  if (deadline_ns <= 0) return 0;
  if (deadline_ns == never_ns) return never_ns;
  const std::int64_t left_ns = deadline_ns - monotonic_ns();
  return left_ns > 0 ? left_ns : 0;
}

/// Since 1970-01-01 UTC; may jump when somebody sets the clock.
std::int64_t realtime_ns() noexcept;

}  // namespace weft::os
