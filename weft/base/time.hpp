// time: moments and spans as plain counts of nanoseconds, and arithmetic on them that cannot wrap.
//
//   Units  nanoseconds of the monotonic clock, signed 64 bit: 292 years
#pragma once

#include <cstdint>

namespace weft {

/// A deadline that never comes.
inline constexpr std::int64_t never_ns = INT64_MAX;

inline constexpr std::int64_t ns_per_ms = 1'000'000;
inline constexpr std::int64_t ns_per_s = 1'000'000'000;

/// a + b, or the nearest that can be said. Whatever is added to never stays never.
constexpr std::int64_t saturating_add_ns(std::int64_t a, std::int64_t b) noexcept {
  if (a == never_ns || b == never_ns) return never_ns;
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b < 0 ? INT64_MIN : never_ns;
}

/// a - b, or the nearest that can be said: what is left until `a` at the moment `b`.
constexpr std::int64_t saturating_sub_ns(std::int64_t a, std::int64_t b) noexcept {
  if (a == never_ns) return never_ns;
  std::int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return b > 0 ? INT64_MIN : never_ns;
}

/// a * b, or the nearest that can be said.
constexpr std::int64_t saturating_mul_ns(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t product = 0;
  if (!__builtin_mul_overflow(a, b, &product)) return product;
  return (a < 0) == (b < 0) ? never_ns : INT64_MIN;
}

}  // namespace weft
