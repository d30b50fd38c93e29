#include "weft/sync/mutex.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "weft/sync/sync_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

static_assert(!std::is_copy_constructible_v<mutex_guard>);
static_assert(std::is_nothrow_move_constructible_v<mutex_guard>);
static_assert(!std::is_move_constructible_v<mutex>);

/// Locks, adds its name, waits at the gate of the test, unlocks.
task<> visit(mutex& m, std::string& trace, char name, gate& g) {
  const auto held = co_await m.lock();
  trace += name;
  co_await g.pass();
}

class mutex_test : public ::testing::Test {
 protected:
  auto visits(char name) {
    return start(executor, visit, std::ref(m), std::ref(trace), name, std::ref(g));
  }
  test_executor executor;
  mutex m;
  gate g;
  std::string trace;
};

TEST_F(mutex_test, one_at_a_time_in_the_order_of_arrival) {
  auto a = visits('a'), b = visits('b'), c = visits('c');
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
  g.open();
  executor.run_until_idle();
  EXPECT_EQ(trace, "ab");
  g.open();
  executor.run_until_idle();
  g.open();
  executor.run_until_idle();
  EXPECT_EQ(trace, "abc");
  EXPECT_FALSE(m.is_locked());
}

TEST_F(mutex_test, unlocking_wakes_the_oldest_and_who_runs_may_be_in_before_it) {
  auto a = visits('a'), b = visits('b');
  executor.run_until_idle();
  g.open();
  executor.run_one();  // a unlocks; b has not run yet
  EXPECT_TRUE(a.done());
  EXPECT_TRUE(m.try_lock());
  executor.run_until_idle();
  EXPECT_EQ(trace, "ab");
  EXPECT_TRUE(m.is_locked());
  g.open();
  executor.run_until_idle();
  EXPECT_FALSE(m.is_locked());
}

TEST_F(mutex_test, who_is_woken_is_overtaken_so_often_and_no_more) {
  auto a = visits('a'), b = visits('b');
  executor.run_until_idle();
  g.open();
  executor.run_one();
  for (unsigned i = 0; i < mutex::overtakes_max; ++i) EXPECT_TRUE(m.try_lock()) << i;
  EXPECT_FALSE(m.is_locked());
  EXPECT_FALSE(m.try_lock());  // nobody has it, and it is kept for b
  auto c = visits('c');
  executor.run_until_idle();
  EXPECT_EQ(trace, "ab");
  g.open();
  executor.run_until_idle();
  EXPECT_EQ(trace, "abc");
  g.open();
  executor.run_until_idle();
}

TEST_F(mutex_test, each_who_waits_costs_the_next_one_so_many_overtakings_and_no_more) {
  auto a = visits('a'), b = visits('b'), c = visits('c');
  executor.run_until_idle();
  const auto overtake_all = [&] {
    unsigned n = 0;
    while (n < 1000 && m.try_lock()) ++n;
    return n;
  };
  for (int turn = 0; turn < 2; ++turn) {
    g.open();
    executor.run_one();
    EXPECT_EQ(overtake_all(), mutex::overtakes_max);
    executor.run_until_idle();
  }
  EXPECT_EQ(trace, "abc");
  g.open();
  executor.run_until_idle();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(m.try_lock());  // nobody waits: nothing is counted
}

TEST_F(mutex_test, who_was_woken_in_vain_is_handed_it_next) {
  auto a = visits('a'), b = visits('b'), c = visits('c');
  executor.run_until_idle();
  g.open();
  executor.run_one();  // a unlocks
  auto held = m.try_lock();
  EXPECT_TRUE(held);
  executor.run_until_idle();  // b comes in vain, and is in front of c still
  EXPECT_EQ(trace, "a");
  held.unlock();
  EXPECT_TRUE(m.is_locked());  // by b
  EXPECT_FALSE(m.try_lock());
  executor.run_until_idle();
  EXPECT_EQ(trace, "ab");
  for (int i = 0; i < 2; ++i) {
    g.open();
    executor.run_until_idle();
  }
  EXPECT_EQ(trace, "abc");
}

