// scope: ends, failures, stops, clean-up, limits, on one and many workers.
#include "weft/together/scope.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

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

task<> sleeps_for_ever(bool& destroyed) {
  const mark leaves(destroyed);
  co_await sleep_for(24h);
}
task<> fails(const char* why) {
  throw std::runtime_error(why);
  co_return;
}
task<> fails_later(std::chrono::milliseconds d, const char* why) {
  co_await sleep_for(d);
  throw std::runtime_error(why);
}
task<result<int>> refused() {
  co_return std::unexpected(make_error_code(std::errc::not_supported));
}
task<std::string> outcome_of(auto make) {
  std::string said = "none";
  try {
    co_await make();
  } catch (const error& e) {
    said = e.code().message();
  } catch (const std::exception& e) {
    said = e.what();
  }
  co_return said;
}

// --- The end

task<int> counts(int n) {
  atomic<int> ran{0};
  co_await scope([&](scope_ref s) -> task<> {
    for (int i = 0; i < n; ++i) {
      s.spawn(
          [&ran](int by) -> task<> {
            if (by % 3 == 0) co_await yield_now();
            ran.fetch_add(1, order::relaxed);
          },
          i);
    }
    co_return;
  });
  co_return ran.load(order::relaxed);
}
TEST(scope, ends_when_all_children_have_ended) {
  EXPECT_EQ(block_on(counts(100)), 100);
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    EXPECT_EQ(rt.block_on(counts(20'000)), 20'000);
  }
}

task<> without_children() {
  co_await scope([](scope_ref) -> task<> { co_return; });
}
TEST(scope, without_children_ends_with_its_body) { block_on(without_children()); }

task<std::vector<int>> borrows() {
  std::vector<int> log;
  co_await scope([&](scope_ref s) -> task<> {
    s.spawn([&]() -> task<> {
      co_await sleep_for(20ms);
      log.push_back(2);
    });
    s.spawn([&] { log.push_back(0); });
    co_await sleep_for(10ms);
    log.push_back(1);
  });
  log.push_back(3);
  co_return log;
}
TEST(scope, children_use_what_the_awaiting_task_has) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(borrows()), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(rt.elapsed(), 20ms);
}

task<std::string> gives_value() {
  const int n = co_await scope([](scope_ref) -> task<int> { co_return 7; });
  auto owned = co_await scope([](scope_ref s) -> task<std::unique_ptr<int>> {
    s.spawn([] { return 3; });  // dropped
    co_return std::make_unique<int>(5);
  });
  const auto given = co_await scope([](scope_ref) -> task<result<int>> { co_return 1; });
  co_return std::to_string(n) + std::to_string(*owned) + std::to_string(*given);
}
TEST(scope, gives_what_its_body_gives) { EXPECT_EQ(block_on(gives_value()), "751"); }

/// Each child spawns two more from wherever it runs.
task<> grows(scope_ref s, int depth, atomic<int>& leaves) {
  if (depth == 0) {
    leaves.fetch_add(1, order::relaxed);
    co_return;
  }
  s.spawn(grows, s, depth - 1, std::ref(leaves));
  if (depth % 3 == 0) co_await yield_now();
  s.spawn(grows, s, depth - 1, std::ref(leaves));
}
task<int> grown(int depth) {
  atomic<int> leaves{0};
  co_await scope([&](scope_ref s) { return grows(s, depth, leaves); });
  co_return leaves.load(order::relaxed);
}
TEST(scope, children_spawn_into_it_from_any_worker) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    EXPECT_EQ(rt.block_on(grown(13)), 8192);
  }
}

task<> branches_spawn(atomic<int>& ran) {
  co_await scope([&](scope_ref s) -> task<> {
    const auto spawner = [&]() -> task<> {
      for (int i = 0; i < 100; ++i) s.spawn([&ran] { ran.fetch_add(1, order::relaxed); });
      co_return;
    };
    co_await fork_join(spawner, spawner);
    co_await when_all(spawner(), spawner());
  });
}
TEST(scope, branches_of_the_body_spawn_into_it) {
  for (const unsigned workers : {1u, 2u}) {
    runtime rt({.workers = workers});
    atomic<int> ran{0};
    rt.block_on(branches_spawn(ran));
    EXPECT_EQ(ran.load(order::relaxed), 400);
  }
}

