// when_all: results and their order, waits at the same time, failures, stops, on one and many workers.
#include "weft/together/when_all.hpp"

#include <gtest/gtest.h>

#include <array>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/ok.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

/// Notes the end of whatever has it.
class mark {
 public:
  explicit mark(bool& gone) noexcept : gone_(gone) {}
  ~mark() { gone_ = true; }
  mark(const mark&) = delete;
  mark& operator=(const mark&) = delete;

 private:
  bool& gone_;
};

task<int> gives(int v) { co_return v; }
task<> nothing(int& runs) {
  ++runs;
  co_return;
}
task<int&> reference(int& to) { co_return to; }
task<std::unique_ptr<int>> owned(int v) { co_return std::make_unique<int>(v); }
task<int> later(std::chrono::milliseconds d, int v) {
  co_await sleep_for(d);
  co_return v;
}
task<int> sleeps_for_ever(bool& destroyed) {
  const mark leaves(destroyed);
  co_await sleep_for(24h);
  co_return 1;
}
task<int> fails(const char* why) {
  throw std::runtime_error(why);
  co_return 0;
}
task<int> fails_later(std::chrono::milliseconds d, const char* why) {
  co_await sleep_for(d);
  throw std::runtime_error(why);
  co_return 0;
}

// --- Results

task<std::string> all_kinds() {
  int runs = 0;
  int target = 5;
  auto results =
      co_await when_all(nothing(runs), gives(2), yield_now(), reference(target), owned(7));
  static_assert(
      std::is_same_v<decltype(results),
                     std::tuple<std::monostate, int, std::monostate, int&, std::unique_ptr<int>>>);
  std::get<3>(results) = 6;
  co_return std::to_string(runs) + " " + std::to_string(std::get<1>(results)) + " " +
      std::to_string(target) + " " + std::to_string(*std::get<4>(results));
}
TEST(when_all, gives_what_the_operands_give) {
  EXPECT_EQ(block_on(all_kinds()), "1 2 6 7");
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    EXPECT_EQ(rt.block_on(all_kinds()), "1 2 6 7");
  }
}

task<int> none_and_one() {
  const std::tuple<> none = co_await when_all();
  static_cast<void>(none);
  auto [only] = co_await when_all(gives(3));
  co_return only;
}
TEST(when_all, no_operand_and_one) { EXPECT_EQ(block_on(none_and_one()), 3); }

task<int> handles() {
  auto first = spawn(later, 20ms, 1);
  auto second = spawn(later, 10ms, 2);
  auto [a, b, c] = co_await when_all(first, second, sleep_for(5ms));
  static_cast<void>(c);
  co_return 10 * a + b;
}
TEST(when_all, takes_handles_and_timers) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(handles()), 12);
  EXPECT_EQ(rt.elapsed(), 20ms);
}

task<int> inside_others() {
  auto [inner, limited, caught] = co_await when_all(
      when_all(gives(1), later(3ms, 2)), timeout(1s, later(5ms, 3)), catch_stop(later(4ms, 4)));
  co_return 1000 * std::get<0>(inner) + 100 * std::get<1>(inner) + 10 * *limited + *caught;
}
TEST(when_all, combinators_are_operands) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(inside_others()), 1234);
  EXPECT_EQ(rt.elapsed(), 5ms);
}

task<result<int>> refused() {
  co_return std::unexpected(make_error_code(std::errc::not_supported));
}
task<result<int>> first_refused() {
  auto [a, b] = co_await when_all(refused(), later(10ms, 1));
  EXPECT_EQ(b, 1);
  co_return a;
}
TEST(when_all, a_result_with_an_error_is_a_value) {
  testing::virtual_runtime rt;
  EXPECT_FALSE(rt.block_on(first_refused()).has_value());
}

// --- At the same time

task<> three_sleeps(std::vector<int>& log) {
  const auto sleeper = [&log](std::chrono::milliseconds d, int name) -> task<> {
    log.push_back(name);
    co_await sleep_for(d);
    log.push_back(name + 10);
  };
  co_await when_all(sleeper(30ms, 1), sleeper(10ms, 2), sleeper(20ms, 3));
}
TEST(when_all, takes_as_long_as_the_longest_and_begins_in_order) {
  testing::virtual_runtime rt;
  std::vector<int> log;
  rt.block_on(three_sleeps(log));
  EXPECT_EQ(rt.elapsed(), 30ms);
  EXPECT_EQ(log, (std::vector<int>{1, 2, 3, 12, 13, 11}));
}

