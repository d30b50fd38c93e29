// time: moments and lengths are 64-bit nanoseconds of the monotonic clock, in names that end in _ns.
#pragma once

#include <cstdint>

namespace weft {

/// A deadline that is never reached.
inline constexpr std::int64_t never_ns = INT64_MAX;

/// a + b, held at the ends of the range instead of wrapping round.
constexpr std::int64_t saturating_add_ns(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? INT64_MAX : INT64_MIN;
}

}  // namespace weft
