// Each wait of weft/sync in a fiber: it waits, goes on with the right result, and a stop unwinds it.
#include <gtest/gtest.h>

#include <chrono>

#include "weft/fiber/one_wait_test_support.hpp"
#include "weft/sync/barrier.hpp"
#include "weft/sync/condition_variable.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/latch.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/sync/notify.hpp"
#include "weft/sync/once.hpp"
#include "weft/sync/rate_limiter.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/sync/shared_mutex.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test_support::in_each_way;
using test_support::one_wait;
using test_support::wait_end;

TEST(await_sync, mutex_lock) {
  in_each_way([](const one_wait& wait) {
    mutex m;
    auto held = m.try_lock();
    wait(
        [&] {
          const auto mine = await(m.lock());
          EXPECT_TRUE(mine);
          EXPECT_TRUE(m.is_locked());
        },
        [&] { held.unlock(); });
    EXPECT_FALSE(m.is_locked());
  });
}

TEST(await_sync, shared_mutex_lock) {
  in_each_way([](const one_wait& wait) {
    shared_mutex m;
    auto held = m.try_lock_shared();
    wait(
        [&] {
          const auto mine = await(m.lock());
          EXPECT_TRUE(mine);
          EXPECT_FALSE(m.try_lock_shared());
        },
        [&] { held.unlock(); });
    EXPECT_TRUE(m.try_lock());
  });
}

TEST(await_sync, shared_mutex_lock_shared) {
  in_each_way([](const one_wait& wait) {
    shared_mutex m;
    auto held = m.try_lock();
    wait(
        [&] {
          const auto mine = await(m.lock_shared());
          EXPECT_TRUE(mine);
          EXPECT_FALSE(m.try_lock());
          EXPECT_TRUE(m.try_lock_shared());
        },
        [&] { held.unlock(); });
    EXPECT_TRUE(m.try_lock());
  });
}

TEST(await_sync, semaphore_acquire) {
  in_each_way([](const one_wait& wait) {
    semaphore permits(1);
    wait([&] { await(permits.acquire(3)); }, [&] { permits.release(2); });
    EXPECT_EQ(permits.available(), 0u);
  });
}

TEST(await_sync, event_wait_of_both_kinds) {
  in_each_way([](const one_wait& wait) {
    event manual;
    wait([&] { await(manual.wait()); }, [&] { manual.set(); });
    EXPECT_TRUE(manual.is_set());
    event turn{event::auto_reset};
    wait([&] { await(turn.wait()); }, [&] { turn.set(); });
    EXPECT_FALSE(turn.is_set()) << "who waited has taken it";
  });
}

TEST(await_sync, notify_wait) {
  in_each_way([](const one_wait& wait) {
    notify news;
    wait([&] { await(news.wait()); }, [&] { news.notify_one(); });
  });
}

TEST(await_sync, latch_wait) {
  in_each_way([](const one_wait& wait) {
    latch two(2);
    wait([&] { await(two.wait()); }, [&] { two.count_down(2); });
    EXPECT_TRUE(two.try_wait());
  });
}

TEST(await_sync, latch_arrive_and_wait_counts_also_if_it_is_stopped) {
  in_each_way([](const one_wait& wait) {
    latch two(2);
    wait.once([&] { await(two.arrive_and_wait()); },
              [&] {
                EXPECT_FALSE(two.try_wait());
                two.count_down();
              });
    EXPECT_TRUE(two.try_wait());
  });
}

TEST(await_sync, barrier_arrive_and_wait) {
  in_each_way([](const one_wait& wait) {
    barrier step(2);
    join_handle<bool> other;
    bool waiter_was_last = false;
    wait([&] { waiter_was_last = await(step.arrive_and_wait()); },
         [&] { other = go([&] { return await(step.arrive_and_wait()); }); });
    const bool other_was_last = await(other);
    EXPECT_EQ(other_was_last, wait.how() == wait_end::completed);
    EXPECT_NE(waiter_was_last, other_was_last);
  });
}

TEST(await_sync, condition_variable_wait) {
  in_each_way([](const one_wait& wait) {
    mutex m;
    condition_variable changed;
    bool ready = false;
    const auto locked = [&] { EXPECT_TRUE(m.is_locked()); };
    wait(
        [&] {
          auto held = await(m.lock());
          while (!ready) await(changed.wait(held));
          locked();
        },
        [&] {
          EXPECT_FALSE(m.is_locked()) << "who waits for the condition has let it go";
          const auto held = await(m.lock());
          ready = true;
          changed.notify_one();
        });
    ready = false;
    wait(
        [&] {
          auto held = await(m.lock());
          await(changed.wait(held, [&] { return ready; }));
          locked();
        },
        [&] {
          const auto held = await(m.lock());
          ready = true;
          changed.notify_all();
        });
    EXPECT_FALSE(m.is_locked());
  });
}

/// It is made by one fiber, which waits in the making, while another waits for what it makes.
TEST(await_sync, once_cell_get_or_init_of_who_makes_it_and_of_who_waits_for_that) {
  in_each_way([](const one_wait& wait) {
    once_cell<int> cell;
    event may_end;
    int made = 0;
    const auto makes = [&]() -> task<int> {
      co_await may_end.wait();
      co_return ++made;
    };
    wait([&] { EXPECT_EQ(await(cell.get_or_init(makes)), 1); }, [&] { may_end.set(); });
    once_cell<int> others;
    may_end.reset();
    auto maker = go([&] { return await(others.get_or_init(makes)); });
    await(yield_now());
    wait([&] { EXPECT_EQ(await(others.get_or_init(makes)), 2); }, [&] { may_end.set(); });
    EXPECT_EQ(await(maker), 2);
    EXPECT_EQ(made, 2);
  });
}

TEST(await_sync, once_call) {
  in_each_way([](const one_wait& wait) {
    once first;
    event may_end;
    int made = 0;
    const auto makes = [&]() -> task<> {
      co_await may_end.wait();
      ++made;
    };
    wait([&] { await(first.call(makes)); }, [&] { may_end.set(); });
    EXPECT_TRUE(first.done());
    EXPECT_EQ(made, 1);
  });
}

TEST(await_sync, rate_limiter_acquire) {
  in_each_way([](const one_wait& wait) {
    rate_limiter calls(2, 4);
    EXPECT_TRUE(calls.try_acquire(4));
    const auto begin = now();
    wait([&] {
      await(calls.acquire(3));
      EXPECT_EQ(now() - begin, 1500ms) << "a stopped one has taken none";
    });
    EXPECT_FALSE(calls.try_acquire());
  });
}

}  // namespace
}  // namespace weft
