// fork_join: in place, on other workers, with suspensions in the branches, failing, stopped.
#include "weft/together/fork_join.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

task<long> fib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await fork_join([n] { return fib(n - 1); }, [n] { return fib(n - 2); });
  co_return a + b;
}

TEST(fork_join, gives_what_the_branches_give) {
  runtime rt({.workers = 1});
  EXPECT_EQ(rt.block_on(fib(15)), 610);
}

task<> names_itself_while_branches_are_stolen() {
  const auto first = [] {
    this_task::set_name("first");
    return fib(6);
  };
  const auto second = [] { return fib(6); };
  auto [a, b] = co_await fork_join(first, second);
  EXPECT_EQ(a + b, 16);
}
/// A thief makes its job while the one that it takes from gets a name (under tsan).
TEST(fork_join, job_may_be_named_while_its_branches_are_stolen) {
  runtime rt({.workers = 2});
  for (int i = 0; i < 300; ++i) rt.block_on(rt.spawn(names_itself_while_branches_are_stolen));
}

TEST(fork_join, works_without_a_runtime) { EXPECT_EQ(block_on(fib(10)), 55); }

TEST(fork_join, many_workers_give_the_same) {
  for (const unsigned workers : {2u, 3u, 8u}) {
    runtime rt({.workers = workers});
    auto job = rt.spawn(fib, 20);
    EXPECT_EQ(rt.block_on(job), 6765) << workers;
  }
}

task<> nothing(int& count) {
  ++count;
  co_return;
}
task<int&> reference(int& to) { co_return to; }
task<std::unique_ptr<int>> owned(int v) { co_return std::make_unique<int>(v); }

task<std::string> all_kinds() {
  int count = 0;
  int target = 5;
  auto results =
      co_await fork_join([&] { return nothing(count); }, [] { return 2; }, [&] { ++count; },
                         [&] { return reference(target); }, [] { return owned(7); });
  static_assert(
      std::is_same_v<decltype(results),
                     std::tuple<std::monostate, int, std::monostate, int&, std::unique_ptr<int>>>);
  std::get<3>(results) = 6;
  co_return std::to_string(count) + " " + std::to_string(std::get<1>(results)) + " " +
      std::to_string(target) + " " + std::to_string(*std::get<4>(results));
}

TEST(fork_join, branches_of_all_kinds) {
  EXPECT_EQ(block_on(all_kinds()), "2 2 6 7");
  for (const unsigned workers : {1u, 4u}) {
    runtime rt({.workers = workers});
    EXPECT_EQ(rt.block_on(all_kinds()), "2 2 6 7");
  }
}

task<int> one_branch() {
  auto [only] = co_await fork_join([] { return owned(3); });
  co_return *only;
}
TEST(fork_join, one_branch_is_a_call) { EXPECT_EQ(block_on(one_branch()), 3); }

// --- Branches that wait

task<> waits_for(bool& flag, std::vector<int>& log, int name) {
  log.push_back(name);
  while (!flag) co_await yield_now();
  log.push_back(name + 10);
}
task<> sets(bool& flag, std::vector<int>& log, int name) {
  log.push_back(name);
  flag = true;
  co_return;
}
task<> first_needs_second(std::vector<int>& log) {
  bool flag = false;
  auto results = co_await fork_join([&] { return waits_for(flag, log, 1); },
                                    [&] { return sets(flag, log, 2); });
  static_cast<void>(results);
}

// A branch that waits lets the others go on, whoever runs them.
TEST(fork_join, a_branch_may_wait_for_a_later_one) {
  const std::vector<int> expected{1, 2, 11};
  {
    runtime rt({.workers = 1});
    std::vector<int> log;
    auto job = rt.spawn(first_needs_second, std::ref(log));
    rt.block_on(job);
    EXPECT_EQ(log, expected);
  }
  std::vector<int> log;
  block_on(first_needs_second(log));  // where there is no deque
  std::vector<int> sorted = log;
  EXPECT_EQ(log.size(), 3u);
}