task<> with_options(std::vector<std::string>& log) {
  co_await scope([&](scope_ref s) -> task<> {
    s.spawn(spawn_options{.name = "low", .priority = priority::background},
            [&] { log.push_back(this_task::name()); });
    s.spawn(spawn_options{.name = "high", .priority = priority::high, .worker = 0},
            [&] { log.push_back(this_task::name()); });
    co_return;
  });
}
TEST(scope, children_have_names_priorities_and_workers) {
  // One after the other is the point, so nobody takes the worker from who spawns them.
  runtime rt({.workers = 1, .preempt_after = 0us});
  std::vector<std::string> log;
  rt.block_on(with_options(log));
  EXPECT_EQ(log, (std::vector<std::string>{"high", "low"}));
}

TEST(scope, a_child_s_captures_are_gone_when_it_has_returned) {
  const auto held = std::make_shared<int>(1);
  const auto all = [&]() -> task<long> {
    co_await scope([&](scope_ref s) -> task<> {
      s.spawn([](std::shared_ptr<int>) -> task<> { co_await yield_now(); }, held);
      auto owner = [held]() -> task<> { co_return; };
      s.spawn(std::move(owner));
      co_return;
    });
    co_return held.use_count();
  };
  EXPECT_EQ(block_on(all()), 1);
}

// --- Failures

TEST(scope, the_first_failure_stops_the_others_and_is_thrown_as_it_was) {
  testing::virtual_runtime rt;
  bool body = false, child = false;
  EXPECT_EQ(rt.block_on(outcome_of([&]() -> task<> {
    co_await scope([&](scope_ref s) -> task<> {
      s.spawn(sleeps_for_ever, std::ref(child));
      s.spawn(fails_later, 10ms, "late");
      co_await sleeps_for_ever(body);
    });
  })),
            "late");
  EXPECT_TRUE(body);
  EXPECT_TRUE(child);
  EXPECT_EQ(rt.elapsed(), 10ms);
}

TEST(scope, a_failing_body_stops_the_children) {
  testing::virtual_runtime rt;
  bool waiting = false;
  int begun = 0;
  EXPECT_EQ(rt.block_on(outcome_of([&]() -> task<> {
    co_await scope([&](scope_ref s) -> task<> {
      s.spawn(sleeps_for_ever, std::ref(waiting));
      co_await yield_now();
      s.spawn([&] { ++begun; });
      co_await fails("body");
    });
  })),
            "body");
  EXPECT_TRUE(waiting);
  EXPECT_EQ(begun, 0);
  EXPECT_EQ(rt.elapsed(), 0ms);
}

TEST(scope, a_body_that_is_no_coroutine_may_throw) {
  EXPECT_EQ(block_on(outcome_of([]() -> task<> {
              co_await scope([](scope_ref) -> task<> { throw std::runtime_error("no task"); });
            })),
            "no task");
}

TEST(scope, a_child_that_is_no_coroutine_may_throw) {
  EXPECT_EQ(block_on(outcome_of([]() -> task<> {
              co_await scope([](scope_ref s) -> task<> {
                s.spawn([] { throw std::runtime_error("call"); });
                co_await yield_now();
              });
            })),
            "call");
}

TEST(scope, an_error_of_a_child_is_a_failure) {
  EXPECT_EQ(block_on(outcome_of([]() -> task<> {
              co_await scope([](scope_ref s) -> task<> {
                s.spawn(refused);
                co_return;
              });
            })),
            make_error_code(std::errc::not_supported).message());
}

task<result<void>> error_as_value() {
  co_return co_await scope([](scope_ref s) -> task<result<void>> {
    s.spawn(refused);
    co_await sleep_for(24h);
    co_return result<void>();
  });
}
task<result<int>> error_of_body(bool& child) {
  co_return co_await scope([&](scope_ref s) -> task<result<int>> {
    s.spawn(sleeps_for_ever, std::ref(child));
    co_await yield_now();
    co_return co_await refused();
  });
}
TEST(scope, an_error_is_a_value_where_the_body_returns_a_result) {
  testing::virtual_runtime rt;
  const auto none = rt.block_on(error_as_value());
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error(), make_error_code(std::errc::not_supported));
  bool child = false;
  EXPECT_FALSE(rt.block_on(error_of_body(child)).has_value());
  EXPECT_TRUE(child);
}

