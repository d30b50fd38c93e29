#include "weft/runtime/interval.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "weft/runtime/runtime.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::virtual_runtime;
using ms = std::chrono::milliseconds;

/// When ticks come, in ms from the start, if after the first one there is a pause of 35.
std::vector<long> ticks_around_a_pause(missed_tick late) {
  virtual_runtime rt;
  return rt.block_on([](missed_tick how) -> task<std::vector<long>> {
    std::vector<long> at;
    const auto begin = now();
    interval every(10ms, how);
    for (int i = 0; i < 7; ++i) {
      co_await every.tick();
      at.push_back(std::chrono::duration_cast<ms>(now() - begin).count());
      if (i == 1) co_await sleep_for(35ms);
    }
    co_return at;
  }(late));
}

TEST(interval, missed_ticks_are_made_up_for) {
  EXPECT_EQ(ticks_around_a_pause(missed_tick::burst),
            (std::vector<long>{0, 10, 45, 45, 45, 50, 60}));
}
TEST(interval, missed_ticks_move_the_beat) {
  EXPECT_EQ(ticks_around_a_pause(missed_tick::delay),
            (std::vector<long>{0, 10, 45, 55, 65, 75, 85}));
}
TEST(interval, missed_ticks_are_left_out) {
  EXPECT_EQ(ticks_around_a_pause(missed_tick::skip),
            (std::vector<long>{0, 10, 45, 50, 60, 70, 80}));
}

task<> keeps_the_beat() {
  const auto begin = now();
  interval every(begin + 3ms, 10ms);
  for (int i = 0; i < 100; ++i) {
    const auto due = co_await every.tick();
    EXPECT_EQ(due, begin + 3ms + i * 10ms);
    EXPECT_EQ(now(), due);
    co_await sleep_for(9999us);  // less than a period
  }
  every.reset();
  const auto reset = now();
  const auto due = co_await every.tick();
  EXPECT_EQ(due, reset + 10ms);
}
TEST(interval, what_is_between_ticks_does_not_move_them) {
  virtual_runtime rt;
  rt.block_on(keeps_the_beat());
}

task<> times_out() {
  const auto begin = now();
  interval every(10ms);
  co_await every.tick();
  for (int i = 0; i < 3; ++i) {
    const auto cut_off = co_await timeout(3ms, every.tick());
    EXPECT_EQ(cut_off.error(), errc::timed_out);
  }
  const auto due = co_await every.tick();
  EXPECT_EQ(due, begin + 10ms);
}
TEST(interval, tick_that_was_cut_off_was_not_taken) {
  virtual_runtime rt;
  rt.block_on(times_out());
}

TEST(interval, period_of_nothing_is_refused) { EXPECT_DEATH(interval(0ms), "more than nothing"); }

#if WEFT_CENSUS
task<> three_ticks() {
  interval every(1ms);
  for (int i = 0; i < 3; ++i) co_await every.tick();
}
TEST(interval, stopped_at_every_await_it_leaves_nothing) {
  const auto seen = testing::cancel_everywhere(
      [](testing::virtual_runtime& rt) { return rt.spawn(three_ticks); }, [](bool) {});
  EXPECT_GT(seen.stopped, 0u);
}
#endif

}  // namespace
}  // namespace weft
