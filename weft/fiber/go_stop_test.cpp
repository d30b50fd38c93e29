// How a stopped fiber ends: its stack is unwound, nothing swallows that, and shields hold.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>

#include "weft/channel/mpmc.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/select.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

struct counts {
  explicit counts(std::atomic<int>& n) noexcept : alive(n) { ++alive; }
  ~counts() { --alive; }
  counts(const counts&) = delete;
  counts& operator=(const counts&) = delete;
  std::atomic<int>& alive;
};

/// Starts f in a fiber, stops it when it waits, and says how it ended.
template <class F>
outcome_kind stopped_while_waiting(F f) {
  testing::virtual_runtime rt;
  const auto main = [&]() -> task<outcome_kind> {
    auto handle = go(f);
    co_await sleep_for(1s);
    handle.stop();
    auto how = co_await handle.outcome();
    co_return how.kind();
  };
  return rt.block_on(main());
}

task<> waits_inside(std::atomic<int>& alive) {
  const counts here(alive);
  co_await sleep_for(1h);
}

TEST(go_stop, destroys_what_stands_on_the_stack_innermost_first) {
  std::atomic<int> alive = 0;
  bool after = false;
  const auto inner = [&] {
    const counts second(alive);
    await(waits_inside(alive));
    after = true;
  };
  EXPECT_EQ(stopped_while_waiting([&] {
              const counts first(alive);
              inner();
              after = true;
            }),
            outcome_kind::stopped);
  EXPECT_EQ(alive, 0);
  EXPECT_FALSE(after);
}

TEST(go_stop, who_joins_it_is_told_as_of_any_job) {
  testing::virtual_runtime rt;
  event never;
  auto handle = rt.get().go([&] {
    await(never.wait());
    return 3;
  });
  handle.stop();
  try {
    rt.block_on(handle);
    FAIL() << "it was stopped";
  } catch (const error& e) {
    EXPECT_EQ(e.code(), std::errc::operation_canceled);
  }
}

TEST(go_stop, one_that_never_began_does_not_run) {
  testing::virtual_runtime rt;
  bool ran = false;
  const auto kept = std::make_shared<int>(1);
  const auto main = [&]() -> task<bool> {
    auto handle = go([&ran, kept] { ran = true; });
    handle.stop();
    auto how = co_await handle.outcome();
    co_return how.stopped();
  };
  EXPECT_TRUE(rt.block_on(main()));
  EXPECT_FALSE(ran);
  EXPECT_EQ(kept.use_count(), 1);
}

TEST(go_stop, the_function_of_one_that_never_began_may_await_when_it_is_destroyed) {
  testing::virtual_runtime rt;
  bool closed = false;
  struct closes {
    bool* closed;
    explicit closes(bool& c) noexcept : closed(&c) {}
    closes(closes&& from) noexcept : closed(std::exchange(from.closed, nullptr)) {}
    ~closes() {
      if (closed == nullptr) return;
      const shield_scope shielded;
      await(sleep_for(1h));
      *closed = true;
    }
  };
  const auto main = [&]() -> task<bool> {
    auto handle = go([at_end = closes(closed)] { ADD_FAILURE() << "it was stopped"; });
    handle.stop();
    auto how = co_await handle.outcome();
    co_return how.stopped();
  };
  EXPECT_TRUE(rt.block_on(main()));
  EXPECT_TRUE(closed);
}

TEST(go_stop, the_end_of_the_runtime_stops_those_that_wait) {
  std::atomic<int> alive = 0;
  {
    runtime rt({.workers = 2});
    semaphore arrived(0);
    event never;
    for (int i = 0; i < 10; ++i) {
      rt.go([&] {
          const counts here(alive);
          arrived.release(1);
          await(never.wait());
        }).detach();
      rt.block_on(arrived.acquire(1));
    }
    static_cast<void>(rt.shutdown(1min));
  }
  EXPECT_EQ(alive, 0);
}

TEST(go_stop, catch_that_rethrows_and_handlers_around_it_are_fine) {
  int handlers = 0;
  EXPECT_EQ(stopped_while_waiting([&] {
              try {
                try {
                  throw std::runtime_error("first");
                } catch (const std::exception&) {
                  try {
                    await(sleep_for(1h));
                  } catch (const std::exception&) {
                    ADD_FAILURE() << "it is no std::exception";
                  } catch (...) {
                    ++handlers;
                    throw;
                  }
                }
              } catch (...) {
                ++handlers;
                EXPECT_NE(std::current_exception(), nullptr);
                throw;
              }
            }),
            outcome_kind::stopped);
  EXPECT_EQ(handlers, 2);
}

TEST(go_stop, a_shield_waits_and_the_stop_comes_after_it) {
  bool closed = false;
  bool after = false;
  EXPECT_EQ(stopped_while_waiting([&] {
              {
                const shield_scope shielded;
                await(sleep_for(1h));
                closed = true;
              }
              await(sleep_for(1h));
              after = true;
            }),
            outcome_kind::stopped);
  EXPECT_TRUE(closed);
  EXPECT_FALSE(after);
}

TEST(go_stop, a_destructor_may_await_in_a_shield) {
  struct closes {
    bool& closed;
    explicit closes(bool& c) noexcept : closed(c) {}
    closes(const closes&) = delete;
    closes& operator=(const closes&) = delete;
    ~closes() {
      const shield_scope shielded;
      try {
        await(sleep_for(1h));
        throw 1;  // nested in the stop that is on its way
      } catch (int) {
        await(waits());
        closed = true;
      }
    }
    static task<> waits() { co_await sleep_for(1h); }
  };
  bool closed = false;
  EXPECT_EQ(stopped_while_waiting([&] {
              const closes at_end(closed);
              await(sleep_for(24h));
            }),
            outcome_kind::stopped);
  EXPECT_TRUE(closed);
}

