#include "weft/sync/latch.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "weft/sync/barrier.hpp"
#include "weft/sync/sync_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

TEST(latch, last_one_lets_all_through) {
  test_executor executor;
  std::string trace;
  latch done(3);
  const auto wait = [&] { return done.wait(); };
  auto a = waits(executor, trace, 'a', wait), b = waits(executor, trace, 'b', wait);
  done.count_down(2);
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  EXPECT_FALSE(done.try_wait());
  b->stop();
  done.count_down();
  auto c = waits(executor, trace, 'c', wait);
  executor.run_until_idle();
  EXPECT_EQ(trace, "ac");
  EXPECT_TRUE(done.try_wait());
}

TEST(latch, crowd_is_let_through) {
  test_executor executor;
  std::string trace;
  latch done(1);
  std::vector<started<void>> all;
  for (int i = 0; i < 100; ++i) {
    all.push_back(waits(executor, trace, '.', [&] { return done.wait(); }));
  }
  executor.run_until_idle();
  done.count_down();
  executor.run_until_idle();
  EXPECT_EQ(trace.size(), 100u);
}

TEST(latch_death_test, counted_down_too_often_is_reported) {
  EXPECT_DEATH(
      {
        latch done(1);
        done.count_down(2);
      },
      "counted down more often");
}

TEST(barrier, last_one_lets_all_through_again_and_again) {
  test_executor executor;
  std::string trace;
  barrier b(2);
  const auto party = [](barrier& the_b, std::string& the_trace, char name) -> task<> {
    for (int i = 0; i < 3; ++i) {
      the_trace += name;
      const bool last = co_await the_b.arrive_and_wait();
      if (last) the_trace += '|';
    }
  };
  auto x = start(executor, party, std::ref(b), std::ref(trace), 'x');
  executor.run_until_idle();
  EXPECT_EQ(trace, "x");
  auto y = start(executor, party, std::ref(b), std::ref(trace), 'y');
  executor.run_until_idle();
  EXPECT_EQ(trace, "xy|yx|xy|");
}

TEST(barrier, stopped_one_has_not_arrived) {
  test_executor executor;
  std::string trace;
  barrier b(2);
  const auto arrive = [&] { return b.arrive_and_wait(); };
  auto x = waits(executor, trace, 'x', arrive);
  executor.run_until_idle();
  x->stop();
  executor.run_until_idle();
  EXPECT_TRUE(x.outcome().stopped());
  auto y = waits(executor, trace, 'y', arrive);
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  auto z = waits(executor, trace, 'z', arrive);
  executor.run_until_idle();
  EXPECT_EQ(trace, "zy");
}

TEST(barrier, loop_that_passes_gives_way_to_others_though_it_awaits_the_same_arrival) {
  test_executor executor;
  auto greedy = start(executor, []() -> task<> {
    barrier alone(1);
    auto arrival = alone.arrive_and_wait();
    for (int i = 0; i < 1000; ++i) co_await arrival;
  });
  executor.run_until_idle();
  EXPECT_TRUE(greedy.done());
  EXPECT_EQ(executor.yields(), 1000 / test_executor::budget);
}

TEST(barrier, who_drops_out_is_not_waited_for) {
  test_executor executor;
  std::string trace;
  barrier b(3);
  const auto arrive = [&] { return b.arrive_and_wait(); };
  auto x = waits(executor, trace, 'x', arrive), y = waits(executor, trace, 'y', arrive);
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  b.drop();
  executor.run_until_idle();
  EXPECT_EQ(trace, "xy");
}

using barrier_workers = on_workers;
TEST_P(barrier_workers, nobody_is_a_phase_ahead) {
  constexpr std::size_t parties = 5;
  barrier b(parties);
  std::vector<int> phase(parties, 0);
  atomic<int> wrong{0};
  atomic<int> lasts{0};
  const auto party = [](barrier& the_b, std::vector<int>& the_phase, std::size_t me,
                        atomic<int>& the_wrong, atomic<int>& the_lasts) -> task<> {
    for (int p = 1; p <= 200; ++p) {
      the_phase[me] = p;
      const bool last = co_await the_b.arrive_and_wait();
      if (last) the_lasts.fetch_add(1, order::relaxed);
      for (const int other : the_phase) {
        if (other != p) the_wrong.fetch_add(1, order::relaxed);
      }
      co_await the_b.arrive_and_wait();
    }
  };
  std::vector<join_handle<>> all;
  for (std::size_t i = 0; i < parties; ++i) {
    all.push_back(
        rt.spawn(party, std::ref(b), std::ref(phase), i, std::ref(wrong), std::ref(lasts)));
  }
  for (auto& one : all) rt.block_on(one);
  EXPECT_EQ(wrong.load(order::relaxed), 0);
  EXPECT_EQ(lasts.load(order::relaxed), 200);
}
WEFT_ON_WORKERS(barrier_workers);

}  // namespace
}  // namespace weft
