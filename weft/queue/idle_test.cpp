// idle on one thread: whom it names, and what it counts.
#include "weft/queue/idle.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(idle, names_nobody_while_all_are_awake) {
  idle i(4);
  EXPECT_EQ(i.awake_hint(), 4u);
  EXPECT_EQ(i.worker_to_notify(), std::nullopt);
}

TEST(idle, names_the_lowest_sleeper_and_counts_it_as_searching) {
  idle i(4);
  EXPECT_TRUE(i.sleep(3, false));
  EXPECT_TRUE(i.sleep(1, false));
  EXPECT_EQ(i.worker_to_notify(), 1u);
  EXPECT_EQ(i.awake_hint(), 3u);
  EXPECT_EQ(i.searching_hint(), 1u);
}

TEST(idle, names_nobody_while_somebody_searches) {
  idle i(4);
  EXPECT_TRUE(i.sleep(0, false));
  EXPECT_TRUE(i.sleep(1, false));
  EXPECT_EQ(i.worker_to_notify(), 0u);
  EXPECT_EQ(i.worker_to_notify(), std::nullopt);
  EXPECT_TRUE(i.stop_searching());
  EXPECT_EQ(i.worker_to_notify(), 1u);
}

TEST(idle, at_most_half_search) {
  idle i(4);
  EXPECT_TRUE(i.try_start_searching());
  EXPECT_TRUE(i.try_start_searching());
  EXPECT_FALSE(i.try_start_searching());
  EXPECT_FALSE(i.stop_searching());
  EXPECT_TRUE(i.stop_searching());
}

TEST(idle, a_single_worker_may_search) {
  idle i(1);
  EXPECT_TRUE(i.try_start_searching());
}

TEST(idle, only_the_last_searcher_looks_again_before_it_sleeps) {
  idle i(4);
  EXPECT_TRUE(i.try_start_searching());
  EXPECT_TRUE(i.try_start_searching());
  EXPECT_FALSE(i.sleep(0, true));
  EXPECT_FALSE(i.sleep(1, false));  // somebody searches still
  EXPECT_TRUE(i.sleep(2, true));
}

TEST(idle, wake_self_tells_who_woke_it) {
  idle i(2);
  EXPECT_TRUE(i.sleep(0, false));
  EXPECT_TRUE(i.wake_self(0));
  EXPECT_EQ(i.searching_hint(), 0u);
  EXPECT_TRUE(i.sleep(0, false));
  EXPECT_EQ(i.worker_to_notify(), 0u);
  EXPECT_FALSE(i.wake_self(0));
  EXPECT_EQ(i.awake_hint(), 2u);
}

TEST(idle, every_worker_of_the_largest_pool_is_named_once) {
  idle i(idle::workers_max);
  for (unsigned w = 0; w < idle::workers_max; ++w) EXPECT_TRUE(i.sleep(w, false));
  EXPECT_EQ(i.awake_hint(), 0u);
  for (unsigned w = 0; w < idle::workers_max; ++w) {
    EXPECT_EQ(i.worker_to_notify(), w);
    EXPECT_TRUE(i.stop_searching());
  }
  EXPECT_EQ(i.worker_to_notify(), std::nullopt);
}

void sleep_twice() {
  idle i(2);
  static_cast<void>(i.sleep(0, false));
  static_cast<void>(i.sleep(0, false));
}

TEST(idle, sleeping_twice_is_a_bug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(sleep_twice(), "fell asleep twice");
}

}  // namespace
}  // namespace weft
