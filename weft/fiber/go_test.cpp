// Fibers as jobs: what go() makes, how it ends, and where it may be used. What await() takes:
// await_test.cpp. Stops: go_stop_test.cpp.
#include "weft/runtime/go.hpp"

#include <gtest/gtest.h>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <latch>
#include <memory>
#include <new>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weft/base/config.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/fiber_stacks.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/task/task_local.hpp"
#include "weft/testing/virtual_time.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

// TSan keeps a history for each fiber, of which it has 8 thousand in all.
constexpr int many = WEFT_TSAN ? 2'000 : 10'000;

task<int> twice(int x) {
  co_await yield_now();
  co_return 2 * x;
}

// --- results --------------------------------------------------------------------------------------

TEST(go, gives_what_its_function_returns) {
  runtime rt({.workers = 2});
  EXPECT_EQ(rt.block_on(rt.go([](int x) { return 2 * x; }, 21)), 42);
  rt.block_on(rt.go([] {}));
  int here = 7;
  int& same = rt.block_on(rt.go([&]() -> int& { return here; }));
  EXPECT_EQ(&same, &here);
}

TEST(go, moves_what_can_only_be_moved_in_and_out) {
  runtime rt({.workers = 1});
  auto handle = rt.go([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(5));
  EXPECT_EQ(*rt.block_on(handle), 5);
}

TEST(go, copies_its_function_and_arguments_and_destroys_them_before_it_is_joined) {
  runtime rt({.workers = 1});
  const auto counted = std::make_shared<int>(3);
  auto handle = rt.go([counted](const std::shared_ptr<int>& p) { return *p + *counted; }, counted);
  EXPECT_EQ(rt.block_on(handle), 6);
  EXPECT_EQ(counted.use_count(), 1);
}

TEST(go, an_exception_goes_to_who_joins) {
  runtime rt({.workers = 2});
  auto given = rt.go([]() -> int { throw std::runtime_error("as it was"); });
  try {
    rt.block_on(given);
    FAIL() << "it has no value";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "as it was");
  }
  auto nothing = rt.go([] { throw 3; });
  EXPECT_THROW(rt.block_on(nothing), int);
}

TEST(go, an_exception_that_is_handled_in_a_fiber_is_its_own_across_awaits) {
  runtime rt({.workers = 1});
  event turn(event::auto_reset);
  event other(event::auto_reset);
  const auto handles = [](int number, event& mine, event& theirs) {
    try {
      throw number;
    } catch (int) {
      theirs.set();
      await(mine.wait());
      try {
        throw;  // rethrows its own, though another one was caught in between
      } catch (int caught) {
        theirs.set();
        return caught;
      }
    }
  };
  auto a = rt.go(handles, 1, std::ref(turn), std::ref(other));
  auto b = rt.go(handles, 2, std::ref(other), std::ref(turn));
  EXPECT_EQ(rt.block_on(a), 1);
  EXPECT_EQ(rt.block_on(b), 2);
}

TEST(go, is_joined_by_a_coroutine_a_fiber_and_a_thread) {
  runtime rt({.workers = 2});
  const auto seven = [] {
    await(sleep_for(1ms));
    return 7;
  };
  const auto joins = [](auto f) -> task<int> {
    auto inner = go(f);
    co_return co_await inner;
  };
  EXPECT_EQ(rt.block_on(rt.spawn(joins, seven)), 7);
  EXPECT_EQ(rt.block_on(rt.go([&] { return await(go(seven)); })), 7);
  auto from_outside = rt.go(seven);
  EXPECT_EQ(block_on(from_outside), 7);
}

TEST(go, runs_in_a_plain_threads_block_on) {
  const auto main = []() -> task<int> {
    event there;
    auto waits = go([&] {
      await(there.wait());
      return await(twice(4));
    });
    co_await yield_now();
    there.set();
    co_return co_await waits;
  };
  EXPECT_EQ(block_on(main()), 8);
}

TEST(go, runs_in_a_block_on_that_a_fiber_calls) {
  const auto inner = []() -> task<int> {
    auto handle = go([] {
      try {
        throw 3;
      } catch (int caught) {
        await(yield_now());
        return caught;
      }
    });
    co_return co_await handle;
  };
  const auto outer = [&]() -> task<int> {
    auto handle = go([&] {
      try {
        throw 4;
      } catch (int caught) {
        const int within = block_on(inner());  // on this fiber's stack
        EXPECT_TRUE(this_task::in_fiber());
        await(yield_now());
        return 10 * within + caught;
      }
    });
    co_return co_await handle;
  };
  EXPECT_EQ(block_on(outer()), 34);
}

