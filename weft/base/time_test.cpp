// time, chrono: the ends of the range.
#include "weft/base/time.hpp"

#include <gtest/gtest.h>

#include "weft/base/chrono.hpp"

namespace weft {
namespace {

TEST(base_time, sums_stay_in_range) {
  EXPECT_EQ(saturating_add_ns(1, 2), 3);
  EXPECT_EQ(saturating_add_ns(never_ns, -5), never_ns);
  EXPECT_EQ(saturating_add_ns(never_ns - 1, 5), never_ns);
  EXPECT_EQ(saturating_add_ns(INT64_MIN, -1), INT64_MIN);
  EXPECT_EQ(saturating_sub_ns(never_ns, 5), never_ns);
  EXPECT_EQ(saturating_sub_ns(-5, never_ns), INT64_MIN);
  EXPECT_EQ(saturating_sub_ns(7, 5), 2);
  EXPECT_EQ(saturating_sub_ns(0, INT64_MIN), never_ns);
  EXPECT_EQ(saturating_mul_ns(INT64_MAX, -2), INT64_MIN);
  EXPECT_EQ(saturating_mul_ns(INT64_MIN, -2), never_ns);
}

TEST(base_chrono, rounds_up_and_saturates) {
  using namespace std::chrono_literals;
  EXPECT_EQ(from_chrono(5ms), 5'000'000);
  EXPECT_EQ(from_chrono(std::chrono::duration<double>(1e-10)), 1);
  EXPECT_EQ(from_chrono(std::chrono::duration<std::int64_t, std::pico>(1001)), 2);
  EXPECT_EQ(from_chrono(std::chrono::hours::max()), never_ns);
  EXPECT_EQ(from_chrono(std::chrono::hours::min()), -never_ns);
  EXPECT_EQ(from_chrono(std::chrono::nanoseconds::max() - 1s), INT64_MAX - ns_per_s);
  EXPECT_EQ(from_chrono(std::chrono::duration<double>(1e300)), never_ns);
  EXPECT_EQ(from_chrono(std::chrono::duration<double>(__builtin_nan(""))), never_ns);
  EXPECT_EQ(from_chrono(std::chrono::duration<float>(0.5f)), 500'000'000);
  // Below 2^63 ns, but its product, as a float, is 2^63 itself.
  EXPECT_EQ(from_chrono(std::chrono::duration<float>(9223371776.0f)), never_ns);
  EXPECT_EQ(from_chrono(std::chrono::duration<float>(-9223371776.0f)), -never_ns);
}

}  // namespace
}  // namespace weft
