// chrono: from the standard's durations to weft's nanoseconds. Apart from base/time.hpp because
// <chrono> is dear to include.
#pragma once

#include <chrono>

#include "weft/base/time.hpp"

namespace weft {

/// Rounded up, so that nothing waits too short; what 64 bits cannot hold is for ever (292 years).
template <class Rep, class Period>
constexpr std::int64_t to_ns(std::chrono::duration<Rep, Period> d) noexcept {
  const double seconds = std::chrono::duration<double>(d).count();
  if (seconds >= 9.2e9) return never_ns;
  if (seconds <= -9.2e9) return -never_ns;
  return std::chrono::ceil<std::chrono::nanoseconds>(d).count();
}

}  // namespace weft