TEST(go, runs_in_a_runtime_that_ends_in_a_fiber_of_another_one) {
  runtime rt({.workers = 1});
  auto handle = rt.go([] {
    int ended = 0;
    {
      runtime inner({.mode = scheduling::current_thread});
      for (int i = 0; i < 3; ++i) {
        inner
            .go([&ended] {
              await(yield_now());
              ++ended;
            })
            .detach();
      }
      static_cast<void>(inner.shutdown(1min));  // this thread drives it
    }
    EXPECT_TRUE(this_task::in_fiber());
    await(yield_now());
    return ended;
  });
  EXPECT_EQ(rt.block_on(handle), 0);  // they were stopped before they began
}

TEST(go, goes_on_in_whichever_thread_drives_its_runtime) {
  runtime rt({.mode = scheduling::current_thread});
  event next(event::auto_reset);
  auto handle = rt.go([&] {
    int turns = 0;
    try {
      throw 1;
    } catch (int caught) {
      for (; turns < 4; ++turns) await(next.wait());
      return turns + caught + std::uncaught_exceptions();
    }
  });
  const auto pass = [&next]() -> task<> {
    next.set();
    co_await yield_now();
    co_await yield_now();
  };
  // All are there until the end, so that what is of one thread is at another address for each.
  std::binary_semaphore passed(0);
  std::latch over(1);
  std::vector<std::thread> drivers;
  for (int i = 0; i < 4; ++i) {
    drivers.emplace_back([&] {
      rt.block_on(pass());
      passed.release();
      over.wait();
    });
    passed.acquire();
  }
  EXPECT_EQ(rt.block_on(handle), 5);
  over.count_down();
  for (auto& each : drivers) each.join();
}

TEST(go, runs_in_a_thread_that_drives_its_runtime) {
  runtime rt({.mode = scheduling::current_thread});
  auto handle = rt.go([] {
    await(sleep_for(1ms));
    return await(spawn(twice, 3));
  });
  EXPECT_EQ(rt.block_on(handle), 6);
}

// --- the job --------------------------------------------------------------------------------------

TEST(go, is_a_job_with_an_id_a_name_and_locals) {
  static task_local<int> traced;
  runtime rt({.workers = 1});
  const auto main = []() -> task<> {
    const auto inside = [] {
      EXPECT_STREQ(this_task::name(), "pump");
      const std::uint64_t mine = this_task::id();
      EXPECT_NE(mine, 0u);
      EXPECT_TRUE(traced.get() != nullptr && *traced.get() == 12);
      await(yield_now());
      EXPECT_EQ(this_task::id(), mine);
      this_task::set_name("renamed");
      EXPECT_STREQ(this_task::name(), "renamed");
      EXPECT_TRUE(traced.get() != nullptr && *traced.get() == 12);
      return mine;
    };
    const auto within = [](auto f) -> task<> {
      auto handle = go(spawn_options{.name = "pump"}, f);
      const std::uint64_t id = handle.id();
      const std::uint64_t seen = co_await handle;
      EXPECT_EQ(seen, id);
    };
    co_await traced.with(12, within(inside));
  };
  rt.block_on(main());
}

TEST(go, a_fiber_stays_on_its_worker) {
  runtime rt({.workers = 3});
  for (unsigned w = 0; w < 3; ++w) {
    auto handle = rt.go(spawn_options{.worker = w}, [w] {
      bool stayed = true;
      for (int i = 0; i < 50; ++i) {
        stayed = stayed && this_task::worker() == w;
        await(sleep_for(1ns));
        auto other = go([] { return this_task::worker(); });
        stayed = stayed && await(other) == w;  // the maker's
      }
      return stayed;
    });
    EXPECT_TRUE(rt.block_on(handle));
  }
  const auto home = [] {
    const unsigned begun_on = this_task::worker();
    bool stayed = true;
    for (int i = 0; i < 50; ++i) {
      await(yield_now());
      stayed = stayed && this_task::worker() == begun_on;
    }
    EXPECT_TRUE(stayed);
    return begun_on;
  };
  std::vector<join_handle<unsigned>> from_outside;
  for (int i = 0; i < 3; ++i) from_outside.push_back(rt.go(home));
  unsigned seen = 0;
  for (auto& each : from_outside) seen |= 1u << rt.block_on(each);
  EXPECT_EQ(seen, 7u);  // each in turn
}

