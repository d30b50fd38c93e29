#include <time.h>

#include "weft/os/clock.hpp"

namespace weft::os {
namespace {

std::int64_t read_ns(clockid_t clock) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

std::int64_t monotonic_ns() noexcept { return read_ns(CLOCK_MONOTONIC); }
std::int64_t realtime_ns() noexcept { return read_ns(CLOCK_REALTIME); }

}  // namespace weft::os