task<> waits_for(bool& flag) {
  while (!flag) co_await yield_now();
}
task<> sets(bool& flag) {
  flag = true;
  co_return;
}
task<> first_needs_second() {
  bool flag = false;
  co_await when_all(waits_for(flag), sets(flag));
}
TEST(when_all, an_operand_may_wait_for_a_later_one) {
  block_on(first_needs_second());
  testing::virtual_runtime rt;
  rt.block_on(first_needs_second());
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

TEST(when_all, a_failure_stops_the_others_wherever_it_is) {
  for (const int failing : {0, 1, 2}) {
    testing::virtual_runtime rt;
    std::array<bool, 3> destroyed{};
    const auto operand = [&](int i) {
      return i == failing ? fails_later(10ms, "late") : sleeps_for_ever(destroyed[i]);
    };
    EXPECT_EQ(rt.block_on(outcome(
                  [&]() -> task<> { co_await when_all(operand(0), operand(1), operand(2)); })),
              "late");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(destroyed[i], i != failing) << failing;
    EXPECT_EQ(rt.elapsed(), 10ms);
  }
}

TEST(when_all, operands_that_have_not_begun_do_not_begin) {
  int runs = 0;
  const auto all = [&]() -> task<> {
    co_await when_all(fails("first"), nothing(runs), nothing(runs));
  };
  EXPECT_EQ(block_on(outcome(all)), "first");
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(outcome(all)), "first");
  EXPECT_EQ(runs, 0);
}

TEST(when_all, the_first_failure_in_time_is_rethrown) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(outcome([]() -> task<> {
    co_await when_all(fails_later(20ms, "second"), fails_later(10ms, "first"));
  })),
            "first");
}

task<> cleans_up(bool& done) {
  const auto r = co_await catch_stop(sleep_for(24h));
  EXPECT_FALSE(r);
  const shield_scope shield;
  co_await sleep_for(50ms);
  done = true;
}
TEST(when_all, the_end_of_the_others_is_awaited) {
  testing::virtual_runtime rt;
  bool done = false;
  EXPECT_EQ(rt.block_on(outcome([&]() -> task<> {
    co_await when_all(cleans_up(done), fails_later(10ms, "late"));
  })),
            "late");
  EXPECT_TRUE(done);
  EXPECT_EQ(rt.elapsed(), 60ms);
}

// --- Stopping

task<bool> times_out(bool& a, bool& b) {
  const auto r = co_await timeout(50ms, when_all(sleeps_for_ever(a), sleeps_for_ever(b)));
  co_return !r;
}
TEST(when_all, a_stop_reaches_all_operands) {
  testing::virtual_runtime rt;
  bool a = false, b = false;
  EXPECT_TRUE(rt.block_on(times_out(a, b)));
  EXPECT_TRUE(a);
  EXPECT_TRUE(b);
  EXPECT_EQ(rt.elapsed(), 50ms);
}

task<int> shielded(int v) {
  const shield_scope shield;
  co_await sleep_for(100ms);
  co_return v;
}
task<int> stopped_in_vain() {
  const auto r = co_await timeout(50ms, when_all(shielded(1), shielded(2)));
  co_return r ? 10 * std::get<0>(*r) + std::get<1>(*r) : 0;
}
TEST(when_all, completes_if_all_operands_complete_in_spite_of_a_stop) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(stopped_in_vain()), 12);
}

task<bool> stopped_before(bool& begun) {
  const auto all = [&]() -> task<> {
    const auto first = co_await catch_stop(sleep_for(24h));
    EXPECT_FALSE(first);
    co_await when_all(sets(begun), sets(begun));
    ADD_FAILURE();
  };
  const auto r = co_await timeout(10ms, all());
  co_return !r;
}
TEST(when_all, a_job_that_was_stopped_before_begins_no_operand) {
  testing::virtual_runtime rt;
  bool begun = false;
  EXPECT_TRUE(rt.block_on(stopped_before(begun)));
  EXPECT_FALSE(begun);
}

#if WEFT_CENSUS
task<> scenario() {
  const std::vector<int> some{3, 1, 2};
  co_await when_all(later(10ms, 1), when_all(yield_now(), later(1ms, 2)), sleep_for(5ms));
  const auto doubled = co_await when_all(some, [](int v) { return later(1ms * v, 2 * v); });
  EXPECT_EQ(doubled, (std::vector<int>{6, 2, 4}));
  try {
    co_await when_all(later(10ms, 1), fails_later(5ms, "late"));
  } catch (const std::runtime_error&) {
  }
  co_await yield_now();
}
TEST(when_all, stopped_at_every_await_nothing_is_left) {
  const auto seen = testing::cancel_everywhere(
      [](testing::virtual_runtime& rt) { return rt.spawn(scenario); }, [](bool) {});
  EXPECT_GT(seen.stopped, 10u);
}
#endif

// --- Of a range

task<std::vector<std::string>> names(std::list<int>& of) {
  co_return co_await when_all(of, [](int v) -> task<std::string> {
    co_await sleep_for(std::chrono::milliseconds(100 - v));
    co_return std::to_string(v);
  });
}
TEST(when_all, of_a_range_gives_results_in_its_order) {
  testing::virtual_runtime rt;
  std::list<int> of{1, 5, 3};
  EXPECT_EQ(rt.block_on(names(of)), (std::vector<std::string>{"1", "5", "3"}));
  EXPECT_EQ(rt.elapsed(), 99ms);
}

task<std::size_t> empty_and_one() {
  const std::vector<int> none;
  const auto of_none = co_await when_all(none, gives);
  const auto of_one = co_await when_all(std::views::single(1), gives);
  co_return of_none.size() + 10 * of_one.size();
}
TEST(when_all, of_an_empty_range_and_of_one) { EXPECT_EQ(block_on(empty_and_one()), 10u); }