TEST(go, one_that_may_migrate_is_taken_by_an_idle_worker) {
  runtime rt({.workers = 2});
  // The maker keeps its worker until the other one runs, which only another worker can let it do.
  auto maker = rt.go([] {
    std::atomic<bool> ran = false;  // check: allow std-atomic: a thread that spins is the point
    auto moved = go(spawn_options{.migrates = true}, [&ran] { ran = true; });
    while (!ran) std::this_thread::yield();
    await(moved);
  });
  rt.block_on(maker);
}

TEST(go, a_fiber_that_migrates_goes_on_where_it_was_woken) {
  runtime rt({.workers = 2});
  auto [to, from] = channel<int>(0);
  constexpr int rounds = 2'000;
  auto sends = rt.go(spawn_options{.migrates = true}, [tx = std::move(to)]() mutable {
    for (int i = 0; i < rounds; ++i) {
      const auto sent = await(tx.send(i));
      if (!sent) return false;
      if (i % 16 == 0) await(yield_now());
    }
    return true;
  });
  auto receives = rt.go(spawn_options{.migrates = true}, [rx = std::move(from)]() mutable {
    long sum = 0;
    while (const auto got = await(rx.recv())) sum += *got;
    return sum;
  });
  EXPECT_TRUE(rt.block_on(sends));
  EXPECT_EQ(rt.block_on(receives), long{rounds} * (rounds - 1) / 2);
}

TEST(go, two_on_two_workers_play_ping_pong) {
  runtime rt({.workers = 2});
  auto [ping_to, ping_from] = channel<int>(0);
  auto [pong_to, pong_from] = channel<int>(0);
  constexpr int rounds = 2'000;
  auto a = rt.go(spawn_options{.worker = 0},
                 [tx = std::move(ping_to), rx = std::move(pong_from)]() mutable {
                   int last = 0;
                   for (int i = 0; i < rounds; ++i) {
                     const auto sent = await(tx.send(last));
                     if (!sent) break;
                     last = await(rx.recv()).value_or(-1);
                   }
                   return last;
                 });
  auto b = rt.go(spawn_options{.worker = 1},
                 [tx = std::move(pong_to), rx = std::move(ping_from)]() mutable {
                   while (const auto got = await(rx.recv())) {
                     const auto sent = await(tx.send(*got + 1));
                     if (!sent) break;
                   }
                 });
  EXPECT_EQ(rt.block_on(a), rounds);
  rt.block_on(b);
}

TEST(go, ten_thousand_wait_at_once_and_all_are_woken) {
  runtime rt({.workers = 2});
  semaphore arrived(0);
  event gate;
  std::vector<join_handle<int>> all;
  for (int i = 0; i < many; ++i) {
    all.push_back(rt.go(spawn_options{.stack = 32 * 1024}, [&arrived, &gate, i] {
      arrived.release(1);
      await(gate.wait());
      return i;
    }));
  }
  rt.block_on(arrived.acquire(many));
  gate.set();
  long sum = 0;
  for (auto& each : all) sum += rt.block_on(each);
  EXPECT_EQ(sum, long{many} * (many - 1) / 2);
}

// --- stacks ---------------------------------------------------------------------------------------

WEFT_NOINLINE unsigned sum_of_large_object(std::size_t bytes) {
  const auto large = static_cast<volatile unsigned char*>(__builtin_alloca(bytes));
  unsigned sum = 0;
  for (std::size_t i = 0; i < bytes; i += 512) large[i] = 1;
  for (std::size_t i = 0; i < bytes; i += 512) sum += large[i];
  return sum;
}

TEST(go, has_the_stack_that_was_asked_for) {
  runtime rt({.workers = 1, .fiber_stack = std::size_t{1} << 20});
  EXPECT_EQ(rt.block_on(rt.go(sum_of_large_object, 900 * 1024)), 1800u);
  EXPECT_EQ(rt.block_on(rt.go(spawn_options{.stack = std::size_t{4} << 20}, sum_of_large_object,
                              3900 * 1024)),
            7800u);
}

TEST(go, a_stack_that_is_asked_for_too_small_is_large_enough_for_a_throw) {
  runtime rt({.workers = 1});
  const auto throws = [](int n) {
    await(yield_now());
    try {
      throw n;
    } catch (int caught) {
      return caught;
    }
  };
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{4096}, std::size_t{16} << 10, (std::size_t{16} << 10) + 1,
        std::size_t{32} << 10, (std::size_t{32} << 10) + 1, std::size_t{100'000}}) {
    EXPECT_EQ(rt.block_on(rt.go(spawn_options{.stack = bytes}, throws, 3)), 3) << bytes;
  }
}

