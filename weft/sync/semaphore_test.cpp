#include "weft/sync/semaphore.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "weft/sync/sync_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

class semaphore_test : public ::testing::Test {
 protected:
  auto acquires(char name, std::size_t n = 1) {
    return waits(executor, trace, name, [this, n] { return s.acquire(n); });
  }
  test_executor executor;
  semaphore s{0};
  std::string trace;
};

TEST_F(semaphore_test, free_permit_is_taken_without_waiting) {
  s.release();
  auto a = acquires('a');
  EXPECT_TRUE(executor.run_one());
  EXPECT_TRUE(a.done());
  EXPECT_EQ(s.available(), 0u);
}

TEST_F(semaphore_test, first_come_first_served) {
  auto a = acquires('a'), b = acquires('b'), c = acquires('c');
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  for (int i = 0; i < 3; ++i) s.release();
  executor.run_until_idle();
  EXPECT_EQ(trace, "abc");
  EXPECT_EQ(s.available(), 0u);
}

TEST_F(semaphore_test, one_release_lets_several_in) {
  auto a = acquires('a'), b = acquires('b'), c = acquires('c');
  executor.run_until_idle();
  s.release(2);
  executor.run_until_idle();
  EXPECT_EQ(trace, "ab");
  s.release(3);
  executor.run_until_idle();
  EXPECT_EQ(trace, "abc");
  EXPECT_EQ(s.available(), 2u);
}

TEST_F(semaphore_test, who_wants_many_is_not_overtaken) {
  s.release(2);
  auto a = acquires('a', 3), b = acquires('b');
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  EXPECT_FALSE(s.try_acquire()) << "somebody waits for it";
  EXPECT_EQ(s.available(), 2u);
  s.release();
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
  s.release();
  executor.run_until_idle();
  EXPECT_EQ(trace, "ab");
}

TEST_F(semaphore_test, permit_that_was_given_is_not_taken_by_a_passer_by) {
  auto a = acquires('a');
  executor.run_until_idle();
  s.release();  // a has it, though it has not run yet
  EXPECT_FALSE(s.try_acquire());
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
}

TEST_F(semaphore_test, try_acquire_takes_all_or_none) {
  s.release(2);
  EXPECT_FALSE(s.try_acquire(3));
  EXPECT_TRUE(s.try_acquire(2));
  EXPECT_FALSE(s.try_acquire());
  EXPECT_TRUE(s.try_acquire(0));
}

TEST_F(semaphore_test, stopped_before_it_began_it_takes_nothing) {
  s.release();
  auto a = start(
      executor,
      [](semaphore& s) -> task<> {
        current_job()->stop();
        co_await s.acquire();
      },
      std::ref(s));
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_EQ(s.available(), 1u);
}

TEST_F(semaphore_test, shielded_one_takes_it_although_it_is_stopped) {
  s.release();
  auto a = start(
      executor,
      [](semaphore& s) -> task<> {
        current_job()->stop();
        const shield_scope shield;
        co_await s.acquire();
      },
      std::ref(s));
  executor.run_until_idle();
  EXPECT_FALSE(a.outcome().stopped());
  EXPECT_EQ(s.available(), 0u);
}

TEST_F(semaphore_test, stopped_waiter_has_no_effect) {
  auto a = acquires('a');
  executor.run_until_idle();
  a->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  s.release();
  EXPECT_EQ(s.available(), 1u);
}

TEST_F(semaphore_test, stopped_waiter_lets_the_next_ones_in) {
  s.release(2);
  auto a = acquires('a', 3), b = acquires('b'), c = acquires('c'), d = acquires('d');
  executor.run_until_idle();
  a->stop();
  executor.run_until_idle();
  EXPECT_EQ(trace, "bc");
  d->stop();
  executor.run_until_idle();
  s.release();
  EXPECT_EQ(s.available(), 1u);
}

TEST_F(semaphore_test, stopped_waiter_lets_more_in_than_one_hold_takes) {
  constexpr std::size_t crowd = 3 * wait_list::batch_max + 1;
  s.release(crowd);
  auto big = acquires('!', crowd + 1);
  std::vector<started<void>> small;
  for (std::size_t i = 0; i < crowd; ++i) small.push_back(acquires('.'));
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  big->stop();
  executor.run_until_idle();
  EXPECT_EQ(trace, std::string(crowd, '.'));
  s.release(crowd);
  EXPECT_EQ(s.available(), crowd);
}

TEST_F(semaphore_test, who_was_given_a_permit_is_not_stopped_any_more) {
  auto a = acquires('a');
  executor.run_until_idle();
  s.release();
  a->stop();
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
  EXPECT_FALSE(a.outcome().stopped());
  EXPECT_EQ(s.available(), 0u);
}