task<long> many(int n) {
  const auto values = co_await when_all(std::views::iota(0, n), [](int i) -> task<long> {
    if (i % 3 == 0) co_await yield_now();
    co_return i;
  });
  long sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(values[i], static_cast<long>(i));
    sum += values[i];
  }
  co_return sum;
}
TEST(when_all, of_a_large_range) {
  EXPECT_EQ(block_on(many(1000)), 499'500);
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    EXPECT_EQ(rt.block_on(many(20'000)), 199'990'000);
  }
}

// What f is called with is there until the end, also where the range makes it.
task<std::string> of_made_elements() {
  const auto texts = std::views::iota(0, 3) | std::views::transform([](int i) {
                       return std::string(40, static_cast<char>('a' + i));
                     });
  const auto ends = co_await when_all(texts, [](const std::string& s) -> task<char> {
    co_await yield_now();
    co_return s.back();
  });
  co_return std::string(ends.begin(), ends.end());
}
TEST(when_all, elements_live_as_long_as_their_operands) {
  EXPECT_EQ(block_on(of_made_elements()), "abc");
}

task<int> of_move_only_and_nothing(std::vector<join_handle<int>>& jobs) {
  const auto owners = co_await when_all(std::views::iota(1, 4), owned);
  int runs = 0;
  const std::array<int, 2> twice{};
  static_assert(std::is_void_v<
                await_result_t<decltype(when_all(twice, [&runs](int) { return nothing(runs); }))>>);
  co_await when_all(twice, [&runs](int) { return nothing(runs); });
  const auto joined = co_await when_all(jobs, [](join_handle<int>& j) -> auto& { return j; });
  co_return 100 * *owners[2] + 10 * runs + joined[1];
}
task<int> of_handles() {
  std::vector<join_handle<int>> jobs;
  jobs.push_back(spawn(gives, 4));
  jobs.push_back(spawn(gives, 5));
  co_return co_await of_move_only_and_nothing(jobs);
}
TEST(when_all, of_a_range_gives_what_can_only_be_moved_and_takes_handles) {
  runtime rt({.workers = 1});
  EXPECT_EQ(rt.block_on(of_handles()), 325);
}

TEST(when_all, of_a_range_fails_with_the_first) {
  testing::virtual_runtime rt;
  std::array<bool, 4> destroyed{};
  EXPECT_EQ(rt.block_on(outcome([&]() -> task<> {
    co_await when_all(std::views::iota(0, 4), [&](int i) {
      return i == 2 ? fails_later(10ms, "third") : sleeps_for_ever(destroyed[i]);
    });
  })),
            "third");
  EXPECT_EQ(destroyed, (std::array<bool, 4>{true, true, false, true}));
}

TEST(when_all, a_callable_that_throws_begins_nothing) {
  int runs = 0;
  const auto all = [&]() -> task<> {
    co_await when_all(std::views::iota(0, 3), [&](int i) {
      if (i == 2) throw std::runtime_error("no task");
      return nothing(runs);
    });
  };
  EXPECT_EQ(block_on(outcome(all)), "no task");
  EXPECT_EQ(block_on(outcome([&]() -> task<> { co_await when_all(all(), nothing(runs)); })),
            "no task");
  EXPECT_EQ(runs, 0);
}

// --- All at once

task<long> tree(std::uint64_t seed, int depth) {
  rng random(seed);
  if (depth == 0) {
    if (random.below(100) == 0) throw std::runtime_error("leaf");
    if (random.below(3) == 0) co_await yield_now();
    if (random.below(5) == 0) co_await sleep_for(std::chrono::microseconds(random.below(50)));
    co_return 1;
  }
  const std::uint64_t a = random.next(), b = random.next(), c = random.next();
  if (random.below(2) == 0) {
    auto [x, y, z] = co_await when_all(tree(a, depth - 1), tree(b, depth - 1), tree(c, depth - 1));
    co_return x + y + z;
  }
  const std::array<std::uint64_t, 3> seeds{a, b, c};
  const auto all =
      co_await when_all(seeds, [depth](std::uint64_t s) { return tree(s, depth - 1); });
  co_return all[0] + all[1] + all[2];
}
task<> stopped_or_failed(std::uint64_t seed) {
  rng random(seed);
  try {
    const auto r = co_await timeout(std::chrono::microseconds(random.below(3000)),
                                    tree(random.next(), 1 + static_cast<int>(random.below(5))));
    if (r) {
      EXPECT_TRUE(*r == 3 || *r == 9 || *r == 27 || *r == 81 || *r == 243) << *r;
    }
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "leaf");
  }
}
TEST(when_all, trees_that_fail_and_are_stopped_leave_nothing) {
  rng seeds(test_support::seed());
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    for (int round = 0; round < 100; ++round) {
      auto job = rt.spawn(stopped_or_failed, seeds.next());
      rt.block_on(job);
    }
  }
}

}  // namespace
}  // namespace weft