TEST(scope, later_failures_are_given_to_who_wants_them) {
  testing::virtual_runtime rt;
  std::vector<std::exception_ptr> others;
  EXPECT_EQ(rt.block_on(outcome_of([&]() -> task<> {
    static_cast<void>(co_await scope(scope_options{.others = &others}, [&](scope_ref s) -> task<> {
      s.spawn([]() -> task<> {
        const shield_scope until_the_end;
        co_await sleep_for(20ms);
        throw std::runtime_error("second");
      });
      s.spawn([]() -> task<result<int>> {
        const shield_scope until_the_end;
        co_await sleep_for(30ms);
        co_return co_await refused();
      });
      s.spawn(fails_later, 10ms, "first");
      co_return;
    }));
  })),
            "first");
  ASSERT_EQ(others.size(), 2u);
  EXPECT_THROW(std::rethrow_exception(others[0]), std::runtime_error);
  EXPECT_THROW(std::rethrow_exception(others[1]), error);
  EXPECT_EQ(rt.elapsed(), 30ms);
}

// --- Stops

TEST(scope, its_stop_ends_the_children_and_the_body_but_not_who_awaits) {
  testing::virtual_runtime rt;
  bool body = false, child = false, went_on = false;
  rt.block_on([&]() -> task<> {
    co_await scope([&](scope_ref s) -> task<> {
      s.spawn(sleeps_for_ever, std::ref(child));
      s.spawn([s]() -> task<> {
        co_await sleep_for(5ms);
        s.stop();
        EXPECT_TRUE(this_task::stop_requested());
      });
      co_await sleeps_for_ever(body);
    });
    co_await yield_now();
    went_on = true;
  }());
  EXPECT_TRUE(body && child && went_on);
  EXPECT_EQ(rt.elapsed(), 5ms);
}

TEST(scope, a_body_that_was_cut_off_owes_its_value) {
  const auto owes = []() -> task<> {
    static_cast<void>(co_await scope([](scope_ref s) -> task<int> {
      s.stop();
      co_await yield_now();
      co_await sleep_for(24h);
      co_return 1;
    }));
  };
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(outcome_of(owes)),
            std::make_error_code(std::errc::operation_canceled).message());
}

TEST(scope, children_that_come_after_a_stop_do_not_begin) {
  int begun = 0;
  block_on([&]() -> task<> {
    co_await scope([&](scope_ref s) -> task<> {
      s.spawn([&] { ++begun; });
      s.stop();
      s.spawn([&] { ++begun; });
      co_return;
    });
  }());
  EXPECT_EQ(begun, 0);
}

TEST(scope, a_child_that_computes_sees_the_stop) {
  runtime rt({.workers = 2});
  rt.block_on(rt.spawn([]() -> task<> {
    atomic<bool> begun{false};
    co_await scope([&](scope_ref s) -> task<> {
      s.spawn([&] {
        begun.store(true, order::release);
        while (!this_task::stop_requested()) {
        }
      });
      while (!begun.load(order::acquire)) co_await yield_now();
      s.stop();
    });
  }));
}

task<> stopped_outside(bool& body, bool& child, bool& after) {
  co_await scope([&](scope_ref s) -> task<> {
    s.spawn(sleeps_for_ever, std::ref(child));
    co_await sleeps_for_ever(body);
  });
  after = true;
}
TEST(scope, a_stop_of_the_awaiting_job_goes_to_the_body_and_all_children) {
  testing::virtual_runtime rt;
  bool body = false, child = false, after = false;
  const auto limited = rt.block_on([&]() -> task<result<void>> {
    co_return co_await timeout(10ms, stopped_outside(body, child, after));
  }());
  EXPECT_FALSE(limited.has_value());
  EXPECT_TRUE(body && child);
  EXPECT_FALSE(after);
  EXPECT_EQ(rt.elapsed(), 10ms);
}

task<> slow_to_end(bool& ended) {
  const shield_scope until_the_end;
  co_await sleep_for(30ms);
  ended = true;
}
TEST(scope, the_ends_of_stopped_children_are_awaited) {
  testing::virtual_runtime rt;
  bool ended = false;
  const auto caught = rt.block_on([&]() -> task<bool> {
    const auto r = co_await timeout(10ms, [&]() -> task<> {
      co_await scope([&](scope_ref s) -> task<> {
        s.spawn(slow_to_end, std::ref(ended));
        co_await sleep_for(24h);
      });
    }());
    EXPECT_TRUE(ended);
    co_return !r.has_value();
  }());
  EXPECT_TRUE(caught);
  EXPECT_EQ(rt.elapsed(), 30ms);
}

