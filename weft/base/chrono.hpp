// chrono: the standard's durations as weft counts time. Apart from base/time, because <chrono> costs
// a translation unit more than all the rest of base.
#pragma once

#include <chrono>
#include <concepts>
#include <type_traits>

#include "weft/base/time.hpp"

namespace weft {

/// Nanoseconds, rounded up (a wait is never too short). What 64 bits cannot hold is the nearest that
/// they can: never_ns, or its negative. So is a duration in floating point that is not a number.
template <class Rep, class Period>
constexpr std::int64_t from_chrono(std::chrono::duration<Rep, Period> d) noexcept {
  using seconds = std::chrono::duration<long double>;
  // Beyond this the conversion below could overflow, which would be undefined.
  constexpr long double seconds_max = 9.223372036e9L;
  const long double s = std::chrono::duration_cast<seconds>(d).count();
  if (s > seconds_max) return never_ns;
  if (s < -seconds_max) return -never_ns;
  if constexpr (std::is_floating_point_v<Rep>) {
    if (s != s) return never_ns;
  }
  return std::chrono::ceil<std::chrono::duration<std::int64_t, std::nano>>(d).count();
}

}  // namespace weft
