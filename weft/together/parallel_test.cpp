// parallel_for, parallel_reduce: every element once, order of the results, uneven loads, failures,
// stops, with plain calls and with tasks.
#include "weft/together/parallel.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/census.hpp"
#include "weft/base/rng.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t grains[] = {0, 1, 3, 1000, PTRDIFF_MAX};

/// Keeps the processor busy, as an element that computes does.
long computes(int rounds) {
  std::uint64_t x = 1;
  for (int i = 0; i < rounds; ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    asm volatile("" : "+r"(x));
  }
  return static_cast<long>(x >> 63);
}

// --- Every element, once

task<> marks_each(std::vector<int>& seen, std::size_t grain) {
  co_await parallel_for(
      std::views::iota(0, static_cast<int>(seen.size())), [&](int i) { ++seen[i]; }, grain);
}
task<> marks_each_by_task(std::vector<int>& seen, std::size_t grain) {
  co_await parallel_for(
      seen,
      [](int& s) -> task<> {
        ++s;
        co_return;
      },
      grain);
}
TEST(parallel_for, comes_to_each_element_once) {
  const auto check = [](auto run) {
    for (const std::size_t size : {0, 1, 2, 3, 10, 1000, 20'000}) {
      for (const std::size_t grain : grains) {
        std::vector<int> calls(size), tasks(size);
        run(marks_each(calls, grain));
        run(marks_each_by_task(tasks, grain));
        EXPECT_EQ(calls, std::vector<int>(size, 1)) << size << " " << grain;
        EXPECT_EQ(tasks, std::vector<int>(size, 1)) << size << " " << grain;
      }
    }
  };
  check([](auto&& work) { block_on(std::forward<decltype(work)>(work)); });
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    check([&](auto&& work) { rt.block_on(std::forward<decltype(work)>(work)); });
  }
}

task<std::vector<int>> order_of(int n, std::size_t grain) {
  std::vector<int> order;
  co_await parallel_for(std::views::iota(0, n), [&](int i) { order.push_back(i); }, grain);
  co_return order;
}
TEST(parallel_for, goes_from_front_to_back_where_nobody_helps) {
  runtime rt({.workers = 1});
  for (const std::size_t grain : grains) {
    const std::vector<int> order = rt.block_on(order_of(5000, grain));
    EXPECT_TRUE(std::ranges::is_sorted(order));
    EXPECT_EQ(order.size(), 5000u);
  }
}

#if WEFT_CENSUS
task<> empty_loops() {
  const census before = live_census();
  const std::vector<int> none;
  co_await parallel_for(none, [](int) { ADD_FAILURE(); });
  co_await parallel_for(none, [](int) -> task<> {
    ADD_FAILURE();
    co_return;
  });
  const long sum = co_await parallel_reduce(none, 5L, std::plus<>(), [](int v) { return v; });
  EXPECT_EQ(sum, 5);
  EXPECT_EQ(live_census().frames, before.frames);
}
TEST(parallel_for, an_empty_range_is_nothing) { block_on(empty_loops()); }
#endif

// --- Reducing

task<std::string> joined(int n, std::size_t grain) {
  co_return co_await parallel_reduce(
      std::views::iota(0, n), std::string("<"), std::plus<>(),
      [](int i) { return std::to_string(i) + ","; }, grain);
}
task<std::string> joined_by_task(int n, std::size_t grain) {
  co_return co_await parallel_reduce(
      std::views::iota(0, n), std::string("<"), std::plus<>(),
      [](int i) -> task<std::string> {
        if (i % 7 == 0) co_await yield_now();
        co_return std::to_string(i) + ",";
      },
      grain);
}
TEST(parallel_reduce, keeps_the_order_and_uses_init_once) {
  for (const int n : {0, 1, 2, 100, 3000}) {
    std::string expected = "<";
    for (int i = 0; i < n; ++i) expected += std::to_string(i) + ",";
    for (const std::size_t grain : grains) {
      EXPECT_EQ(block_on(joined(n, grain)), expected);
      EXPECT_EQ(block_on(joined_by_task(n, grain)), expected);
      for (const unsigned workers : {1u, 2u, 4u}) {
        runtime rt({.workers = workers});
        EXPECT_EQ(rt.block_on(joined(n, grain)), expected);
        EXPECT_EQ(rt.block_on(joined_by_task(n, grain)), expected);
      }
    }
  }
}

