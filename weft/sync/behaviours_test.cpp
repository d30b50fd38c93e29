// What the suites of other runtimes test of locks and signals, and no other test here did:
// docs/internals/behaviours.md says which is which. The ideas are those of Go's sync package (cond_test.go,
// once_test.go, oncefunc_test.go, waitgroup_test.go, rwmutex_test.go) and of Tokio's tests/sync_*.rs.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/base/thread_gate_test_support.hpp"
#include "weft/sync/barrier.hpp"
#include "weft/sync/condition_variable.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/latch.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/sync/notify.hpp"
#include "weft/sync/once.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/sync/shared_mutex.hpp"
#include "weft/sync/sync_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

using sync_behaviours = on_workers;
WEFT_ON_WORKERS(sync_behaviours);

// --- Go: Cond -------------------------------------------------------------------------------------

// Each generation waits, is notified, and goes; the notification of one is never the next one's.
TEST_P(sync_behaviours, notification_is_for_who_waited_when_it_came) {
  constexpr int generations = 200;
  struct shop {
    mutex m;
    condition_variable changed;
    int waiting = -1;  // by whoever has the lock, as the next one
    std::vector<int> woken;
  } s;
  const auto wait = [](shop& the_s, int me) -> task<> {
    auto held = co_await the_s.m.lock();
    the_s.waiting = me;
    co_await the_s.changed.wait(held);
    the_s.woken.push_back(me);
  };
  // Notifies `me`, which waits, as the next one comes.
  const auto notify_next = [](shop& the_s, int me) -> task<> {
    for (bool there = false; !there;) {
      {
        const auto held = co_await the_s.m.lock();
        there = the_s.waiting == me;
        if (there) the_s.changed.notify_one();
      }
      co_await yield_now();
    }
  };
  std::vector<join_handle<>> all;
  for (int i = 0; i < generations; ++i) {
    all.push_back(rt.spawn(wait, std::ref(s), i));
    rt.block_on(rt.spawn(notify_next, std::ref(s), i));
  }
  for (auto& one : all) rt.block_on(one);
  ASSERT_EQ(s.woken.size(), static_cast<std::size_t>(generations));
  for (int i = 0; i < generations; ++i) {
    ASSERT_EQ(std::count(s.woken.begin(), s.woken.end(), i), 1) << i;
  }
}

// All wait, all are notified, each once, round after round; who has not waited again is not woken twice.
TEST_P(sync_behaviours, each_of_all_that_wait_is_notified_once_a_round) {
  constexpr int crowd = 50, rounds = 40;
  struct shop {
    mutex m;
    condition_variable changed, all_there;
    int waiting = 0, round = 0;
    std::vector<int> woken = std::vector<int>(crowd);
  } s;
  const auto wait = [](shop& the_s, std::size_t me) -> task<> {
    auto held = co_await the_s.m.lock();
    for (int i = 1; i <= rounds; ++i) {
      if (++the_s.waiting == crowd) the_s.all_there.notify_one();
      co_await the_s.changed.wait(held);  // once: there is no spurious end
      EXPECT_EQ(the_s.round, i);
      ++the_s.woken[me];
    }
  };
  const auto notify = [](shop& the_s) -> task<> {
    auto held = co_await the_s.m.lock();
    for (int i = 1; i <= rounds; ++i) {
      co_await the_s.all_there.wait(held, [&the_s] { return the_s.waiting == crowd; });
      for (const int n : the_s.woken) EXPECT_EQ(n, i - 1);
      the_s.waiting = 0;
      the_s.round = i;
      the_s.changed.notify_all();
    }
  };
  std::vector<join_handle<>> all;
  for (std::size_t i = 0; i < crowd; ++i) all.push_back(rt.spawn(wait, std::ref(s), i));
  all.push_back(rt.spawn(notify, std::ref(s)));
  for (auto& one : all) rt.block_on(one);
  for (const int n : s.woken) EXPECT_EQ(n, rounds);
}

// A newcomer that meets the notification of all may have part in it, but not in the place of who waits.
TEST_P(sync_behaviours, newcomer_does_not_take_the_notification_of_who_waits) {
  for (int round = 0; round < 300; ++round) {
    struct shop {
      mutex m;
      condition_variable changed;
      bool waits = false, over = false;
    } s;
    const auto first = [](shop& the_s) -> task<> {
      auto held = co_await the_s.m.lock();
      the_s.waits = true;
      co_await the_s.changed.wait(held);
    };
    const auto newcomer = [](shop& the_s) -> task<> {
      auto held = co_await the_s.m.lock();
      co_await the_s.changed.wait(held, [&the_s] { return the_s.over; });
    };
    const auto until_it_waits = [](shop& the_s) -> task<> {
      for (bool there = false; !there;) {
        co_await yield_now();
        const auto held = co_await the_s.m.lock();
        there = the_s.waits;
      }
    };
    auto waits = rt.spawn(first, std::ref(s));
    rt.block_on(rt.spawn(until_it_waits, std::ref(s)));
    auto comes = rt.spawn(newcomer, std::ref(s));
    s.changed.notify_all();
    rt.block_on(waits);  // or it hangs
    rt.block_on(rt.spawn(
        [](shop& the_s) -> task<> {
          const auto held = co_await the_s.m.lock();
          the_s.over = true;
        },
        std::ref(s)));
    s.changed.notify_all();
    rt.block_on(comes);
  }
}