TEST(go, gives_its_stack_back_at_its_end) {
  constexpr std::size_t size = std::size_t{128} << 10;  // nobody else here has such
  runtime rt({.workers = 1, .fiber_stack = size});
  event never;
  auto waits = rt.go([&] { await(never.wait()); });
  rt.block_on(rt.go([] {}));
  EXPECT_EQ(detail::fiber_stacks::figures(size).taken, 1u);
  waits.stop();
  EXPECT_THROW(rt.block_on(waits), error);
  EXPECT_EQ(detail::fiber_stacks::figures(size).taken, 0u);
}

TEST(go, an_idle_runtime_gives_the_memory_of_free_stacks_back) {
  constexpr std::size_t size = std::size_t{64} << 10;  // nobody else here has such
  using stacks = detail::fiber_stacks;
  const auto taken = stacks::take(size);
  ASSERT_TRUE(taken);
  stacks::give(*taken);
  EXPECT_EQ(stacks::figures(size).warm, 1u);
  std::int64_t now = 1'000'000'000'000;
  const auto look = [&now] {
    const std::int64_t due = stacks::trim_due_ns(now);
    ASSERT_NE(due, never_ns);
    now = std::max(now, due);
    // Some at a time: what other tests have left may be much.
    while (stacks::trim_due_ns(now) <= now) stacks::trim(now);
  };
  look();
  EXPECT_EQ(stacks::figures(size).warm, 1u) << "one was taken a moment ago";
  look();
  EXPECT_EQ(stacks::figures(size).warm, 0u);
  for (int looks = 0; stacks::trim_due_ns(now) != never_ns; ++looks) {
    ASSERT_LT(looks, 8) << "an idle program would never sleep for good";
    look();
  }
}

TEST(go, free_stacks_that_were_needed_meanwhile_stay_and_the_others_go) {
  constexpr std::size_t size = std::size_t{512} << 10;  // nobody else here has such
  using stacks = detail::fiber_stacks;
  const auto take_and_give = [](std::size_t count) {
    std::vector<stack> taken;
    for (std::size_t i = 0; i < count; ++i) taken.push_back(stacks::take(size).value());
    for (const stack& each : taken) stacks::give(each);
  };
  std::int64_t now = 2'000'000'000'000;
  const auto look = [&now] {
    now = std::max(now, stacks::trim_due_ns(now));
    for (int parts = 0; stacks::trim_due_ns(now) <= now; ++parts) {
      ASSERT_LT(parts, 8) << "it is due for ever";
      stacks::trim(now);
    }
  };
  take_and_give(600);
  look();
  EXPECT_EQ(stacks::figures(size).warm, 600u);
  take_and_give(2);
  look();
  EXPECT_EQ(stacks::figures(size).warm, 2u);
  look();
  EXPECT_EQ(stacks::figures(size).warm, 0u);
  EXPECT_EQ(stacks::figures(size).reserved_bytes, 0u);
}

#if !WEFT_TSAN  // it looks at forks of programs with threads in its own way
TEST(go, a_child_of_fork_gets_stacks_whatever_other_threads_were_at) {
  constexpr std::size_t size = std::size_t{2} << 20;
  using stacks = detail::fiber_stacks;
  std::atomic<bool> enough = false;  // check: allow std-atomic: another thread that never rests
  std::thread other([&] {
    while (!enough) stacks::give(stacks::take(size).value());
  });
  for (int i = 0; i < 300; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(10);  // ends it if it waits for a thread that is not there
      stacks::give(stacks::take(size).value());
      ::_exit(0);
    }
    ASSERT_GT(child, 0);
    int status = -1;
    pid_t ended = -1;
    while ((ended = ::waitpid(child, &status, 0)) < 0 && errno == EINTR) {
    }
    EXPECT_EQ(ended, child);
    EXPECT_EQ(status, 0) << "child " << i;
    if (status != 0) break;
  }
  enough = true;
  other.join();
}
#endif

TEST(go, without_memory_for_a_stack_throws_as_spawn_does) {
  runtime rt({.workers = 1});
  if (WEFT_ASAN || WEFT_TSAN) GTEST_SKIP() << "the sanitizer ends the program itself";
  // Two thousand such are all the address space that there is.
  event never;
  const auto go_with_too_much = [&](std::size_t bytes) {
    std::vector<join_handle<>> kept;
    for (int i = 0; i < 4096; ++i) {
      kept.push_back(rt.go(spawn_options{.stack = bytes}, [&] { await(never.wait()); }));
    }
  };
  const auto alive = rt.metrics().jobs_alive;
  EXPECT_THROW(go_with_too_much(std::size_t{64} << 30), std::bad_alloc);
  EXPECT_EQ(rt.block_on(rt.go([] { return 5; })), 5);  // and it goes on
  while (rt.metrics().jobs_alive != alive) std::this_thread::yield();
}

