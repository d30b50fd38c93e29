#include "weft/task/task_local.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "weft/runtime/blocking.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/join_set.hpp"
#include "weft/together/parallel.hpp"
#include "weft/together/race.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

const task_local<int> trace;
const task_local<std::string> user;

task<int> seen() { co_return trace.value_or(0); }
task<int> seen_later() {
  co_await yield_now();
  co_await sleep_for(1ms);
  co_return trace.value_or(0);
}

class task_local_test : public ::testing::Test {
 protected:
  testing::virtual_runtime rt;
};

TEST_F(task_local_test, nothing_is_bound_outside) {
  EXPECT_EQ(trace.get(), nullptr);
  EXPECT_EQ(rt.block_on(seen()), 0);
}

TEST_F(task_local_test, is_there_for_what_is_awaited_inside_and_for_nothing_else) {
  rt.block_on([]() -> task<> {
    const int inside = co_await trace.with(7, seen_later());
    EXPECT_EQ(inside, 7);
    EXPECT_EQ(trace.get(), nullptr);
  }());
}

task<> nested() {
  EXPECT_EQ(trace.value_or(0), 1);
  EXPECT_EQ(*user.get(), "ann");
  const int inner = co_await trace.with(2, seen());
  EXPECT_EQ(inner, 2);
  EXPECT_EQ(trace.value_or(0), 1);
  co_await trace.with(3, user.with("bob", []() -> task<> {
    EXPECT_EQ(trace.value_or(0), 3);
    EXPECT_EQ(*user.get(), "bob");
    co_return;
  }()));
  EXPECT_EQ(*user.get(), "ann");
}
TEST_F(task_local_test, inner_bindings_hide_outer_ones) {
  rt.block_on([]() -> task<> { co_await user.with("ann", trace.with(1, nested())); }());
}

task<> starts_all_kinds() {
  auto spawned = spawn(seen_later);
  const auto [a, b] = co_await when_all(seen(), seen_later());
  EXPECT_EQ(a + b, 14);
  const auto first = co_await race(seen(), seen_later());
  EXPECT_EQ(std::get<0>(first), 7);
  const auto timed = co_await timeout(1h, seen_later());
  EXPECT_EQ(timed, 7);
  auto [x, y, z] = co_await fork_join([] { return seen(); }, [] { return seen_later(); },
                                      [] { return trace.value_or(0); });
  EXPECT_EQ(x + y + z, 21);
  int in_scope = 0;
  co_await scope([&](scope_ref s) -> task<> {
    s.spawn([](int& sum) -> task<> { sum += co_await seen_later(); }, std::ref(in_scope));
    s.on_exit([](int& sum) -> task<> { sum += co_await seen_later(); }, std::ref(in_scope));
    in_scope += co_await seen();
  });
  EXPECT_EQ(in_scope, 21);
  int in_set = 0;
  co_await with_join_set<int>([&](join_set<int>& set) -> task<> {
    set.spawn(seen_later);
    auto ended = co_await set.next();
    in_set = ended->value();
  });
  EXPECT_EQ(in_set, 7);
  const std::vector<int> ten(10);
  const int sum = co_await parallel_reduce(ten, 0, std::plus<>(), [](int) { return seen(); });
  EXPECT_EQ(sum, 70);
  const int of_spawned = co_await spawned;
  EXPECT_EQ(of_spawned, 7);
  const bool in_pool = co_await spawn_blocking([] { return trace.get() != nullptr; });
  EXPECT_FALSE(in_pool) << "no job runs there";
  const auto caught = co_await catch_stop(seen());
  EXPECT_EQ(caught, 7);
}
TEST_F(task_local_test, jobs_of_all_kinds_made_inside_inherit_it) {
  rt.block_on([]() -> task<> { co_await trace.with(7, starts_all_kinds()); }());
}

TEST_F(task_local_test, value_lives_as_long_as_a_job_sees_it) {
  static const task_local<std::shared_ptr<int>> shared;
  auto value = std::make_shared<int>(5);
  const std::weak_ptr<int> watched = value;
  rt.block_on([](std::shared_ptr<int>& the_value, const std::weak_ptr<int>& the_watched) -> task<> {
    join_handle<int> child;
    co_await shared.with(std::move(the_value), [](join_handle<int>& the_child) -> task<> {
      the_child = spawn([]() -> task<int> {
        co_await sleep_for(1h);
        co_return **shared.get();
      });
      co_return;
    }(child));
    EXPECT_FALSE(the_watched.expired());
    const int v = co_await child;
    EXPECT_EQ(v, 5);
    child = join_handle<int>();
    EXPECT_TRUE(the_watched.expired());
  }(value, watched));
}