TEST(go_stop, catch_stop_sees_it_and_the_next_wait_ends_it) {
  bool seen = false;
  bool after = false;
  EXPECT_EQ(stopped_while_waiting([&] {
              seen = !await(catch_stop(sleep_for(1h)));
              await(sleep_for(1h));
              after = true;
            }),
            outcome_kind::stopped);
  EXPECT_TRUE(seen);
  EXPECT_FALSE(after);
}

TEST(go_stop, one_that_returns_after_catch_stop_has_its_value) {
  EXPECT_EQ(stopped_while_waiting([] { return !await(catch_stop(sleep_for(1h))); }),
            outcome_kind::value);
}

TEST(go_stop, children_of_a_scope_in_it_end_first) {
  std::atomic<int> alive = 0;
  const auto child = [&]() -> task<> { co_await waits_inside(alive); };
  const auto body = [&](scope_ref s) -> task<> {
    s.spawn(child);
    s.spawn(child);
    co_await waits_inside(alive);
  };
  EXPECT_EQ(stopped_while_waiting([&] {
              const counts here(alive);
              await(scope(body));
            }),
            outcome_kind::stopped);
  EXPECT_EQ(alive, 0);
}

// --- swallowed ------------------------------------------------------------------------------------

using go_stop_death = ::testing::Test;

TEST(go_stop_death, a_handler_that_swallows_it_ends_the_program) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto swallows = [] {
    try {
      await(sleep_for(1h));
    } catch (...) {
    }
    std::fputs("went on\n", stderr);
  };
  EXPECT_DEATH(stopped_while_waiting(swallows), "was stopped, and a catch .* did not rethrow");
}

TEST(go_stop_death, so_does_one_that_throws_something_else) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto translates = [] {
    try {
      await(sleep_for(1h));
    } catch (...) {
      throw std::runtime_error("translated");
    }
  };
  EXPECT_DEATH(stopped_while_waiting(translates), "was stopped, and a catch .* did not rethrow");
}

TEST(go_stop_death, one_that_keeps_it_is_found_at_the_return) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::exception_ptr kept;
  const auto keeps = [&] {
    try {
      await(sleep_for(1h));
    } catch (...) {
      kept = std::current_exception();
    }
  };
  EXPECT_DEATH(stopped_while_waiting(keeps), "a catch .* kept the exception of the stop: end");
}

TEST(go_stop_death, and_at_the_next_wait) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::exception_ptr kept;
  const auto keeps = [&] {
    try {
      await(sleep_for(1h));
    } catch (...) {
      kept = std::current_exception();
    }
    await(sleep_for(1h));
  };
  EXPECT_DEATH(stopped_while_waiting(keeps), "awaits after it was stopped");
}

// --- at every await -------------------------------------------------------------------------------

#if WEFT_CENSUS

struct place {
  mutex m;
  semaphore permits{2};
  event turn{event::auto_reset};
  std::atomic<int> alive = 0;
  int begun = 0;
};

task<int> in_a_coroutine(place& p) {
  const counts here(p.alive);
  const auto held = co_await p.m.lock();
  co_await sleep_for(1ms);
  co_return 5;
}

void other(place& p) {
  const counts here(p.alive);
  const auto held = await(p.m.lock());
  await(sleep_for(2ms));
  p.turn.set();
}

void scenario(place& p) {
  const counts first(p.alive);
  auto beside = go(other, std::ref(p));
  await(yield_now());
  {
    const counts second(p.alive);
    const auto held = await(p.m.lock());
    await(p.permits.acquire(2));
    const semaphore_guard permits(p.permits, 2);
    await(sleep_for(1ms));
  }
  await(p.turn.wait());
  const int five = await(in_a_coroutine(p));
  const auto [a, b] = await(when_all(in_a_coroutine(p), in_a_coroutine(p)));
  EXPECT_EQ(five + a + b, 15);
  static_cast<void>(await(timeout(1s, p.turn.wait())));
  const auto chosen = await(select(p.turn.wait(), sleep_for(1ms)));
  EXPECT_EQ(chosen.index(), 1u);
  auto [to, from] = channel<int>(0);
  auto sends = go([tx = std::move(to), &p]() mutable {
    const counts here(p.alive);
    static_cast<void>(await(tx.send(1)));
  });
  EXPECT_EQ(await(from.recv()), std::optional<int>(1));
  await(sends);
  {
    const shield_scope shielded;
    await(sleep_for(1ms));
  }
  await(beside);
}

TEST(go_stop, at_every_await_all_is_destroyed_and_nothing_is_kept) {
  std::unique_ptr<place> p;
  const auto seen = testing::cancel_everywhere(
      [&](testing::virtual_runtime& rt) {
        p = std::make_unique<place>();
        return rt.get().go(scenario, std::ref(*p));
      },
      [&](bool) {
        EXPECT_EQ(p->alive, 0);
        EXPECT_TRUE(p->m.try_lock());
        EXPECT_TRUE(p->permits.try_acquire(2));
        p.reset();
      });
  EXPECT_GT(seen.awaits, 12u);
  EXPECT_GT(seen.stopped, 20u);
}

#endif

}  // namespace
}  // namespace weft
