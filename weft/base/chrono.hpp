// chrono: the standard's durations as weft counts time. Apart from base/time, because <chrono>
// costs a translation unit more than all the rest of base.
#pragma once

#include <chrono>
#include <concepts>
#include <type_traits>

#include "weft/base/time.hpp"

namespace weft {

/// Nanoseconds, rounded up (a wait is never too short). What 64 bits cannot hold (292 years; in
/// floating point 291) is never_ns, or its negative. Not a number is never_ns.
template <class Rep, class Period>
constexpr std::int64_t from_chrono(std::chrono::duration<Rep, Period> d) noexcept {
  using seconds = std::chrono::duration<long double>;
  // Beyond this the conversion below could overflow, which would be undefined. In floating point
  // the product may be rounded up to 2^63.
  constexpr long double seconds_max = std::is_floating_point_v<Rep> ? 9.2e9L : 9.223372036e9L;
  const long double s = std::chrono::duration_cast<seconds>(d).count();
  if (s > seconds_max) return never_ns;
  if (s < -seconds_max) return -never_ns;
  if constexpr (std::is_floating_point_v<Rep>) {
    if (s != s) return never_ns;
  }
  return std::chrono::ceil<std::chrono::duration<std::int64_t, std::nano>>(d).count();
}

}  // namespace weft