task<> sleep_and_log(std::chrono::milliseconds d, std::vector<int>& log, int name) {
  co_await sleep_for(d);
  log.push_back(name);
}
task<std::int64_t> three_sleeps(std::vector<int>& log) {
  const auto begin = now();
  auto results = co_await fork_join([&] { return sleep_and_log(30ms, log, 3); },
                                    [&] { return sleep_and_log(10ms, log, 1); },
                                    [&] { return sleep_and_log(20ms, log, 2); });
  static_cast<void>(results);
  co_return (now() - begin) / 1ms;
}
TEST(fork_join, waiting_branches_wait_at_the_same_time) {
  testing::virtual_runtime rt;
  std::vector<int> log;
  EXPECT_EQ(rt.block_on(three_sleeps(log)), 30);
  EXPECT_EQ(log, (std::vector<int>{1, 2, 3}));
}

// --- Failures

task<int> fails(const char* why) {
  throw std::runtime_error(why);
  co_return 0;
}
task<int> counts(int& runs) {
  ++runs;
  co_return runs;
}
template <class F, class G>
task<std::string> outcome_of(F f, G g) {
  std::string said = "none";
  try {
    auto results = co_await fork_join(f, g);
    static_cast<void>(results);
  } catch (const std::exception& e) {
    said = e.what();
  }
  co_return said;
}

TEST(fork_join, an_exception_keeps_branches_from_beginning) {
  runtime rt({.workers = 1});
  int runs = 0;
  auto f = [] { return fails("first"); };
  auto g = [&] { return counts(runs); };
  auto job = rt.spawn([&] { return outcome_of(f, g); });
  EXPECT_EQ(rt.block_on(job), "first");
  EXPECT_EQ(runs, 0);
  auto other = rt.spawn([&] { return outcome_of(g, f); });
  EXPECT_EQ(rt.block_on(other), "first");
  EXPECT_EQ(runs, 1);
}

TEST(fork_join, a_callable_may_throw_by_itself) {
  const auto throws = []() -> task<int> { throw std::runtime_error("no task"); };
  const auto value = []() -> int { throw std::runtime_error("no value"); };
  int runs = 0;
  const auto g = [&] { return counts(runs); };
  for (const unsigned workers : {1u, 3u}) {
    runtime rt({.workers = workers});
    auto a = rt.spawn([&] { return outcome_of(throws, g); });
    EXPECT_EQ(rt.block_on(a), "no task");
    auto b = rt.spawn([&] { return outcome_of(g, value); });
    EXPECT_EQ(rt.block_on(b), "no value");
    auto c = rt.spawn([&] { return outcome_of(throws, value); });
    const std::string said = rt.block_on(c);
    EXPECT_TRUE(said == "no task" || said == "no value") << said;
  }
  EXPECT_EQ(block_on(outcome_of(g, throws)), "no task");
}

task<int> sleeps_then_fails(std::chrono::milliseconds d) {
  co_await sleep_for(d);
  throw std::runtime_error("late");
  co_return 0;
}
task<int> sleeps_for_ever(bool& destroyed) {
  struct mark {
    bool& destroyed;
    ~mark() { destroyed = true; }
  } leaves{destroyed};
  co_await sleep_for(24h);
  co_return 1;
}

// The first fails while the second is suspended in a job of its own: that is stopped and awaited.
TEST(fork_join, a_failure_stops_what_others_have_begun) {
  testing::virtual_runtime rt;
  bool destroyed = false;
  auto f = [] { return sleeps_then_fails(10ms); };
  auto g = [&] { return sleeps_for_ever(destroyed); };
  EXPECT_EQ(rt.block_on(outcome_of(f, g)), "late");
  EXPECT_TRUE(destroyed);
}

// --- Stopping

task<int> two_sleepers(bool& a, bool& b) {
  auto [x, y] =
      co_await fork_join([&] { return sleeps_for_ever(a); }, [&] { return sleeps_for_ever(b); });
  co_return x + y;
}
task<bool> times_out(bool& a, bool& b) {
  const auto r = co_await timeout(50ms, two_sleepers(a, b));
  co_return !r;
}
TEST(fork_join, a_stop_reaches_all_branches) {
  testing::virtual_runtime rt;
  bool a = false, b = false;
  EXPECT_TRUE(rt.block_on(times_out(a, b)));
  EXPECT_TRUE(a);
  EXPECT_TRUE(b);
}

task<int> done_at_once() { co_return 1; }
task<int> waits_for_the_second(bool& b) {
  auto [x, y] =
      co_await fork_join([] { return done_at_once(); }, [&] { return sleeps_for_ever(b); });
  co_return x + y;
}
task<bool> last_in_place(bool& b) {
  const auto r = co_await timeout(50ms, waits_for_the_second(b));
  co_return !r;
}
TEST(fork_join, a_stop_reaches_the_branch_that_runs_last_in_place) {
  testing::virtual_runtime rt;
  bool b = false;
  EXPECT_TRUE(rt.block_on(last_in_place(b)));
  EXPECT_TRUE(b);
}