using owner = std::unique_ptr<long>;
task<long> sum_of_owned(std::vector<int>& of, std::size_t grain) {
  owner all = co_await parallel_reduce(
      of, std::make_unique<long>(7),
      [](owner a, owner b) {
        *a += *b;
        return a;
      },
      [](int v) { return std::make_unique<long>(v); }, grain);
  co_return *all;
}
TEST(parallel_reduce, of_what_can_only_be_moved) {
  std::vector<int> ones(2000, 1);
  for (const unsigned workers : {1u, 4u}) {
    runtime rt({.workers = workers});
    for (const std::size_t grain : grains) EXPECT_EQ(rt.block_on(sum_of_owned(ones, grain)), 2007);
  }
}

task<long> sum(std::vector<int>& of) {
  co_return co_await parallel_reduce(of, 0L, std::plus<>(), [](int v) { return v; });
}
TEST(parallel_reduce, a_large_range) {
  std::vector<int> numbers(3'000'000);
  long expected = 0;
  rng random(test_support::seed());
  for (int& n : numbers) expected += n = static_cast<int>(random.below(1000));
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    EXPECT_EQ(rt.block_on(sum(numbers)), expected);
  }
}

// --- Helpers

// The younger half is there to be taken before the first element begins: each waits for the other.
task<> two_meet() {
  atomic<unsigned> there{0};
  co_await parallel_for(
      std::views::iota(0, 2),
      [&](int) {
        there.fetch_add(1, order::relaxed);
        while (there.load(order::relaxed) != 2) std::this_thread::yield();
      },
      1);
}
TEST(parallel_for, an_idle_worker_takes_the_younger_half) {
  for (const unsigned workers : {2u, 4u}) {
    runtime rt({.workers = workers});
    for (int i = 0; i < 20; ++i) rt.block_on(two_meet());
  }
}