// --- Go: WaitGroup --------------------------------------------------------------------------------

TEST_P(sync_behaviours, nobody_of_a_group_goes_on_before_all_have_come_and_the_last_one_says_so) {
  constexpr std::size_t group = 16;
  for (int round = 0; round < 50; ++round) {
    latch come(group), may_go(group);
    atomic<int> gone{0};
    const auto member = [](latch& the_come, latch& the_may_go, atomic<int>& the_gone) -> task<> {
      the_come.count_down();
      co_await the_may_go.wait();
      the_gone.fetch_add(1, order::relaxed);
    };
    std::vector<join_handle<>> all;
    for (std::size_t i = 0; i < group; ++i) {
      all.push_back(rt.spawn(member, std::ref(come), std::ref(may_go), std::ref(gone)));
    }
    block_on(come.wait());
    for (std::size_t i = 0; i < group; ++i) {
      ASSERT_EQ(gone.load(order::relaxed), 0) << round;
      may_go.count_down();
    }
    for (auto& one : all) rt.block_on(one);
    EXPECT_EQ(gone.load(order::relaxed), static_cast<int>(group));
  }
}

TEST_P(sync_behaviours, who_waited_for_a_latch_sees_what_all_wrote_before_it) {
  for (int round = 0; round < 300; ++round) {
    latch done(2);
    int first = 0, second = 0;  // plain: the latch orders them
    const auto write = [](int& to, latch& the_done) -> task<> {
      to = 1;
      the_done.count_down();
      co_return;
    };
    auto a = rt.spawn(write, std::ref(first), std::ref(done));
    auto b = rt.spawn(write, std::ref(second), std::ref(done));
    block_on(done.wait());
    ASSERT_EQ(first + second, 2);
    rt.block_on(a);
    rt.block_on(b);
  }
}

// --- Go: RWMutex ----------------------------------------------------------------------------------

// All of them inside at the same time, or it hangs: each waits for the others while it reads.
TEST_P(sync_behaviours, readers_wait_for_each_other_inside) {
  for (const std::size_t readers : {1u, 3u, 8u}) {
    shared_mutex m;
    barrier inside(readers);
    const auto read = [](shared_mutex& the_m, barrier& all) -> task<> {
      const auto held = co_await the_m.lock_shared();
      co_await all.arrive_and_wait();
    };
    std::vector<join_handle<>> all;
    for (std::size_t i = 0; i < readers; ++i) {
      all.push_back(rt.spawn(read, std::ref(m), std::ref(inside)));
    }
    for (auto& one : all) rt.block_on(one);
  }
}

TEST_P(sync_behaviours, a_writer_is_never_beside_anybody) {
  constexpr int a_writer = 10'000;
  for (const int readers : {1, 3, 10}) {
    shared_mutex m;
    atomic<int> inside{0};  // readers, and a_writer for each writer
    atomic<int> wrong{0};
    const auto read = [](shared_mutex& the_m, atomic<int>& in, atomic<int>& bad) -> task<> {
      for (int i = 0; i < 200; ++i) {
        const auto held = co_await the_m.lock_shared();
        if (in.fetch_add(1, order::relaxed) >= a_writer) bad.fetch_add(1, order::relaxed);
        if (i % 16 == 0) co_await yield_now();
        in.fetch_sub(1, order::relaxed);
      }
    };
    const auto write = [](shared_mutex& the_m, atomic<int>& in, atomic<int>& bad) -> task<> {
      for (int i = 0; i < 200; ++i) {
        const auto held = co_await the_m.lock();
        if (in.fetch_add(a_writer, order::relaxed) != 0) bad.fetch_add(1, order::relaxed);
        if (i % 16 == 0) co_await yield_now();
        in.fetch_sub(a_writer, order::relaxed);
      }
    };
    std::vector<join_handle<>> all;
    for (int i = 0; i < readers; ++i) {
      all.push_back(rt.spawn(read, std::ref(m), std::ref(inside), std::ref(wrong)));
      if (i == readers / 2 || i == 0) {
        all.push_back(rt.spawn(write, std::ref(m), std::ref(inside), std::ref(wrong)));
      }
    }
    for (auto& one : all) rt.block_on(one);
    EXPECT_EQ(wrong.load(order::relaxed), 0);
    EXPECT_EQ(inside.load(order::relaxed), 0);
  }
}