#if WEFT_CENSUS
task<> scenario() {
  auto results = co_await fork_join(
      []() -> task<int> {
        co_await sleep_for(10ms);
        co_return 1;
      },
      []() -> task<int> {
        co_await sleep_for(5ms);
        auto inner = co_await fork_join([]() -> task<> { co_await yield_now(); },
                                        []() -> task<> { co_await sleep_for(1ms); });
        static_cast<void>(inner);
        co_return 2;
      },
      [] { return 3; });
  static_cast<void>(results);
  co_await yield_now();
}
TEST(fork_join, stopped_at_every_await_nothing_is_left) {
  const auto seen = testing::cancel_everywhere(
      [](testing::virtual_runtime& rt) { return rt.spawn(scenario); }, [](bool) {});
  EXPECT_GT(seen.stopped, 5u);
}
#endif

// --- All at once

/// A tree of random shape whose branches sometimes wait, sometimes move to other workers, and
/// sometimes fail.
task<long> tree(std::uint64_t seed, int depth) {
  rng random(seed);
  if (depth == 0) {
    switch (random.below(8)) {
      case 0:
        co_await yield_now();
        break;
      case 1:
        co_await sleep_for(std::chrono::microseconds(random.below(50)));
        break;
      default:
        break;
    }
    co_return 1;
  }
  const std::uint64_t a = random.next(), b = random.next(), c = random.next();
  if (random.below(2) == 0) co_await yield_now();
  auto [x, y, z] =
      co_await fork_join([=] { return tree(a, depth - 1); }, [=] { return tree(b, depth - 1); },
                         [=] { return tree(c, depth - 1); });
  co_return x + y + z;
}
TEST(fork_join, trees_of_random_shape_on_many_workers) {
  rng seeds(test_support::seed());
  for (int round = 0; round < 20; ++round) {
    runtime rt({.workers = 4});
    auto job = rt.spawn(tree, seeds.next(), 6);
    EXPECT_EQ(rt.block_on(job), 729);
  }
}

task<long> failing_tree(std::uint64_t seed, int depth) {
  rng random(seed);
  if (depth == 0) {
    if (random.below(200) == 0) throw std::runtime_error("leaf");
    if (random.below(4) == 0) co_await yield_now();
    co_return 1;
  }
  const std::uint64_t a = random.next(), b = random.next();
  auto [x, y] = co_await fork_join([=] { return failing_tree(a, depth - 1); },
                                   [=] { return failing_tree(b, depth - 1); });
  co_return x + y;
}
task<> stopped_or_failed(std::uint64_t seed) {
  rng random(seed);
  try {
    const auto r = co_await timeout(std::chrono::microseconds(random.below(2000)),
                                    failing_tree(random.next(), 9));
    EXPECT_TRUE(!r || *r == 512);
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "leaf");
  }
}
TEST(fork_join, trees_that_fail_and_are_stopped_leave_nothing) {
  rng seeds(test_support::seed());
  runtime rt({.workers = 4});
  for (int round = 0; round < 200; ++round) {
    auto job = rt.spawn(stopped_or_failed, seeds.next());
    rt.block_on(job);
  }
}

// Depth costs frames, not stack.
task<long> deep(int n) {
  if (n == 0) co_return 0;
  auto [a, b] = co_await fork_join([n] { return deep(n - 1); }, [] { return 1; });
  co_return a + b;
}
TEST(fork_join, a_hundred_thousand_deep) {
  runtime rt({.workers = 2});
  auto job = rt.spawn(deep, 100'000);
  EXPECT_EQ(rt.block_on(job), 100'000);
}

task<long> loops(int n) {
  long sum = 0;
  for (int i = 0; i < n; ++i) {
    auto [a, b] = co_await fork_join([] { return done_at_once(); }, [] { return done_at_once(); });
    sum += a + b;
  }
  co_return sum;
}
TEST(fork_join, a_million_in_a_loop) {
  runtime rt({.workers = 1});
  auto job = rt.spawn(loops, 1'000'000);
  EXPECT_EQ(rt.block_on(job), 2'000'000);
}

}  // namespace
}  // namespace weft