TEST(scope, that_completed_all_the_same_is_not_reported_as_stopped) {
  testing::virtual_runtime rt;
  bool ended = false;
  const auto r = rt.block_on([&]() -> task<result<int>> {
    co_return co_await timeout(10ms, [&]() -> task<int> {
      co_return co_await scope([&](scope_ref s) -> task<int> {
        s.spawn(slow_to_end, std::ref(ended));
        co_return 4;
      });
    }());
  }());
  EXPECT_EQ(r.value_or(0), 4);
  EXPECT_TRUE(ended);
}

task<> nested(int depth, int& destroyed) {
  struct counts_end {
    int& n;
    explicit counts_end(int& of) noexcept : n(of) {}
    ~counts_end() { ++n; }
  };
  const counts_end leaves(destroyed);
  if (depth == 0) co_await sleep_for(24h);
  co_await scope([&](scope_ref s) -> task<> {
    s.spawn(nested, depth - 1, std::ref(destroyed));
    co_await nested(depth - 1, destroyed);
  });
}
TEST(scope, a_stop_goes_down_through_scopes_in_scopes) {
  testing::virtual_runtime rt;
  int destroyed = 0;
  static_cast<void>(rt.block_on(
      [&]() -> task<result<void>> { co_return co_await timeout(1s, nested(8, destroyed)); }()));
  EXPECT_EQ(destroyed, 511);
  EXPECT_EQ(rt.elapsed(), 1s);
}

TEST(scope, a_shutdown_ends_it) {
  bool body = false, child = false, after = false;
  {
    runtime rt({.workers = 2});
    atomic<bool> begun{false};
    rt.spawn([&]() -> task<> {
        co_await scope([&](scope_ref s) -> task<> {
          s.spawn(sleeps_for_ever, std::ref(child));
          begun.store(true, order::release);
          co_await sleeps_for_ever(body);
        });
        after = true;
      }).detach();
    while (!begun.load(order::acquire)) cpu_pause();
  }
  EXPECT_TRUE(body);
  EXPECT_FALSE(after);
}

// --- Time

TEST(scope, has_only_so_much_time) {
  testing::virtual_runtime rt;
  bool child = false;
  const auto r = rt.block_on([&]() -> task<result<void>> {
    co_return co_await scope(scope_options{.timeout = 10ms}, [&](scope_ref s) -> task<> {
      s.spawn(sleeps_for_ever, std::ref(child));
      co_return;
    });
  }());
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error(), make_error_code(errc::timed_out));
  EXPECT_TRUE(child);
  EXPECT_EQ(rt.elapsed(), 10ms);
}

TEST(scope, in_time_gives_its_value) {
  testing::virtual_runtime rt;
  const auto r = rt.block_on([&]() -> task<result<int>> {
    const auto body = [](scope_ref) -> task<int> {
      co_await sleep_for(5ms);
      co_return 3;
    };
    const auto unlimited = co_await scope(scope_options{}, body);
    const auto in_time = co_await scope(
        scope_options{.timeout = 10ms, .deadline = std::chrono::steady_clock::time_point(1h)},
        body);
    co_return *unlimited * 10 + *in_time;
  }());
  EXPECT_EQ(r.value_or(0), 33);
}

// --- Clean-up

task<> notes(std::vector<int>& log, int what) {
  co_await sleep_for(1ms);
  log.push_back(what);
}
TEST(on_exit, runs_after_all_children_the_last_one_first) {
  testing::virtual_runtime rt;
  std::vector<int> log;
  rt.block_on([&]() -> task<> {
    co_await scope([&](scope_ref s) -> task<> {
      co_await on_exit([&log] { return notes(log, 3); });
      s.on_exit(notes, std::ref(log), 2);
      s.spawn([&]() -> task<> {
        co_await on_exit([&log] { return notes(log, 1); });
        co_await sleep_for(10ms);
        log.push_back(0);
      });
      co_return;
    });
    log.push_back(4);
  }());
  EXPECT_EQ(log, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(rt.elapsed(), 13ms);
}

TEST(on_exit, is_shielded_and_runs_when_the_scope_was_stopped) {
  testing::virtual_runtime rt;
  std::vector<int> log;
  const auto r = rt.block_on([&]() -> task<result<void>> {
    co_return co_await timeout(5ms, [&]() -> task<> {
      co_await scope([&](scope_ref) -> task<> {
        co_await on_exit([&log] { return notes(log, 1); });
        co_await sleep_for(24h);
      });
      log.push_back(2);
    }());
  }());
  EXPECT_FALSE(r.has_value());
  EXPECT_EQ(log, (std::vector<int>{1}));
  EXPECT_EQ(rt.elapsed(), 6ms);
}

TEST(on_exit, a_failure_in_it_is_the_scope_s) {
  std::vector<int> log;
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(outcome_of([&]() -> task<> {
    co_await scope([&](scope_ref s) -> task<> {
      s.on_exit(notes, std::ref(log), 1);
      s.on_exit(fails, "clean-up");
      s.on_exit([]() -> task<> { throw std::runtime_error("later"); });
      co_return;
    });
  })),
            "later");
  EXPECT_EQ(log, (std::vector<int>{1}));
}

