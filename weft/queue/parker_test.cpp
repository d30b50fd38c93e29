// parker where one thread can show it: calls that came before, places, deadlines that have passed.
#include "weft/queue/parker.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(parker, a_call_before_the_park_ends_it_at_once) {
  parker p;
  EXPECT_EQ(p.unpark(), unparked::nothing_to_do);
  p.park();
}

TEST(parker, calls_do_not_add_up) {
  parker p;
  EXPECT_EQ(p.unpark(), unparked::nothing_to_do);
  EXPECT_EQ(p.unpark(), unparked::nothing_to_do);
  EXPECT_TRUE(p.park_until(never_ns));
  EXPECT_FALSE(p.park_until(0));
}

TEST(parker, a_deadline_that_has_passed_returns_false) {
  parker p;
  EXPECT_FALSE(p.park_until(0));
}

TEST(parker, a_call_wins_over_a_deadline_that_has_passed) {
  parker p;
  EXPECT_EQ(p.unpark(), unparked::nothing_to_do);
  EXPECT_TRUE(p.park_until(0));
}

TEST(parker, the_caller_of_an_owner_in_its_driver_is_told_to_wake_the_driver) {
  parker p;
  EXPECT_EQ(p.prepare_park(parker::place::driver), parking::may_sleep);
  EXPECT_EQ(p.unpark(), unparked::wake_driver);
  EXPECT_EQ(p.unpark(), unparked::nothing_to_do);  // one wake is enough
  EXPECT_TRUE(p.end_park());
  EXPECT_EQ(p.unpark(), unparked::nothing_to_do);  // awake again
}

TEST(parker, a_driver_that_returns_by_itself_was_not_called) {
  parker p;
  EXPECT_EQ(p.prepare_park(parker::place::driver), parking::may_sleep);
  EXPECT_FALSE(p.end_park());
}

TEST(parker, a_call_before_prepare_is_eaten_by_it) {
  parker p;
  EXPECT_EQ(p.unpark(), unparked::nothing_to_do);
  EXPECT_EQ(p.prepare_park(parker::place::driver), parking::notified);
  EXPECT_EQ(p.prepare_park(parker::place::driver), parking::may_sleep);
  EXPECT_FALSE(p.end_park());
}

}  // namespace
}  // namespace weft
