// clock: what time it is.
#pragma once

#include <cstdint>

#include "weft/base/time.hpp"

namespace weft::os {

/// Never goes back; stands still while the machine is suspended (CLOCK_MONOTONIC).
std::int64_t monotonic_ns() noexcept;
/// Since 1970, UTC; jumps when somebody sets it.
std::int64_t realtime_ns() noexcept;

}  // namespace weft::os
