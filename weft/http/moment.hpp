// Internal: moments so much earlier or later than another, of which none wraps: an option may say
// milliseconds::max(), which is for ever.
#pragma once

#include <weft/base/chrono.hpp>
#include <weft/base/time.hpp>

#include <chrono>
#include <cstdint>

namespace weft::http::detail {

using moment = std::chrono::steady_clock::time_point;

constexpr moment moment_of(std::int64_t ns) noexcept {
  return moment(std::chrono::duration_cast<moment::duration>(std::chrono::nanoseconds(ns)));
}
constexpr moment later(moment than, std::chrono::milliseconds by) noexcept {
  return moment_of(saturating_add_ns(from_chrono(than.time_since_epoch()), from_chrono(by)));
}
constexpr moment earlier(moment than, std::chrono::milliseconds by) noexcept {
  return moment_of(saturating_sub_ns(from_chrono(than.time_since_epoch()), from_chrono(by)));
}

/// How long so many bytes take at `per_second` of them, which is not 0.
constexpr std::chrono::milliseconds time_of(std::uint64_t bytes,
                                            std::uint64_t per_second) noexcept {
  // In floating point nothing can overflow, and a millisecond in some years does not matter.
  const double seconds = static_cast<double>(bytes) / static_cast<double>(per_second);
  return std::chrono::milliseconds(from_chrono(std::chrono::duration<double>(seconds)) / ns_per_ms);
}

}  // namespace weft::http::detail
