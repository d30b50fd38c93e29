#include "weft/sync/event.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "weft/sync/sync_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

class event_test : public ::testing::Test {
 protected:
  auto waits_for(event& e, char name) {
    return waits(executor, trace, name, [&e] { return e.wait(); });
  }
  test_executor executor;
  std::string trace;
};

TEST_F(event_test, manual_one_lets_all_through_until_it_is_reset) {
  event e;
  auto a = waits_for(e, 'a'), b = waits_for(e, 'b');
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  e.set();
  auto c = waits_for(e, 'c');
  executor.run_until_idle();
  EXPECT_EQ(trace, "abc");
  e.reset();
  auto d = waits_for(e, 'd');
  executor.run_until_idle();
  EXPECT_EQ(trace, "abc");
  e.set();
  executor.run_until_idle();
  EXPECT_EQ(trace, "abcd");
}

TEST_F(event_test, reset_right_after_set_does_not_take_back_whom_it_let_through) {
  event e;
  auto a = waits_for(e, 'a'), b = waits_for(e, 'b');
  executor.run_until_idle();
  e.set();
  e.reset();
  executor.run_until_idle();
  EXPECT_EQ(trace, "ab");
  EXPECT_FALSE(e.is_set());
}

TEST_F(event_test, auto_one_lets_one_through_for_each_set) {
  event e(event::auto_reset);
  auto a = waits_for(e, 'a'), b = waits_for(e, 'b');
  executor.run_until_idle();
  e.set();
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
  EXPECT_FALSE(e.is_set());
  e.set();
  executor.run_until_idle();
  EXPECT_EQ(trace, "ab");
}

TEST_F(event_test, auto_one_that_nobody_waits_for_stays_set_for_one) {
  event e(event::auto_reset);
  e.set();
  e.set();
  auto a = waits_for(e, 'a'), b = waits_for(e, 'b');
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
  b->stop();
  executor.run_until_idle();
}

TEST_F(event_test, stopped_waiter_uses_up_nothing) {
  event e(event::auto_reset);
  auto a = waits_for(e, 'a'), b = waits_for(e, 'b');
  executor.run_until_idle();
  a->stop();
  e.set();
  executor.run_until_idle();
  EXPECT_EQ(trace, "b");
  EXPECT_TRUE(a.outcome().stopped());
}

TEST_F(event_test, stopped_before_it_began_it_uses_up_nothing) {
  event e(event::auto_reset, true);
  auto a = start(
      executor,
      [](event& the_e) -> task<> {
        current_job()->stop();
        co_await the_e.wait();
      },
      std::ref(e));
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_TRUE(e.is_set());
}

TEST_F(event_test, who_was_let_through_is_not_stopped_any_more) {
  event e(event::auto_reset);
  auto a = waits_for(e, 'a');
  executor.run_until_idle();
  e.set();
  a->stop();
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
}

TEST_F(event_test, set_lets_a_crowd_through) {
  event e;
  std::vector<started<void>> all;
  for (int i = 0; i < 100; ++i) all.push_back(waits_for(e, '.'));
  executor.run_until_idle();
  all[50]->stop();
  e.set();
  executor.run_until_idle();
  EXPECT_EQ(trace.size(), 99u);
}

TEST_F(event_test, loop_of_waits_for_a_set_one_gives_way_to_others) {
  event e(event::manual_reset, true);
  auto greedy = start(
      executor,
      [](event& the_e, std::string& trace) -> task<> {
        for (int i = 0; i < 1000; ++i) co_await the_e.wait();
        trace += 'g';
      },
      std::ref(e), std::ref(trace));
  auto other = waits_for(e, 'o');
  executor.run_until_idle();
  EXPECT_EQ(trace, "og");
}

TEST_F(event_test, who_is_let_through_may_destroy_it) {
  auto e = std::make_unique<event>();
  auto a = start(
      executor,
      [](std::unique_ptr<event>& the_e) -> task<> {
        co_await the_e->wait();
        the_e.reset();
      },
      std::ref(e));
  executor.run_until_idle();
  e->set();
  executor.run_until_idle();
  EXPECT_EQ(e, nullptr);
}

TEST(event, plain_threads_wait_by_block_on) {
  event e;
  std::thread other([&] { block_on(e.wait()); });
  e.set();
  other.join();
}

using event_workers = on_workers;
TEST_P(event_workers, two_jobs_take_turns) {
  event ping(event::auto_reset), pong(event::auto_reset);
  int turns = 0;
  const auto play = [](event& mine, event& other, int& the_turns) -> task<> {
    for (int i = 0; i < 1000; ++i) {
      co_await mine.wait();
      ++the_turns;
      other.set();
    }
  };
  auto a = rt.spawn(play, std::ref(ping), std::ref(pong), std::ref(turns));
  auto b = rt.spawn(play, std::ref(pong), std::ref(ping), std::ref(turns));
  ping.set();
  rt.block_on(a);
  rt.block_on(b);
  EXPECT_EQ(turns, 2000);
}
WEFT_ON_WORKERS(event_workers);

}  // namespace
}  // namespace weft