TEST_F(semaphore_test, release_of_a_crowd_lets_all_in) {
  constexpr std::size_t crowd = 2 * wait_list::batch_max + 5;
  std::vector<started<void>> all;
  for (std::size_t i = 0; i < crowd; ++i) all.push_back(acquires('.'));
  executor.run_until_idle();
  s.release(crowd + 1);
  executor.run_until_idle();
  EXPECT_EQ(trace.size(), crowd);
  EXPECT_EQ(s.available(), 1u);
}

TEST_F(semaphore_test, loop_of_free_permits_gives_way_to_others) {
  s.release();
  auto greedy = start(
      executor,
      [](semaphore& s, std::string& trace) -> task<> {
        for (int i = 0; i < 1000; ++i) {
          co_await s.acquire();
          const semaphore_guard held(s);
        }
        trace += 'g';
      },
      std::ref(s), std::ref(trace));
  auto other = start(
      executor,
      [](std::string& trace) -> task<> {
        trace += 'o';
        co_return;
      },
      std::ref(trace));
  executor.run_until_idle();
  EXPECT_EQ(trace, "og");
  EXPECT_EQ(executor.yields(), 1000 / test_executor::budget);
}

TEST_F(semaphore_test, who_gives_way_does_not_hold_a_permit_meanwhile) {
  s.release();
  bool seen_taken = false;
  auto greedy = start(
      executor,
      [](semaphore& s) -> task<> {
        for (int i = 0; i < 1000; ++i) {
          co_await s.acquire();
          s.release();
        }
      },
      std::ref(s));
  while (executor.run_one()) seen_taken = seen_taken || s.available() == 0;
  EXPECT_FALSE(seen_taken);
}

TEST_F(semaphore_test, stopped_while_it_gives_way_it_takes_nothing) {
  s.release();
  auto greedy = start(
      executor,
      [](semaphore& s) -> task<> {
        for (;;) {
          co_await s.acquire();
          s.release();
        }
      },
      std::ref(s));
  EXPECT_TRUE(executor.run_one());
  EXPECT_EQ(executor.yields(), 1);
  greedy->stop();
  executor.run_until_idle();
  EXPECT_TRUE(greedy.outcome().stopped());
  EXPECT_EQ(s.available(), 1u);
}

TEST_F(semaphore_test, guard_gives_back_when_its_job_is_stopped) {
  s.release(2);
  gate g;
  auto a = start(
      executor,
      [](semaphore& s, gate& the_g) -> task<> {
        co_await s.acquire(2);
        const semaphore_guard held(s, 2);
        co_await the_g.pass();
      },
      std::ref(s), std::ref(g));
  executor.run_until_idle();
  EXPECT_EQ(s.available(), 0u);
  a->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_EQ(s.available(), 2u);
}

TEST_F(semaphore_test, woken_one_may_destroy_it) {
  auto it = std::make_unique<semaphore>(0);
  auto a = start(
      executor,
      [](std::unique_ptr<semaphore>& the_it) -> task<> {
        co_await the_it->acquire();
        the_it.reset();
      },
      std::ref(it));
  executor.run_until_idle();
  it->release();
  executor.run_until_idle();
  EXPECT_EQ(it, nullptr);
}

TEST(semaphore_death_test, destroyed_while_somebody_waits_is_reported) {
  EXPECT_DEATH(
      {
        test_executor executor;
        auto s = std::make_unique<semaphore>(0);
        std::string trace;
        auto a = waits(executor, trace, 'a', [&] { return s->acquire(); });
        executor.run_until_idle();
        s.reset();
      },
      "destroyed while somebody waits");
}

TEST(semaphore, plain_threads_wait_by_block_on) {
  semaphore s(0);
  std::thread other([&] { block_on(s.acquire()); });
  s.release();
  other.join();
  EXPECT_EQ(s.available(), 0u);
}

using semaphore_workers = on_workers;
TEST_P(semaphore_workers, never_more_inside_than_permits) {
  semaphore s(3);
  atomic<int> inside{0};
  atomic<int> inside_max{0};
  const auto visit = [](semaphore& the_s, atomic<int>& the_inside,
                        atomic<int>& the_inside_max) -> task<> {
    for (int i = 0; i < 200; ++i) {
      co_await the_s.acquire();
      const semaphore_guard held(the_s);
      const int now = the_inside.fetch_add(1, order::relaxed) + 1;
      if (now > the_inside_max.load(order::relaxed)) the_inside_max.store(now, order::relaxed);
      co_await yield_now();
      the_inside.fetch_sub(1, order::relaxed);
    }
  };
  std::vector<join_handle<>> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(rt.spawn(visit, std::ref(s), std::ref(inside), std::ref(inside_max)));
  }
  for (auto& one : all) rt.block_on(one);
  EXPECT_LE(inside_max.load(order::relaxed), 3);
  EXPECT_EQ(s.available(), 3u);
}
WEFT_ON_WORKERS(semaphore_workers);

}  // namespace
}  // namespace weft