// Go tests TryLock and TryRLock, Tokio try_read and try_write: the whole table.
TEST(shared_mutex_table, who_may_enter_beside_whom_without_waiting) {
  shared_mutex m;
  {
    const auto reading = m.try_lock_shared();
    ASSERT_TRUE(reading);
    const auto beside = m.try_lock_shared();
    EXPECT_TRUE(beside);
    EXPECT_FALSE(m.try_lock());
  }
  {
    const auto writing = m.try_lock();
    ASSERT_TRUE(writing);
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_shared());
  }
  EXPECT_TRUE(m.try_lock());
}

// --- Go: Once, OnceFunc; Tokio: OnceCell ----------------------------------------------------------

// The function, and what it holds, are gone when the call has ended: whether it ran, failed, or was not needed.
TEST_P(sync_behaviours, once_keeps_nothing_of_what_it_was_given) {
  once o;
  const auto held = std::make_shared<int>(0);
  const auto call = [](once& the_o, std::shared_ptr<int> own, bool fails) -> task<> {
    co_await the_o.call(
        [](const std::shared_ptr<int>& counter, bool throws) -> task<> {
          co_await yield_now();
          if (throws) throw std::runtime_error("planned");
          ++*counter;
        },
        std::move(own), fails);
  };
  EXPECT_THROW(rt.block_on(rt.spawn(call, std::ref(o), held, true)), std::runtime_error);
  EXPECT_EQ(held.use_count(), 1);
  for (int i = 0; i < 3; ++i) {
    rt.block_on(rt.spawn(call, std::ref(o), held, false));
    EXPECT_EQ(held.use_count(), 1) << i;
  }
  EXPECT_EQ(*held, 1);
}

struct counts_its_end {
  explicit counts_its_end(int& n) noexcept : ends(&n) {}
  counts_its_end(counts_its_end&& other) noexcept : ends(std::exchange(other.ends, nullptr)) {}
  counts_its_end& operator=(counts_its_end&&) = delete;
  ~counts_its_end() {
    if (ends != nullptr) ++*ends;
  }
  int* ends;
};
TEST(once_cell_behaviours, value_goes_with_its_cell_and_an_empty_one_has_none) {
  int ends = 0;
  {
    once_cell<counts_its_end> cell;
    block_on([](once_cell<counts_its_end>& c, int& n) -> task<> {
      counts_its_end& made =
          co_await c.get_or_init([](int* to) { return counts_its_end(*to); }, &n);
      EXPECT_EQ(made.ends, &n);
      EXPECT_EQ(&made, c.get());
    }(cell, ends));
    EXPECT_EQ(ends, 0);
  }
  EXPECT_EQ(ends, 1);
  {
    const once_cell<counts_its_end> none;
    EXPECT_EQ(none.get(), nullptr);
  }
  EXPECT_EQ(ends, 1);
}

TEST(once_cell_behaviours, cell_whose_making_failed_is_made_by_the_next_and_no_other_maker_runs) {
  test_executor executor;
  once_cell<int> cell;
  int calls = 0;
  const auto use = [](once_cell<int>& c, int& n, int value) -> task<int> {
    const int& got = co_await c.get_or_init(
        [](int& made, int v) -> task<int> {
          ++made;
          co_await yield_now();  // the others come meanwhile
          if (v < 0) throw std::runtime_error("planned");
          co_return v;
        },
        std::ref(n), value);
    co_return got;
  };
  auto fails = start(executor, use, std::ref(cell), std::ref(calls), -1);
  auto makes = start(executor, use, std::ref(cell), std::ref(calls), 10);
  auto finds = start(executor, use, std::ref(cell), std::ref(calls), -2);
  executor.run_until_idle();
  EXPECT_TRUE(fails.outcome().exception());
  EXPECT_EQ(makes.outcome().value(), 10);
  EXPECT_EQ(finds.outcome().value(), 10);
  EXPECT_EQ(calls, 2);
}

// --- Tokio: notify, semaphore, barrier ------------------------------------------------------------

TEST(notify_behaviours, permit_that_comes_right_after_notify_all_is_the_next_ones) {
  test_executor executor;
  notify n;
  std::string trace;
  const auto wait = [&n] { return n.wait(); };
  auto a = waits(executor, trace, 'a', wait);
  executor.run_until_idle();
  n.notify_all();
  n.notify_one();  // a has been notified, though it has not run yet: nobody waits
  auto b = waits(executor, trace, 'b', wait);
  auto c = waits(executor, trace, 'c', wait);
  executor.run_until_idle();
  EXPECT_EQ(trace, "ab");
  c->stop();
  executor.run_until_idle();
}

