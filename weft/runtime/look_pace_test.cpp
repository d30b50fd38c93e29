#include "weft/runtime/look_pace.hpp"

#include <gtest/gtest.h>

namespace weft::detail {
namespace {

constexpr std::int64_t us = 1'000;
constexpr std::int64_t ms = 1'000'000;

TEST(look_pace, is_a_quarter_of_what_a_job_may_take_within_bounds) {
  EXPECT_EQ(look_pace(10 * ms).period_ns(), 2'500 * us);
  EXPECT_EQ(look_pace(1 * ms).period_ns(), 250 * us);
  EXPECT_EQ(look_pace(50 * us).period_ns(), 20 * us);
  EXPECT_EQ(look_pace(1'000 * ms).period_ns(), 2'500 * us);
}

TEST(look_pace, is_slower_where_no_job_was_seen_twice_for_long_until_one_is) {
  look_pace pace(10 * ms);
  for (int round = 0; round < 2; ++round) {
    for (unsigned i = 1; i < look_pace::calm_after_looks; ++i) pace.looked(false);
    EXPECT_EQ(pace.period_ns(), 2'500 * us);
    pace.looked(false);
    EXPECT_EQ(pace.period_ns(), 4'062'500);
    for (int i = 0; i < 1000; ++i) pace.looked(false);
    EXPECT_EQ(pace.period_ns(), 4'062'500);
    pace.looked(true);
    EXPECT_EQ(pace.period_ns(), 2'500 * us);
  }
}

}  // namespace
}  // namespace weft::detail