TEST_F(mutex_test, who_was_woken_and_is_stopped_wakes_the_next_one) {
  auto a = visits('a'), b = visits('b'), c = visits('c');
  executor.run_until_idle();
  g.open();
  executor.run_one();  // a unlocks
  b->stop();           // it was woken, and has not run
  executor.run_until_idle();
  EXPECT_TRUE(b.outcome().stopped());
  EXPECT_EQ(trace, "ac");
  g.open();
  executor.run_until_idle();
  EXPECT_FALSE(m.is_locked());
}

TEST_F(mutex_test, who_was_woken_and_is_stopped_while_another_has_the_lock_leaves_the_next_to_it) {
  auto a = visits('a'), b = visits('b'), c = visits('c');
  executor.run_until_idle();
  g.open();
  executor.run_one();
  auto held = m.try_lock();
  b->stop();
  executor.run_until_idle();
  EXPECT_TRUE(b.outcome().stopped());
  held.unlock();
  executor.run_until_idle();
  EXPECT_EQ(trace, "ac");
  g.open();
  executor.run_until_idle();
}

TEST_F(mutex_test, who_came_in_vain_can_be_stopped) {
  auto a = visits('a'), b = visits('b');
  executor.run_until_idle();
  g.open();
  executor.run_one();
  auto held = m.try_lock();
  executor.run_until_idle();  // b comes in vain
  b->stop();
  executor.run_until_idle();
  EXPECT_TRUE(b.outcome().stopped());
  held.unlock();
  EXPECT_FALSE(m.is_locked());
  EXPECT_TRUE(m.try_lock());
}

TEST_F(mutex_test, last_of_those_who_were_woken_is_stopped_and_the_lock_is_free) {
  auto a = visits('a'), b = visits('b');
  executor.run_until_idle();
  g.open();
  executor.run_one();
  for (unsigned i = 0; i < mutex::overtakes_max; ++i) EXPECT_TRUE(m.try_lock());
  EXPECT_FALSE(m.try_lock());  // kept for b
  b->stop();
  executor.run_until_idle();
  EXPECT_TRUE(m.try_lock());
}

TEST_F(mutex_test, try_lock_never_waits) {
  {
    const auto held = m.try_lock();
    EXPECT_TRUE(held);
    const auto again = m.try_lock();
    EXPECT_FALSE(again);
  }
  EXPECT_FALSE(m.is_locked());
}

TEST_F(mutex_test, moved_guard_unlocks_once) {
  auto a = m.try_lock();
  auto b = std::move(a);
  EXPECT_FALSE(a);
  EXPECT_TRUE(b);
  mutex other;
  b = other.try_lock();
  EXPECT_FALSE(m.is_locked());
  EXPECT_TRUE(other.is_locked());
  b.unlock();
  b.unlock();
  EXPECT_FALSE(other.is_locked());
}

TEST_F(mutex_test, stopped_before_it_began_it_does_not_lock) {
  auto a = start(
      executor,
      [](mutex& m) -> task<> {
        current_job()->stop();
        const auto held = co_await m.lock();
      },
      std::ref(m));
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_FALSE(m.is_locked());
}

TEST_F(mutex_test, stopped_waiter_lets_the_next_one_in) {
  auto a = visits('a'), b = visits('b'), c = visits('c');
  executor.run_until_idle();
  b->stop();
  executor.run_until_idle();
  EXPECT_TRUE(b.outcome().stopped());
  g.open();
  executor.run_until_idle();
  EXPECT_EQ(trace, "ac");
  g.open();
  executor.run_until_idle();
}

TEST_F(mutex_test, owner_that_is_stopped_unlocks) {
  auto a = visits('a'), b = visits('b');
  executor.run_until_idle();
  a->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_EQ(trace, "ab");
  g.open();
  executor.run_until_idle();
}

TEST_F(mutex_test, who_was_handed_the_lock_and_is_stopped_then_unlocks_it) {
  auto a = visits('a'), b = visits('b'), c = visits('c');
  executor.run_until_idle();
  g.open();
  executor.run_one();
  auto held = m.try_lock();
  executor.run_until_idle();  // b comes in vain
  held.unlock();
  b->stop();  // it has the lock, and has not run: it goes on, and is stopped at the gate
  executor.run_until_idle();
  EXPECT_TRUE(b.outcome().stopped());
  EXPECT_EQ(trace, "abc");
  g.open();
  executor.run_until_idle();
}