// --- misuse ---------------------------------------------------------------------------------------

using go_death = ::testing::Test;

TEST(go_death, await_in_a_plain_thread_says_block_on) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  event never;
  EXPECT_DEATH(await(never.wait()), "in a plain thread: use weft::block_on");
}

TEST(go_death, await_in_a_coroutine_says_co_await) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto wrong = [] {
    runtime rt({.workers = 1});
    rt.block_on(rt.spawn([]() -> task<> {
      await(yield_now());
      co_return;
    }));
  };
  EXPECT_DEATH(wrong(), "co_await it");
}

TEST(go_death, await_in_a_coroutine_that_a_fiber_awaits_says_co_await) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto wrong = [] {
    runtime rt({.workers = 1});
    const auto inner = []() -> task<> {
      EXPECT_FALSE(this_task::in_fiber());
      co_await yield_now();
      await(yield_now());
    };
    rt.block_on(rt.go([&] {
      EXPECT_TRUE(this_task::in_fiber());
      await(inner());
    }));
  };
  EXPECT_DEATH(wrong(), "co_await it");
}

TEST(go_death, outside_of_a_job_says_runtime_go) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(go([] {}).detach(), "use runtime::go on this thread");
}

#if !WEFT_TSAN  // it ends the program in its own way
WEFT_NOINLINE int deeper(int n) {
  volatile char here[256] = {};
  here[0] = static_cast<char>(n);
  const int below = n == 0 ? 0 : deeper(n + 1);
  return below + here[0];
}

TEST(go_death, an_overflow_of_the_stack_is_told_by_the_fibers_name) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto overflows = [] {
    runtime rt({.workers = 1});
    rt.block_on(rt.go(spawn_options{.name = "recurses"}, deeper, 1));
  };
  EXPECT_DEATH(overflows(), "fiber [0-9]+ 'recurses' ran over the end of its stack of 25[0-9] KiB");
}

TEST(go_death, who_handled_the_signal_before_is_asked_after_it_was_told) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto overflows = [] {
    struct sigaction mine = {};
    mine.sa_sigaction = [](int, siginfo_t* about, void*) {
      _exit(about->si_addr != nullptr ? 3 : 4);
    };
    mine.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigaction(SIGSEGV, &mine, nullptr);
    ::sigaction(SIGBUS, &mine, nullptr);
    runtime rt({.workers = 1});
    rt.block_on(rt.go(spawn_options{.name = "recurses"}, deeper, 1));
  };
  EXPECT_EXIT(overflows(), ::testing::ExitedWithCode(3), "'recurses' ran over the end");
}

TEST(go_death, a_signal_that_the_program_ignores_stays_ignored) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto is_sent_one = [] {
    std::signal(SIGSEGV, SIG_IGN);
    runtime rt({.workers = 1});
    rt.block_on(rt.go([] { ::kill(::getpid(), SIGSEGV); }));
    rt.block_on(rt.go([] { std::fputs("went on\n", stderr); }));
    _exit(5);
  };
  EXPECT_EXIT(is_sent_one(), ::testing::ExitedWithCode(5), "went on");
}

TEST(go_death, a_thread_that_is_ended_in_a_fiber_is_told_of) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto ends_its_thread = [] {
    runtime rt({.workers = 1});
    rt.block_on(rt.go(spawn_options{.name = "ends"}, [] { ::pthread_exit(nullptr); }));
  };
  EXPECT_DEATH(ends_its_thread(), "fiber .* 'ends': .* a thread was ended .* in the middle of it");
}

TEST(go_death, a_fault_elsewhere_is_not_told_as_one) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto faults = [] {
    runtime rt({.workers = 1});
    rt.block_on(
        rt.go([] { *static_cast<volatile int*>(std::bit_cast<void*>(std::size_t{64})) = 1; }));
  };
  EXPECT_EXIT(
      {
        std::fputs("begins\n", stderr);
        faults();
      },
      [](int status) {
        return status != 0;
      },  // ASan's handler was there before, comes after ours, and says much.
      WEFT_ASAN ? "begins" : "^begins\n[^']*$");
}
#endif

}  // namespace
}  // namespace weft
