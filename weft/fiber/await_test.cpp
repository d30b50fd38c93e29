// What await() takes in a fiber: each kind of awaitable gives what co_await gives.
#include "weft/runtime/await.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <variant>

#include "weft/channel/broadcast.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/channel/oneshot.hpp"
#include "weft/io/duplex.hpp"
#include "weft/net/unix.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/interval.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/barrier.hpp"
#include "weft/sync/condition_variable.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/latch.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/sync/notify.hpp"
#include "weft/sync/once.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/sync/shared_mutex.hpp"
#include "weft/task/ok.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/race.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/select.hpp"
#include "weft/together/shield.hpp"
#include "weft/together/stream.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

/// Runs f in a fiber, on virtual time: an hour is no time.
template <class F>
auto in_fiber(F f) {
  testing::virtual_runtime rt;
  auto handle = rt.get().go(std::move(f));
  return rt.block_on(handle);
}

task<int> later(int x) {
  co_await sleep_for(1h);
  co_return x;
}
task<int> at_once(int x) { co_return x; }
task<int> fails() {
  co_await yield_now();
  throw std::runtime_error("inside");
}
task<result<int>> cannot() {
  co_await yield_now();
  co_return std::unexpected(std::make_error_code(std::errc::io_error));
}

// --- tasks and jobs -------------------------------------------------------------------------------

TEST(await, a_task_that_waits_and_one_that_does_not) {
  EXPECT_EQ(in_fiber([] { return await(later(1)) + await(at_once(2)); }), 3);
}

TEST(await, an_exception_of_what_is_awaited_is_thrown_in_the_fiber) {
  EXPECT_TRUE(in_fiber([] {
    try {
      await(fails());
    } catch (const std::runtime_error&) {
      return true;
    }
    return false;
  }));
}

TEST(await, a_spawned_job_and_how_it_ended) {
  EXPECT_EQ(in_fiber([] {
              auto handle = spawn(later, 4);
              auto other = spawn(fails);
              auto how = await(other.outcome());
              EXPECT_EQ(how.kind(), outcome_kind::exception);
              return await(handle);
            }),
            4);
}

TEST(await, work_of_the_blocking_pool) {
  runtime rt({.workers = 1});
  EXPECT_EQ(rt.block_on(rt.go([] { return await(spawn_blocking([] { return 6; })); })), 6);
}

// --- time -----------------------------------------------------------------------------------------

TEST(await, sleeps_and_intervals) {
  testing::virtual_runtime rt;
  rt.block_on(rt.get().go([] {
    await(sleep_for(1h));
    interval every(10min);
    for (int i = 0; i < 3; ++i) await(every.tick());
  }));
  EXPECT_EQ(rt.elapsed(), 80min);
}