TEST_F(mutex_test, who_gives_way_does_not_hold_the_lock_meanwhile) {
  auto greedy = start(
      executor,
      [](mutex& m) -> task<> {
        for (int i = 0; i < 1000; ++i) const auto held = co_await m.lock();
      },
      std::ref(m));
  bool seen_locked = false;
  while (executor.run_one()) seen_locked = seen_locked || m.is_locked();
  EXPECT_FALSE(seen_locked);
  EXPECT_EQ(executor.yields(), 1000 / test_executor::budget);
}

TEST_F(mutex_test, last_owner_may_destroy_it) {
  auto it = std::make_unique<mutex>();
  const auto use = [](std::unique_ptr<mutex>& the_it, gate& g, bool last) -> task<> {
    {
      const auto held = co_await the_it->lock();
      if (!last) co_await g.pass();
    }
    if (last) the_it.reset();
  };
  auto a = start(executor, use, std::ref(it), std::ref(g), false);
  auto b = start(executor, use, std::ref(it), std::ref(g), true);
  executor.run_until_idle();
  g.open();
  executor.run_until_idle();
  EXPECT_EQ(it, nullptr);
}

TEST(mutex_death_test, destroyed_while_locked_is_reported) {
  EXPECT_DEATH(
      {
        auto m = std::make_unique<mutex>();
        const auto held = m->try_lock();
        m.reset();
      },
      "destroyed while locked");
}

#ifndef NDEBUG
TEST(mutex_death_test, job_that_waits_for_itself_is_reported) {
  EXPECT_DEATH(
      {
        mutex m;
        static_cast<void>(run(
            [](mutex& the_m) -> task<> {
              const auto first = co_await the_m.lock();
              const auto second = co_await the_m.lock();
            },
            std::ref(m)));
      },
      "would wait for itself");
}
#endif

TEST(mutex, plain_threads_wait_by_block_on) {
  mutex m;
  int counter = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        const auto held = block_on(m.lock());
        ++counter;
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(counter, 600);
}

using mutex_workers = on_workers;
TEST_P(mutex_workers, counter_is_exact) {
  mutex m;
  int counter = 0;
  const auto count = [](mutex& the_m, int& the_counter) -> task<> {
    for (int i = 0; i < 500; ++i) {
      const auto held = co_await the_m.lock();
      const int before = the_counter;
      if (i % 8 == 0) co_await yield_now();
      the_counter = before + 1;
    }
  };
  std::vector<join_handle<>> all;
  for (int i = 0; i < 20; ++i) all.push_back(rt.spawn(count, std::ref(m), std::ref(counter)));
  for (auto& one : all) rt.block_on(one);
  EXPECT_EQ(counter, 10'000);
}
TEST_P(mutex_workers, who_never_rests_lets_others_in) {
  mutex m;
  bool over = false;  // by whoever has the lock
  const auto greedy = [](mutex& the_m, bool& is_over) -> task<> {
    for (bool end = false; !end;) {
      const auto held = co_await the_m.lock();
      end = is_over;
    }
  };
  const auto others = [](mutex& the_m, bool& is_over) -> task<> {
    for (int i = 0; i < 200; ++i) {
      const auto held = co_await the_m.lock();
      if (i % 50 == 0) co_await yield_now();
    }
    const auto held = co_await the_m.lock();
    is_over = true;
  };
  std::vector<join_handle<>> all;
  for (int i = 0; i < 4; ++i) all.push_back(rt.spawn(greedy, std::ref(m), std::ref(over)));
  all.push_back(rt.spawn(others, std::ref(m), std::ref(over)));
  std::thread thread([&] { block_on(others(m, over)); });
  for (auto& one : all) rt.block_on(one);
  thread.join();
  EXPECT_TRUE(over);
}
TEST_P(mutex_workers, thread_and_jobs_share_one) {
  mutex m;
  int counter = 0;
  const auto count = [](mutex& the_m, int& the_counter) -> task<> {
    for (int i = 0; i < 500; ++i) {
      const auto held = co_await the_m.lock();
      ++the_counter;
    }
  };
  auto job = rt.spawn(count, std::ref(m), std::ref(counter));
  for (int i = 0; i < 500; ++i) {
    const auto held = block_on(m.lock());
    ++counter;
  }
  rt.block_on(job);
  EXPECT_EQ(counter, 1000);
}
WEFT_ON_WORKERS(mutex_workers);

}  // namespace
}  // namespace weft