// All the work is at one end, and the pieces that have it are cut again.
task<std::size_t> threads_of_uneven(int n, int heavy_from, int heavy_to, std::size_t grain) {
  std::set<std::thread::id> threads;
  spin_lock lock;
  std::vector<int> seen(static_cast<std::size_t>(n));
  co_await parallel_for(
      std::views::iota(0, n),
      [&](int i) {
        ++seen[static_cast<std::size_t>(i)];
        if (i < heavy_from || i >= heavy_to) return;
        computes(20'000);
        spin_guard held(lock);
        threads.insert(std::this_thread::get_id());
      },
      grain);
  EXPECT_EQ(seen, std::vector<int>(static_cast<std::size_t>(n), 1));
  co_return threads.size();
}
TEST(parallel_for, an_uneven_load_is_shared) {
  for (const unsigned workers : {2u, 4u}) {
    runtime rt({.workers = workers});
    for (const std::size_t grain : {0, 1, 16}) {
      for (const int heavy_from : {0, 9700, 19'700}) {
        // Until it was: who else runs on the machine may keep the helpers from coming in time.
        while (rt.block_on(threads_of_uneven(20'000, heavy_from, heavy_from + 300, grain)) < 2) {
        }
      }
    }
  }
}

task<long> nested(int n) {
  co_return co_await parallel_reduce(std::views::iota(0, n), 0L, std::plus<>(), [](int i) {
    return [](int m) -> task<long> {
      co_return co_await parallel_reduce(
          std::views::iota(0, m), 0L, std::plus<>(), [](int) { return 1 + computes(100); }, 5) -
          co_await parallel_reduce(std::views::iota(0, m), 0L, std::plus<>(),
                                   [](int) { return computes(100); });
    }(i);
  });
}
TEST(parallel_reduce, loops_in_loops) {
  EXPECT_EQ(block_on(nested(100)), 4950);
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    EXPECT_EQ(rt.block_on(nested(100)), 4950);
  }
}

// While an element waits, those behind it in its piece wait, and other pieces go on.
task<int> sleeps(int n) {
  int done = 0;
  co_await parallel_for(std::views::iota(0, n), [&](int) -> task<> {
    co_await sleep_for(10ms);
    ++done;
  });
  co_return done;
}
TEST(parallel_for, other_pieces_go_on_while_an_element_waits) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(sleeps(64)), 64);
  EXPECT_LT(rt.elapsed(), 640ms);
}

// --- Failures

task<std::string> outcome(auto make) {
  std::string said = "none";
  try {
    co_await make();
  } catch (const std::exception& e) {
    said = e.what();
  }
  co_return said;
}

TEST(parallel_for, a_failure_ends_the_loop) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    for (const std::size_t grain : {0, 1, 10}) {
      atomic<int> runs{0};
      const auto calls = [&]() -> task<> {
        co_await parallel_for(
            std::views::iota(0, 1'000'000),
            [&](int i) {
              runs.fetch_add(1, order::relaxed);
              if (i == 5) throw std::runtime_error("sixth");
              computes(1000);
            },
            grain);
      };
      EXPECT_EQ(rt.block_on(outcome(calls)), "sixth");
      const auto tasks = [&]() -> task<> {
        co_await parallel_for(
            std::views::iota(0, 1'000'000),
            [&](int i) -> task<> {
              runs.fetch_add(1, order::relaxed);
              if (i % 2 != 0) co_await yield_now();
              if (i == 5) throw std::runtime_error("sixth");
              computes(1000);
            },
            grain);
      };
      EXPECT_EQ(rt.block_on(outcome(tasks)), "sixth");
      EXPECT_LT(runs.load(order::relaxed), 1'000'000);
      if (workers == 1 && grain == 1) {
        EXPECT_LT(runs.load(order::relaxed), 1000);
      }
    }
  }
}

TEST(parallel_for, an_element_that_waits_in_the_first_piece_is_stopped_too) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(outcome([]() -> task<> {
    co_await parallel_for(std::views::iota(0, 2), [](int i) -> task<> {
      co_await sleep_for(i == 0 ? std::chrono::milliseconds(24h) : 10ms);
      throw std::runtime_error("second");
    });
  })),
            "second");
  EXPECT_EQ(rt.elapsed(), 10ms);
}

TEST(parallel_reduce, an_operator_may_throw) {
  runtime rt({.workers = 2});
  for (const std::size_t grain : {0, 1}) {
    EXPECT_EQ(rt.block_on(outcome([grain]() -> task<> {
      const int all = co_await parallel_reduce(
          std::views::iota(0, 1000), 0,
          [](int a, int b) {
            if (b == 500) throw std::runtime_error("op");
            return a + 0 * b;
          },
          [](int i) { return i; }, grain);
      static_cast<void>(all);
    })),
              "op");
  }
}

// --- Stopping

task<> never_ends(atomic<int>& begun, std::size_t grain) {
  co_await parallel_for(
      std::views::iota(0, 1'000'000'000),
      [&](int) {
        begun.store(1, order::relaxed);
        computes(1000);
      },
      grain);
}
TEST(parallel_for, a_stop_ends_a_loop_of_plain_calls) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    for (const std::size_t grain : {0, 1, 64}) {
      atomic<int> begun{0};
      auto job = rt.spawn(never_ends, std::ref(begun), grain);
      while (begun.load(order::relaxed) == 0) std::this_thread::yield();
      job.stop();
      const auto ended = rt.block_on([&]() -> task<bool> {
        auto o = co_await job.outcome();
        co_return o.stopped();
      }());
      EXPECT_TRUE(ended);
    }
  }
}