TEST(await, ready_at_once_gives_way_when_the_budget_is_spent) {
  testing::virtual_runtime rt;
  bool other_ran = false;
  rt.block_on(rt.get().go([&] {
    auto other = go([&] { other_ran = true; });
    semaphore free(1'000'000);
    for (int i = 0; i < 1'000; ++i) await(free.acquire(1));
    EXPECT_TRUE(other_ran);
    await(other);
  }));
}

// --- synchronisation ------------------------------------------------------------------------------

TEST(await, each_primitive_waits_and_is_let_in) {
  in_fiber([] {
    mutex m;
    shared_mutex shared;
    semaphore permits(0);
    event there;
    notify news;
    latch two(2);
    barrier step(2);
    condition_variable changed;
    once_cell<int> cell;
    bool ready = false;
    event holding;
    auto other = go([&] {
      {
        const auto held = await(m.lock());
        const auto held_shared = await(shared.lock());
        holding.set();
        await(sleep_for(1s));
      }
      permits.release(2);
      there.set();
      await(sleep_for(1s));
      news.notify_one();
      two.count_down();
      await(step.arrive_and_wait());
      await(sleep_for(1s));
      const auto mine = await(m.lock());
      ready = true;
      changed.notify_one();
    });
    await(holding.wait());
    {
      const auto again = await(m.lock());
      const auto reading = await(shared.lock_shared());
    }
    await(permits.acquire(2));
    await(there.wait());
    await(news.wait());
    two.count_down();
    await(two.wait());
    await(step.arrive_and_wait());
    {
      auto mine = await(m.lock());
      await(changed.wait(mine, [&] { return ready; }));
    }
    EXPECT_EQ(await(cell.get_or_init([] { return later(9); })), 9);
    await(other);
  });
}

// --- channels -------------------------------------------------------------------------------------

TEST(await, channels_of_all_kinds) {
  in_fiber([] {
    auto [to, from] = channel<int>(1);
    auto [answer, answered] = oneshot<int>();
    auto other = go([tx = std::move(to), one = std::move(answer)]() mutable {
      for (int i = 0; i < 10; ++i) {
        const auto sent = await(tx.send(i));
        EXPECT_TRUE(sent);
      }
      await(sleep_for(1s));
      static_cast<void>(one.send(77));
    });
    int sum = 0;
    while (const auto got = await(from.recv())) {
      sum += *got;
      if (*got == 9) break;
    }
    EXPECT_EQ(sum, 45);
    EXPECT_EQ(await(answered.recv()), std::optional<int>(77));
    await(other);
    EXPECT_EQ(await(from.recv()), std::nullopt);
  });
}

// --- bytes ----------------------------------------------------------------------------------------

TEST(await, bytes_through_memory_and_through_a_socket) {
  const auto echo = [](auto& stream) {
    std::array<std::byte, 16> buffer;
    const auto n = await(stream.read_some(buffer));
    ASSERT_TRUE(n);
    const auto sent = await(stream.write_all(std::span(buffer).first(*n)));
    EXPECT_TRUE(sent);
  };
  const auto talks = [](auto& stream) {
    const std::array hello{std::byte{1}, std::byte{2}, std::byte{3}};
    const auto sent = await(stream.write_all(hello));
    EXPECT_TRUE(sent);
    std::array<std::byte, 3> back{};
    const auto got = await(stream.read_exact(back));
    EXPECT_TRUE(got);
    EXPECT_EQ(back, hello);
  };
  const auto both = [&](auto& here, auto& there) {
    auto other = go([&] { echo(there); });
    talks(here);
    await(other);
  };
  runtime rt({.workers = 2});
  rt.block_on(rt.go([&] {
    auto [here, there] = io::duplex(64);
    both(here, there);
    auto pair = net::unix_stream::pair();
    ASSERT_TRUE(pair);
    both(pair->first, pair->second);
  }));
}

// --- combinators ----------------------------------------------------------------------------------

TEST(await, when_all_race_select_and_fork_join) {
  in_fiber([] {
    const auto [a, b] = await(when_all(later(1), later(2)));
    EXPECT_EQ(a + b, 3);
    EXPECT_THROW(await(when_all(later(1), fails())), std::runtime_error);
    const auto first = await(race(later(1), sleep_for(1s)));
    EXPECT_EQ(first.index(), 1u);
    event never;
    const auto chosen = await(select(never.wait(), sleep_for(1s)));
    EXPECT_EQ(chosen.index(), 1u);
    const auto [x, y] = await(fork_join([] { return later(5); }, [] { return 6; }));
    EXPECT_EQ(x + y, 11);
  });
}

TEST(await, timeout_shield_and_catch_stop) {
  in_fiber([] {
    event never;
    const auto late = await(timeout(1s, never.wait()));
    EXPECT_FALSE(late);
    const auto in_time = await(timeout(2h, later(3)));
    EXPECT_EQ(in_time.value_or(0), 3);
    EXPECT_EQ(await(shield(later(4))), 4);
    EXPECT_EQ(await(catch_stop(later(5))), std::optional<int>(5));
  });
}

TEST(await, a_scope_and_its_children) {
  in_fiber([] {
    int done = 0;
    const auto child = [&]() -> task<> {
      co_await sleep_for(1s);
      ++done;
    };
    const auto body = [&](scope_ref s) -> task<int> {
      s.spawn(child);
      s.spawn(child);
      co_return 7;
    };
    EXPECT_EQ(await(scope(body)), 7);
    EXPECT_EQ(done, 2);
    const auto failing = [&](scope_ref s) -> task<> {
      s.spawn([]() -> task<> { co_await fails(); });
      co_await sleep_for(1h);
    };
    EXPECT_THROW(await(scope(failing)), std::runtime_error);
  });
}

TEST(await, ok_gives_the_value_or_throws_the_error) {
  in_fiber([] {
    EXPECT_EQ(await(ok(result<int>(3))), 3);
    EXPECT_THROW(await(ok(cannot())), error);
    EXPECT_THROW(await(ok(result<int>(std::unexpected(std::make_error_code(std::errc::io_error))))),
                 error);
  });
}

TEST(await, elements_of_a_stream) {
  const auto numbers = []() -> stream<int> {
    for (int i = 1; i <= 4; ++i) {
      co_await sleep_for(1s);
      co_yield i;
    }
  };
  EXPECT_EQ(in_fiber([&] {
              auto all = numbers();
              int sum = 0;
              while (const auto each = await(all.next())) sum += *each;
              return sum;
            }),
            10);
}

// --- others' awaiters -----------------------------------------------------------------------------

struct answers_bool {
  bool waits;
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> h) const {
    const bool has_waited = waits;  // this is gone when the fiber has gone on
    if (has_waited) h.resume();
    return has_waited;
  }
  int await_resume() const noexcept { return 1; }
};
struct answers_nothing {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) const { h.resume(); }
  int await_resume() const noexcept { return 2; }
};
struct throws_at_suspend {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<>) const { throw std::runtime_error("not begun"); }
  void await_resume() const noexcept {}
};

TEST(await, what_answers_by_bool_by_nothing_and_by_an_exception) {
  in_fiber([] {
    for (int i = 0; i < 100'000; ++i) EXPECT_EQ(await(answers_bool{false}), 1);
    EXPECT_EQ(await(answers_bool{true}), 1);
    EXPECT_EQ(await(answers_nothing()), 2);
    EXPECT_THROW(await(throws_at_suspend()), std::runtime_error);
    EXPECT_EQ(await(at_once(3)), 3);
  });
}

}  // namespace
}  // namespace weft