// --- Stops everywhere

#if WEFT_CENSUS
task<> scenario() {
  int exits = 0;
  bool child = false;
  try {
    const auto r = co_await scope(scope_options{.timeout = 40ms}, [&](scope_ref s) -> task<int> {
      s.on_exit([&exits]() -> task<> {
        co_await sleep_for(1ms);
        ++exits;
      });
      s.spawn([s]() -> task<> {
        co_await sleep_for(2ms);
        s.spawn([]() -> task<> { co_await yield_now(); });
        co_await scope([](scope_ref inner) -> task<> {
          inner.spawn([]() -> task<> { co_await sleep_for(1ms); });
          co_await yield_now();
        });
      });
      s.spawn(slow_to_end, std::ref(child));
      co_await when_all(sleep_for(1ms), yield_now());
      co_return 1;
    });
    EXPECT_TRUE(r.has_value());
    EXPECT_EQ(exits, 1);
    EXPECT_TRUE(child);
    co_await scope([&](scope_ref s) -> task<> {
      s.spawn(fails_later, 3ms, "end");
      co_await sleep_for(5ms);
    });
  } catch (const std::runtime_error&) {
  }
}
TEST(scope, stopped_at_every_await_leaves_nothing) {
  const auto seen = testing::cancel_everywhere(
      [](testing::virtual_runtime& rt) { return rt.spawn(scenario); }, [](bool) {});
  EXPECT_GT(seen.stopped, 10u);
  EXPECT_GT(seen.awaits, 10u);
}
#endif

// --- All at once

task<> random_child(scope_ref s, std::uint64_t seed, int depth, atomic<long>& balance) {
  struct held {
    atomic<long>& n;
    explicit held(atomic<long>& of) noexcept : n(of) { n.fetch_add(1, order::relaxed); }
    ~held() { n.fetch_sub(1, order::relaxed); }
  };
  const held mine(balance);
  rng random(seed);
  for (unsigned i = 0, n = static_cast<unsigned>(random.below(6)); i < n; ++i) {
    switch (random.below(9)) {
      case 0:
        co_await yield_now();
        break;
      case 1:
        co_await sleep_for(std::chrono::microseconds(random.below(50)));
        break;
      case 2: {
        const std::uint64_t inner = random.next();
        if (depth > 0) {
          co_await scope([&](scope_ref t) { return random_child(t, inner, depth - 1, balance); });
        }
        break;
      }
      case 3:
        if (random.below(20) == 0) throw std::runtime_error("child");
        break;
      case 4:
        if (random.below(20) == 0) s.stop();
        break;
      default:
        if (depth > 0) s.spawn(random_child, s, random.next(), depth - 1, std::ref(balance));
    }
  }
}
task<> random_scope(std::uint64_t seed) {
  atomic<long> balance{0};
  rng random(seed);
  try {
    const auto limit = std::chrono::microseconds(random.below(2000));
    const std::uint64_t inner = random.next();
    static_cast<void>(co_await scope(scope_options{.timeout = limit}, [&](scope_ref s) {
      return random_child(s, inner, 6, balance);
    }));
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "child");
  }
  EXPECT_EQ(balance.load(order::relaxed), 0);
}
TEST(scope, that_grow_fail_and_are_stopped_leave_nothing) {
  rng seeds(test_support::seed());
  for (const unsigned workers : {1u, 2u, 4u}) {
    runtime rt({.workers = workers});
    for (int round = 0; round < 200; ++round) {
      auto job = rt.spawn(random_scope, seeds.next());
      rt.block_on(job);
    }
  }
}

}  // namespace
}  // namespace weft
