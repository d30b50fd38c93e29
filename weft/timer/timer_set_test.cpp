// timer_set and the wheel under it, in virtual time: exact moments, and a multimap as the oracle.
#include "weft/timer/timer_set.hpp"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/timer/oracle_test_support.hpp"

namespace weft {
namespace {

using test_support::timer_oracle;

constexpr std::int64_t ms = ns_per_ms;
constexpr std::int64_t day = std::int64_t{86400} * ns_per_s;

struct alarm final : timer_entry {
  alarm() noexcept : timer_entry(&fire) {}
  static void fire(timer_entry& e) noexcept {
    alarm& a = static_cast<alarm&>(e);
    ++a.fires;
    if (a.log != nullptr) a.log->push_back(a.name);
  }
  int fires = 0;
  int name = 0;
  std::vector<int>* log = nullptr;
};

TEST(timer_set, fires_at_the_nanosecond_of_its_deadline_and_never_before) {
  for (const std::int64_t deadline : {std::int64_t{1}, wheel::tick_ns - 1, wheel::tick_ns,
                                      wheel::tick_ns + 1, 5 * ms, 5 * ms + 1, 6 * ms - 1, day}) {
    alarm a;
    timer_set set;
    ASSERT_TRUE(set.arm(a, deadline));
    EXPECT_EQ(set.next_deadline_ns(), deadline);
    EXPECT_EQ(set.advance(deadline - 1), 0u);
    EXPECT_EQ(a.fires, 0);
    EXPECT_EQ(set.next_deadline_ns(), deadline);
    EXPECT_EQ(set.advance(deadline), 1u);
    EXPECT_EQ(a.fires, 1);
    EXPECT_EQ(set.next_deadline_ns(), never_ns);
  }
}

TEST(timer_set, sleeping_by_next_deadline_never_wakes_in_vain) {
  timer_set set;
  std::vector<alarm> alarms(2000);
  rng random(test_support::seed());
  std::multimap<std::int64_t, int> expected;
  for (alarm& a : alarms) {
    const auto deadline = static_cast<std::int64_t>(random.next() >> (1 + random.below(48)));
    expected.emplace(deadline, 0);
    ASSERT_TRUE(set.arm(a, deadline));
  }
  while (!expected.empty()) {
    const std::int64_t now = expected.begin()->first;
    ASSERT_EQ(set.next_deadline_ns(), now);
    EXPECT_EQ(set.advance(now), expected.erase(now));
  }
}

TEST(timer_set, next_that_was_cancelled_costs_few_vain_wakes) {
  for (unsigned k = 1; k < 62; ++k) {
    timer_set set;
    alarm first, second;
    const std::int64_t deadline = (std::int64_t{1} << k) + 1;
    ASSERT_TRUE(set.arm(first, deadline - 1));
    ASSERT_TRUE(set.arm(second, deadline));
    EXPECT_TRUE(set.cancel(first));
    int wakes = 0;
    while (second.fires == 0) {
      ASSERT_LT(++wakes, 7) << k;
      set.advance(set.next_deadline_ns());
    }
  }
}

TEST(timer_set, who_may_wake_late_wakes_late_for_nobody_by_more_than_its_slack) {
  timer_set set;
  alarm long_one, short_one, other;
  ASSERT_TRUE(set.arm(long_one, 100 * ms));
  EXPECT_EQ(set.wake_ns(0), 100 * ms);
  EXPECT_EQ(set.wake_ns(100 * ms + 3), 100 * ms + 3);
  const std::int64_t latest_ns = 100 * ms + 244 * wheel::slack_unit_ns;  // about 1 ms
  EXPECT_EQ(set.wake_ns(never_ns), latest_ns);
  ASSERT_EQ(set.advance(wheel::tick_ns, 0), 0u);
  ASSERT_TRUE(set.arm(other, 100 * ms + ms / 2));
  EXPECT_EQ(set.wake_ns(never_ns), latest_ns);
  ASSERT_EQ(set.advance(1500 * wheel::tick_ns), 0u);  // 98.3 ms: a short one has less
  ASSERT_TRUE(set.arm(short_one, 1508 * wheel::tick_ns));
  EXPECT_EQ(set.next_deadline_ns(), 1508 * wheel::tick_ns);
  EXPECT_EQ(set.wake_ns(never_ns), 1509 * wheel::tick_ns);
  EXPECT_TRUE(set.cancel(short_one));
  // One that lies behind a more patient one, in a later slot.
  ASSERT_EQ(set.advance(1520 * wheel::tick_ns), 0u);
  ASSERT_TRUE(set.arm(short_one, 1528 * wheel::tick_ns));
  EXPECT_EQ(set.next_deadline_ns(), 100 * ms);
  EXPECT_EQ(set.wake_ns(never_ns), 1529 * wheel::tick_ns);
  EXPECT_EQ(set.advance(102 * ms), 3u);
  EXPECT_EQ(set.wake_ns(never_ns), never_ns);
}

TEST(timer_set, what_there_was_no_room_for_leaves_first_at_the_next_advance) {
  timer_set set;
  std::vector<int> log;
  std::vector<alarm> alarms(6);
  const std::int64_t deadlines[] = {3 * ms, 2 * ms, 5 * ms, 2 * ms, 4 * ms, 6 * ms};
  for (int i = 0; i < 6; ++i) {
    alarm& a = alarms[static_cast<unsigned>(i)];
    a.name = i;
    a.log = &log;
    ASSERT_TRUE(set.arm(a, deadlines[i]));
  }
  EXPECT_EQ(set.advance(5 * ms, 0), 0u);
  EXPECT_EQ(set.next_deadline_ns(), 2 * ms);
  EXPECT_EQ(set.advance(5 * ms, 1), 1u);
  EXPECT_EQ(set.size(), 5u);
  EXPECT_TRUE(set.cancel(alarms[0]));  // due, but not taken out
  alarm late;
  late.name = 6;
  late.log = &log;
  ASSERT_TRUE(set.arm(late, 1 * ms));
  EXPECT_EQ(set.next_deadline_ns(), 1 * ms);
  EXPECT_EQ(set.advance(5 * ms, 2), 2u);
  EXPECT_EQ(set.next_deadline_ns(), 4 * ms);
  EXPECT_EQ(set.advance(6 * ms, 3), 3u);
  EXPECT_EQ(log, (std::vector<int>{1, 6, 3, 4, 2, 5}));
  EXPECT_EQ(set.next_deadline_ns(), never_ns);
}

struct cancelling final : timer_entry {
  cancelling(timer_set& s, alarm& o) noexcept : timer_entry(&fire), set(s), other(o) {}
  static void fire(timer_entry& e) noexcept {
    auto& c = static_cast<cancelling&>(e);
    c.cancelled = c.set.cancel(c.other);
  }
  timer_set& set;
  alarm& other;
  bool cancelled = false;
};

// As a timeout does that is found overdue together with a longer sleep inside of it.
TEST(timer_set, a_fire_cancels_what_is_due_after_it) {
  for (const unsigned fires_max : {1000u, 2u}) {
    timer_set set;
    alarm longer, longest;
    cancelling shorter(set, longer);
    ASSERT_TRUE(set.arm(longer, 2 * ms));
    ASSERT_TRUE(set.arm(longest, 3 * ms));
    ASSERT_TRUE(set.arm(shorter, 1 * ms));
    EXPECT_EQ(set.advance(5 * ms, fires_max), 2u);
    EXPECT_TRUE(shorter.cancelled);
    EXPECT_EQ(longer.fires, 0);
    EXPECT_EQ(longest.fires, 1);
    EXPECT_EQ(set.size(), 0u);
    EXPECT_EQ(set.next_deadline_ns(), never_ns);
  }
  timer_set set;
  alarm last;
  cancelling first(set, last);
  ASSERT_TRUE(set.arm(first, 1 * ms));
  ASSERT_TRUE(set.arm(last, 2 * ms));
  EXPECT_EQ(set.advance(5 * ms), 1u);  // nothing is left after the first
  EXPECT_TRUE(first.cancelled);
  EXPECT_EQ(set.next_deadline_ns(), never_ns);
}

TEST(timer_set, deadline_equal_to_now_fires_at_the_next_advance) {
  // The class of failure: a level computed for a distance of nothing.
  for (unsigned k = 0; k < 63; ++k) {
    const std::int64_t now = (std::int64_t{1} << k) / ms * ms;
    timer_set set;
    alarm kept;  // so that advance() has a reason to move the clock
    ASSERT_TRUE(set.arm(kept, now));
    set.advance(now);
    ASSERT_EQ(kept.fires, 1) << k;
    alarm a;
    ASSERT_TRUE(set.arm(a, now));
    EXPECT_LE(set.next_deadline_ns(), now);
    EXPECT_EQ(set.advance(now), 1u) << k;
  }
}

TEST(timer_set, the_past_and_negative_deadlines_are_at_once_and_never_is_never) {
  timer_set set;
  alarm first;
  ASSERT_TRUE(set.arm(first, 10 * ms));
  set.advance(10 * ms);
  alarm zero, negative, lowest, never;
  ASSERT_TRUE(set.arm(never, never_ns));
  EXPECT_EQ(set.next_deadline_ns(), never_ns);
  ASSERT_TRUE(set.arm(zero, 0));
  ASSERT_TRUE(set.arm(negative, -1));
  ASSERT_TRUE(set.arm(lowest, INT64_MIN));
  EXPECT_EQ(set.advance(10 * ms), 3u);
  EXPECT_EQ(set.advance(INT64_MAX), 0u);
  EXPECT_EQ(set.size(), 1u);
  EXPECT_TRUE(set.cancel(never));
}

TEST(timer_set, last_deadline_before_never_does_not_overflow) {
  timer_set set;
  alarm a, b;
  ASSERT_TRUE(set.arm(a, INT64_MAX - 1));
  EXPECT_EQ(set.advance(INT64_MAX - 2), 0u);
  ASSERT_TRUE(set.arm(b, INT64_MAX - 1));
  EXPECT_EQ(set.advance(INT64_MAX - 1), 2u);
  EXPECT_EQ(set.advance(INT64_MAX), 0u);
}

TEST(timer_set, oldest_deadline_first_and_equal_ones_as_they_were_armed) {
  timer_set set;
  std::vector<int> log;
  std::vector<alarm> alarms(8);
  const std::int64_t deadlines[] = {5 * ms, 3 * ms + 2, 3 * ms + 1, 70'000 * ms,
                                    5 * ms, 3 * ms + 2, -5,         300 * ms};
  for (int i = 0; i < 8; ++i) {
    alarms[static_cast<unsigned>(i)].name = i;
    alarms[static_cast<unsigned>(i)].log = &log;
    ASSERT_TRUE(set.arm(alarms[static_cast<unsigned>(i)], deadlines[i]));
  }
  EXPECT_EQ(set.advance(100'000 * ms), 8u);
  EXPECT_EQ(log, (std::vector<int>{6, 2, 1, 5, 0, 4, 7, 3}));
}

TEST(timer_set, many_in_one_tick_leave_in_order) {
  timer_set set;
  std::vector<int> log;
  std::vector<alarm> alarms(1000);
  rng random(test_support::seed());
  std::multimap<std::int64_t, int> expected;
  for (int i = 0; i < 1000; ++i) {
    alarm& a = alarms[static_cast<unsigned>(i)];
    a.name = i;
    a.log = &log;
    const std::int64_t deadline = 7 * ms - random.below(500);
    expected.emplace(deadline, i);
    ASSERT_TRUE(set.arm(a, deadline));
  }
  set.advance(7 * ms);
  std::vector<int> order;
  for (const auto& [deadline, name] : expected) order.push_back(name);
  EXPECT_EQ(log, order);
}

TEST(timer_set, cancelled_timer_never_fires_and_can_be_armed_again) {
  timer_set set;
  alarm a;
  ASSERT_TRUE(set.arm(a, 5 * ms));
  EXPECT_TRUE(set.cancel(a));
  EXPECT_EQ(set.next_deadline_ns(), never_ns);
  EXPECT_EQ(set.advance(10 * ms), 0u);
  ASSERT_TRUE(set.arm(a, 20 * ms));
  EXPECT_EQ(set.advance(20 * ms), 1u);
  EXPECT_FALSE(set.cancel(a));
  EXPECT_EQ(a.fires, 1);
}

TEST(timer_set, cancel_before_arm_makes_arm_refuse) {
  timer_set set;
  alarm a;
  EXPECT_FALSE(set.cancel(a));
  EXPECT_FALSE(set.arm(a, 5 * ms));
  EXPECT_EQ(set.size(), 0u);
  EXPECT_EQ(set.advance(10 * ms), 0u);
  EXPECT_EQ(a.fires, 0);
}

struct self_arming final : timer_entry {
  explicit self_arming(timer_set& s) noexcept : timer_entry(&fire), set(s) {}
  static void fire(timer_entry& e) noexcept {
    auto& a = static_cast<self_arming&>(e);
    if (++a.fires < 100) {
      EXPECT_TRUE(a.set.arm(a, 0));
    }
  }
  timer_set& set;
  int fires = 0;
};

TEST(timer_set, cancel_before_arm_is_remembered_by_an_entry_that_is_used_again) {
  timer_set set;
  alarm a;
  ASSERT_TRUE(set.arm(a, 5 * ms));
  ASSERT_EQ(set.advance(5 * ms), 1u);
  a.reuse();
  EXPECT_FALSE(set.cancel(a));
  EXPECT_FALSE(set.arm(a, 6 * ms));
  EXPECT_EQ(set.size(), 0u);
  ASSERT_TRUE(set.arm(a, 6 * ms));
  EXPECT_EQ(set.advance(6 * ms), 1u);
}

TEST(timer_set, rearmed_in_the_past_inside_fire_waits_for_the_next_advance) {
  timer_set set;
  self_arming a(set);
  ASSERT_TRUE(set.arm(a, ms));
  for (int i = 1; i <= 100; ++i) {
    EXPECT_EQ(set.advance(ms), 1u);
    EXPECT_EQ(a.fires, i);
  }
  EXPECT_EQ(set.size(), 0u);
}

struct vanishing final : timer_entry {
  explicit vanishing(int& c) noexcept : timer_entry(&fire), count(c) {}
  static void fire(timer_entry& e) noexcept {
    auto* const v = &static_cast<vanishing&>(e);
    ++v->count;
    delete v;
  }
  int& count;
};

TEST(timer_set, entries_may_be_destroyed_inside_fire) {
  timer_set set;
  int count = 0;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(set.arm(*new vanishing(count), (100 - i % 7) * ms + i));
  }
  set.advance(200 * ms);
  EXPECT_EQ(count, 100);
}

TEST(timer_set, a_jump_of_fifty_days_costs_what_is_in_it) {
  timer_set set;
  std::vector<alarm> alarms(1000);
  for (unsigned i = 0; i < 1000; ++i) ASSERT_TRUE(set.arm(alarms[i], i * day / 20 + 1));
  EXPECT_EQ(set.advance(50 * day), 1000u);  // a wheel that steps by ticks would take minutes
  alarm late;
  ASSERT_TRUE(set.arm(late, 100 * 365 * day));
  EXPECT_EQ(set.advance(100 * 365 * day - ms), 0u);
  EXPECT_EQ(set.advance(100 * 365 * day), 1u);
}

TEST(timer_set, many_timers_that_are_never_due_cost_the_others_nothing) {
  timer_set set;
  std::vector<alarm> alarms(100'000);  // searched at each arm, these would take minutes
  for (unsigned i = 0; i < alarms.size(); ++i) {
    ASSERT_TRUE(set.arm(alarms[i], i % 2 == 0 ? never_ns : 300 * day + i));
  }
  for (alarm& a : alarms) EXPECT_TRUE(set.cancel(a));
  EXPECT_EQ(set.next_deadline_ns(), never_ns);
}

/// Where clocks have broken: each power of two of ticks, and the end of the nanoseconds.
std::vector<std::int64_t> borders() {
  std::vector<std::int64_t> starts{0};
  for (unsigned k = 17; k < 63; ++k)
    starts.push_back((std::int64_t{1} << k) - 3 * wheel::tick_ns / 2);
  starts.push_back(INT64_MAX - 10 * ms);
  starts.push_back(INT64_MAX - 400 * day);
  return starts;
}

TEST(timer_set, agrees_with_the_oracle_from_just_below_each_border) {
  rng random(test_support::seed());
  for (const std::int64_t start : borders()) {
    SCOPED_TRACE(start);
    timer_oracle oracle(64);
    oracle.disturb(&random);
    oracle.advance(start);
    for (int i = 0; i < 5000; ++i) oracle.step(random);
  }
}

TEST(timer_set, agrees_with_the_oracle_for_a_million_operations) {
  rng random(test_support::seed());
  timer_oracle oracle(500);
  oracle.disturb(&random);
  for (int i = 0; i < 1'000'000; ++i) oracle.step(random);
  EXPECT_GT(oracle.fires(), 10'000u);
}

}  // namespace
}  // namespace weft
