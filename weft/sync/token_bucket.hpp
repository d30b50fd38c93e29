// token_bucket: the arithmetic of a rate, in whole numbers: `rate` tokens each `per`, at most `burst`.
//
// A pure structure: time comes in as an argument. What is there is reckoned from moments, in parts of a
// token small enough that a nanosecond adds a whole number of them: nothing is rounded, so nothing
// drifts, however long it runs.
//
//   Threads  none of its own (rate_limiter puts a lock around it)
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>

#include "weft/base/assert.hpp"
#include "weft/base/time.hpp"

namespace weft {

class token_bucket {
 public:
  /// Full at first.
  token_bucket(std::uint64_t rate, std::size_t burst, std::int64_t per_ns) noexcept
      : burst_(burst) {
    WEFT_ASSERT(rate > 0 && burst > 0 && per_ns > 0,
                "a rate_limiter's rate, burst and period are above 0");
    WEFT_ASSERT(rate <= parts_max && burst <= parts_max, "a rate_limiter's rate is too large");
    const auto tokens = static_cast<std::int64_t>(rate);
    const std::int64_t common = std::gcd(tokens, per_ns);
    token_ = per_ns / common;
    gain_ = tokens / common;
    std::int64_t full = 0;
    const bool fits = !__builtin_mul_overflow(static_cast<std::int64_t>(burst), token_, &full) &&
                      full <= parts_max;
    WEFT_ASSERT(fits,
                "a rate_limiter's burst is too large for its rate: say the period in rounder "
                "numbers, or take a smaller burst");
    full_ = level_ = full;
  }

  std::size_t burst() const noexcept { return burst_; }
  /// What has come until this moment. A moment before the last one changes nothing.
  void refill(std::int64_t now_ns) noexcept {
    if (now_ns <= at_ns_) return;
    std::int64_t come = 0;
    const bool much = __builtin_mul_overflow(saturating_sub_ns(now_ns, at_ns_), gain_, &come);
    level_ = much ? full_ : level_ + std::min(come, full_ - level_);
    at_ns_ = now_ns;
  }
  /// At the moment of the last refill(). n <= burst
  bool take(std::size_t n) noexcept {
    const std::int64_t wanted = parts(n);
    if (level_ < wanted) return false;
    level_ -= wanted;
    return true;
  }
  /// What was taken and not used: it is as if it had stayed, but for what did not fit beside it.
  void put_back(std::size_t n) noexcept { level_ += std::min(parts(n), full_ - level_); }
  /// When take(n) will succeed: the first whole nanosecond, not before the last refill().
  std::int64_t due_ns(std::size_t n) const noexcept {
    const std::int64_t missing = parts(n) - level_;
    if (missing <= 0) return at_ns_;
    return saturating_add_ns(at_ns_, (missing - 1) / gain_ + 1);
  }
  /// Whole ones, at the moment of the last refill().
  std::size_t level() const noexcept { return static_cast<std::size_t>(level_ / token_); }

 private:
  std::int64_t parts(std::size_t n) const noexcept { return static_cast<std::int64_t>(n) * token_; }
  static constexpr std::int64_t parts_max = std::int64_t{1} << 62;
  std::size_t burst_;
  std::int64_t token_;  // parts of a token
  std::int64_t gain_;   // parts that a nanosecond adds
  std::int64_t full_;   // parts, as level_
  std::int64_t level_;
  std::int64_t at_ns_ = INT64_MIN;
};

}  // namespace weft