task<bool> sleepers_time_out() {
  const auto loop = []() -> task<> {
    co_await parallel_for(std::views::iota(0, 8), [](int) -> task<> { co_await sleep_for(24h); });
  };
  const auto r = co_await timeout(50ms, loop());
  co_return !r;
}
TEST(parallel_for, a_stop_reaches_the_elements_that_wait) {
  testing::virtual_runtime rt;
  EXPECT_TRUE(rt.block_on(sleepers_time_out()));
  EXPECT_EQ(rt.elapsed(), 50ms);
}

task<int> counts_in_a_shield(int n) {
  const auto loop = [n]() -> task<int> {
    const auto first = co_await catch_stop(sleep_for(24h));
    EXPECT_FALSE(first);
    const shield_scope shield;
    int calls = 0;
    co_await parallel_for(std::views::iota(0, n), [&](int) { ++calls; }, 1);
    co_return calls;
  };
  const auto r = co_await timeout(10ms, loop());
  co_return r ? *r : 0;
}
TEST(parallel_for, a_shield_holds) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(counts_in_a_shield(100)), 100);
}

#if WEFT_CENSUS
task<> scenario() {
  co_await parallel_for(std::views::iota(0, 6), [](int i) -> task<> {
    co_await sleep_for(std::chrono::milliseconds(i + 1));
    if (i % 2 != 0) co_await yield_now();
  });
  const int sum = co_await parallel_reduce(
      std::views::iota(0, 5), 0, std::plus<>(),
      [](int i) -> task<int> {
        co_await sleep_for(1ms);
        co_return i;
      },
      2);
  EXPECT_EQ(sum, 10);
  try {
    co_await parallel_for(std::views::iota(0, 6), [](int i) -> task<> {
      co_await sleep_for(std::chrono::milliseconds(6 - i));
      if (i == 3) throw std::runtime_error("fourth");
    });
  } catch (const std::runtime_error&) {
  }
  co_await yield_now();
}
TEST(parallel_for, stopped_at_every_await_nothing_is_left) {
  const auto seen = testing::cancel_everywhere(
      [](testing::virtual_runtime& rt) { return rt.spawn(scenario); }, [](bool) {});
  EXPECT_GT(seen.stopped, 10u);
}
#endif

task<> random_loop(std::uint64_t seed) {
  rng random(seed);
  const int n = static_cast<int>(random.below(3000));
  const std::size_t grain = random.below(20);
  const int failing = static_cast<int>(random.below(6000));
  const bool by_task = random.below(2) == 0;
  atomic<long> sum{0};
  const auto element = [&](int i) {
    if (i == failing) throw std::runtime_error("element");
    computes(i % 50 == 0 ? 2000 : 10);
    sum.fetch_add(i, order::relaxed);
  };
  const auto loop = [&]() -> task<> {
    if (by_task) {
      co_await parallel_for(
          std::views::iota(0, n),
          [&](int i) -> task<> {
            if (i % 13 == 0) co_await yield_now();
            element(i);
          },
          grain);
    } else {
      co_await parallel_for(std::views::iota(0, n), element, grain);
    }
  };
  try {
    const auto r = co_await timeout(std::chrono::microseconds(random.below(4000)), loop());
    if (r) {
      EXPECT_EQ(sum.load(order::relaxed), static_cast<long>(n) * (n - 1) / 2);
    }
  } catch (const std::runtime_error&) {
    EXPECT_LT(failing, n);
  }
}
TEST(parallel_for, loops_that_fail_and_are_stopped_leave_nothing) {
  rng seeds(test_support::seed());
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    for (int round = 0; round < 150; ++round) {
      auto job = rt.spawn(random_loop, seeds.next());
      rt.block_on(job);
    }
  }
}

}  // namespace
}  // namespace weft
