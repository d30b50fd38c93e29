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

/// Since 1970-01-01 UTC; may jump when somebody sets the clock.
std::int64_t realtime_ns() noexcept;

}  // namespace weft::os
