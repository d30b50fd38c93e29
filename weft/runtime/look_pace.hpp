// look_pace: how far apart the looks of the monitor are: a quarter of what a job may take, 2.5 ms at most; further
// where no job was seen by two looks for some time, as most of what a look costs is that a thread wakes up for it.
//
//   Threads  the monitor's
#pragma once

#include <algorithm>
#include <cstdint>

namespace weft::detail {

class look_pace {
 public:
  static constexpr std::int64_t period_min_ns = 20'000;
  static constexpr std::int64_t period_max_ns =
      2'500'000;  // one that blocks is found after two or three looks
  static constexpr unsigned calm_after_looks = 200;  // half a second
  /// A first job that computes for long is late by a longer period; beside the 10 ms that it may take, 4.
  static constexpr std::int64_t calm_period_eighths = 13;

  explicit look_pace(std::int64_t slice_ns) noexcept
      : period_ns_(std::clamp(slice_ns / looks_a_slice, period_min_ns, period_max_ns)) {}

  /// At the end of a look: whether it saw a job that the last one had seen.
  void looked(bool again) noexcept {
    calm_looks_ = again ? 0 : std::min(calm_looks_ + 1, calm_after_looks);
  }
  /// From that look to the next.
  std::int64_t period_ns() const noexcept {
    return calm_looks_ < calm_after_looks ? period_ns_ : period_ns_ * calm_period_eighths / 8;
  }

 private:
  static constexpr int looks_a_slice = 4;

  const std::int64_t period_ns_;
  unsigned calm_looks_ = 0;
};

}  // namespace weft::detail