TEST(semaphore_counts, permits_add_up_to_the_most_that_there_may_be) {
  for (std::size_t has = 0; has < 4; ++has) {
    for (std::size_t more = 0; more < 4; ++more) {
      semaphore s(has);
      s.release(more);
      EXPECT_EQ(s.available(), has + more);
    }
  }
  semaphore none(0);
  none.release(semaphore::permits_max);
  EXPECT_EQ(none.available(), semaphore::permits_max);
  EXPECT_TRUE(none.try_acquire(semaphore::permits_max));
  EXPECT_EQ(none.available(), 0u);
  const semaphore full(semaphore::permits_max);
  EXPECT_EQ(full.available(), semaphore::permits_max);
}

TEST(semaphore_counts_death_test, one_more_than_it_can_count_is_reported) {
  EXPECT_DEATH(semaphore(semaphore::permits_max + 1), "at most permits_max");
  EXPECT_DEATH(
      {
        semaphore s(semaphore::permits_max);
        s.release();
      },
      "more often than it can count");
  EXPECT_DEATH(
      {
        semaphore s(1);
        s.release(semaphore::permits_max);
      },
      "more often than it can count");
}

// The same beside somebody who waits, where another path counts.
TEST(semaphore_counts_death_test, too_many_are_reported_while_somebody_waits) {
  EXPECT_DEATH(
      {
        test_executor executor;
        semaphore s(semaphore::permits_max - 1);
        std::string trace;
        auto a = waits(executor, trace, 'a', [&] { return s.acquire(semaphore::permits_max); });
        executor.run_until_idle();
        s.release(3);
      },
      "more often than it can count");
}

TEST_P(sync_behaviours, thousand_jobs_that_hold_five_permits_for_a_moment_give_all_back) {
  semaphore s(5);
  const auto visit = [](semaphore& the_s) -> task<> {
    co_await the_s.acquire();
    const semaphore_guard held(the_s);
  };
  std::vector<join_handle<>> all;
  for (int i = 0; i < 1000; ++i) all.push_back(rt.spawn(visit, std::ref(s)));
  for (auto& one : all) rt.block_on(one);
  EXPECT_TRUE(s.try_acquire(5));
  EXPECT_FALSE(s.try_acquire());
}

TEST(barrier_behaviours, one_of_a_crowd_is_the_last_round_after_round) {
  constexpr std::size_t crowd = 100;
  test_executor executor;
  barrier b(crowd);
  for (int round = 0; round < 10; ++round) {
    int lasts = 0, through = 0;
    const auto arrive = [](barrier& the_b, int& the_lasts, int& the_through) -> task<> {
      const bool last = co_await the_b.arrive_and_wait();
      the_lasts += last;
      ++the_through;
    };
    std::vector<started<void>> all;
    for (std::size_t i = 1; i < crowd; ++i) {
      all.push_back(start(executor, arrive, std::ref(b), std::ref(lasts), std::ref(through)));
    }
    executor.run_until_idle();
    ASSERT_EQ(through, 0);
    all.push_back(start(executor, arrive, std::ref(b), std::ref(lasts), std::ref(through)));
    executor.run_until_idle();
    ASSERT_EQ(through, static_cast<int>(crowd));
    ASSERT_EQ(lasts, 1);
  }
}

TEST(barrier_behaviours, alone_each_arrival_is_the_last) {
  barrier b(1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(block_on(b.arrive_and_wait()));
}

TEST(barrier_behaviours_death_test, barrier_for_nobody_is_refused) {
  EXPECT_DEATH(barrier(0), "at least one");
}

// --- Go: copies of a Cond; Tokio: what is Send and Sync -------------------------------------------

template <class T>
constexpr bool stays_where_it_is =
    !std::is_copy_constructible_v<T> && !std::is_move_constructible_v<T> &&
    !std::is_copy_assignable_v<T>;
TEST(sync_types, what_others_wait_for_stays_where_it_is) {
  static_assert(stays_where_it_is<mutex> && stays_where_it_is<shared_mutex>);
  static_assert(stays_where_it_is<condition_variable> && stays_where_it_is<semaphore>);
  static_assert(stays_where_it_is<notify> && stays_where_it_is<event>);
  static_assert(stays_where_it_is<latch> && stays_where_it_is<barrier>);
  static_assert(stays_where_it_is<once> && stays_where_it_is<once_cell<int>>);
  // A lock is let go once: by one guard.
  static_assert(!std::is_copy_constructible_v<mutex_guard>);
  static_assert(!std::is_copy_constructible_v<shared_mutex_guard<false>>);
  static_assert(!std::is_copy_constructible_v<semaphore_guard>);
}

}  // namespace
}  // namespace weft