TEST_F(task_local_test, exception_leaves_it) {
  rt.block_on([]() -> task<> {
    bool thrown = false;
    try {
      co_await trace.with(1, []() -> task<> {
        throw std::runtime_error("x");
        co_return;
      }());
    } catch (const std::runtime_error&) {
      thrown = true;
      EXPECT_EQ(trace.get(), nullptr);
    }
    EXPECT_TRUE(thrown);
  }());
}

TEST_F(task_local_test, never_awaited_it_is_gone) {
  rt.block_on([]() -> task<> {
    static_cast<void>(user.with(std::string(100, 'x'), seen()));
    co_return;
  }());
}

TEST_F(task_local_test, stop_inside_unwinds_the_binding) {
  static const task_local<std::shared_ptr<int>> shared;
  auto value = std::make_shared<int>(5);
  const std::weak_ptr<int> watched = value;
  rt.block_on([](std::shared_ptr<int>& v, const std::weak_ptr<int>& the_watched) -> task<> {
    const auto timed = co_await timeout(1ms, shared.with(std::move(v), sleep_for(1h)));
    EXPECT_FALSE(timed);
    EXPECT_EQ(shared.get(), nullptr);
    EXPECT_TRUE(the_watched.expired());
  }(value, watched));
  EXPECT_EQ(rt.elapsed(), 1ms);
}

#if WEFT_CENSUS
TEST(task_local, stopped_at_every_await_nothing_is_left) {
  const auto scenario = []() -> task<> {
    const auto ended = co_await catch_stop(trace.with(7, starts_all_kinds()));
    EXPECT_EQ(trace.get(), nullptr);
    static_cast<void>(ended);
  };
  const auto report = testing::cancel_everywhere(
      [&](testing::virtual_runtime& on) { return on.spawn(scenario); }, [](bool) {});
  EXPECT_GT(report.awaits, 15u);
  EXPECT_GT(report.runs, 30u);
}
#endif

/// Branches that are stolen while the forking job is inside other bindings see what it had.
task<long> deep(int depth, int id);
task<long> rebound(int depth, int id) { co_return co_await trace.with(id, deep(depth, id)); }
task<long> deep(int depth, int id) {
  EXPECT_EQ(trace.value_or(-1), id);
  if (depth == 0) {
    if (id % 3 == 0) co_await yield_now();
    EXPECT_EQ(trace.value_or(-1), id);
    co_return 1;
  }
  auto [a, b, c] =
      co_await fork_join([=] { return rebound(depth - 1, id + 1); },
                         [=] { return deep(depth - 1, id); }, [=] { return deep(depth - 1, id); });
  EXPECT_EQ(trace.value_or(-1), id);
  co_return a + b + c;
}

TEST(task_local, stolen_branches_see_what_was_bound_when_they_were_forked) {
  runtime rt({.workers = 4});
  for (int round = 0; round < 10; ++round) {
    const long leaves =
        rt.block_on([]() -> task<long> { co_return co_await trace.with(1, deep(7, 1)); }());
    EXPECT_EQ(leaves, 2187);
  }
}

/// Jobs that outlive the binding's maker, on several workers, drop it together.
TEST(task_local, last_of_many_jobs_frees_the_value) {
  static const task_local<std::shared_ptr<std::string>> shared;
  runtime rt({.workers = 4});
  for (int round = 0; round < 200; ++round) {
    auto value = std::make_shared<std::string>("value " + std::to_string(round));
    const std::weak_ptr<std::string> watched = value;
    rt.block_on([](std::shared_ptr<std::string>& v) -> task<> {
      co_await scope([&](scope_ref s) -> task<> {
        co_await shared.with(std::move(v), [](scope_ref to) -> task<> {
          for (int i = 0; i < 8; ++i) {
            to.spawn([]() -> task<> {
              EXPECT_EQ((*shared.get())->substr(0, 6), "value ");
              co_await yield_now();
              EXPECT_EQ((*shared.get())->substr(0, 6), "value ");
            });
          }
          co_return;
        }(s));
      });
    }(value));
    EXPECT_TRUE(watched.expired());
  }
}

}  // namespace
}  // namespace weft
