// What the suites of other runtimes test of stops and time limits, and no other test here did:
// docs/internals/behaviours.md says which is which. The ideas are those of Go's context package
// (context_test.go) and of Tokio's tests/time_timeout.rs, time_sleep.rs and sync_cancellation_token.rs.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/base/thread_gate_test_support.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/task_local.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/combinators.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/select.hpp"
#include "weft/together/stop_token.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using test_support::thread_gate;

// --- trees of stops -------------------------------------------------------------------------------

/// A tree of tasks, each of which a source of its own can stop, with all below it.
struct tree {
  explicit tree(std::vector<std::size_t> parent_of_each)
      : parents(std::move(parent_of_each)), sources(parents.size()), ends(parents.size()) {
    for (auto& e : ends) e.store(0);
  }
  bool is_below(std::size_t node, std::size_t top) const {
    while (node != top && node != 0) node = parents[node];
    return node == top;
  }
  const std::vector<std::size_t> parents;  // each less than its child; the root is 0
  std::vector<stop_source> sources;
  std::vector<std::atomic<int>> ends;
};

struct notes_its_end {
  notes_its_end(tree& of, std::size_t me) noexcept : t(of), node(me) {}
  ~notes_its_end() { ++t.ends[node]; }
  tree& t;
  std::size_t node;
};
task<> grow(tree& t, std::size_t me);
task<> with_those_below(tree& t, std::size_t me) {
  const notes_its_end ends(t, me);
  const auto body = [&t, me](scope_ref s) -> task<> {
    for (std::size_t i = me + 1; i < t.parents.size(); ++i) {
      if (t.parents[i] == me) s.spawn(grow, std::ref(t), i);
    }
    co_await never();
  };
  co_await scope(body);
}
task<> grow(tree& t, std::size_t me) {
  const auto r = co_await with_stop(t.sources[me].get_token(), with_those_below(t, me));
  EXPECT_FALSE(r) << "it does not end otherwise";
}

std::vector<std::size_t> random_tree(rng& random, std::size_t nodes) {
  std::vector<std::size_t> parents{0};
  while (parents.size() < nodes) {
    parents.push_back(random.below(static_cast<std::uint32_t>(parents.size())));
  }
  return parents;
}

// Stopped one by one: those below end, each once; those above and beside go on.
TEST(stop_trees, a_stop_ends_all_that_is_below_it_and_nothing_else) {
  rng random(test_support::seed());
  for (int round = 0; round < 20; ++round) {
    constexpr std::size_t nodes = 40;
    tree t(random_tree(random, nodes));
    std::vector<bool> stopped(nodes);
    testing::virtual_runtime rt;
    rt.block_on([](tree& the_t, std::vector<bool>& expected, rng& the_random) -> task<> {
      auto root = spawn(grow, std::ref(the_t), std::size_t{0});
      co_await sleep_for(1ms);
      for (int i = 0; i < 8; ++i) {
        const std::size_t top = i == 7 ? 0 : the_random.below(nodes);
        the_t.sources[top].request_stop();
        co_await sleep_for(1ms);
        for (std::size_t n = 0; n < nodes; ++n) {
          if (the_t.is_below(n, top)) expected[n] = true;
          EXPECT_EQ(the_t.ends[n], expected[n] ? 1 : 0) << n << " after " << top;
        }
      }
      co_await root;
    }(t, stopped, random));
  }
}

// All of them by four threads at once, in any order: each ends, once, and so does each request.
TEST(stop_trees, stops_of_all_nodes_at_once_come_to_an_end) {
  rng random(test_support::seed());
  for (const unsigned workers : {1u, 4u}) {
    runtime rt({.workers = workers});
    for (int round = 0; round < 10; ++round) {
      constexpr std::size_t nodes = 100;
      tree t(random_tree(random, nodes));
      std::vector<std::size_t> order(nodes);
      for (std::size_t i = 0; i < nodes; ++i) order[i] = i;
      for (std::size_t i = nodes; i > 1; --i) {
        std::swap(order[i - 1], order[random.below(static_cast<std::uint32_t>(i))]);
      }
      auto root = rt.spawn(grow, std::ref(t), std::size_t{0});
      std::vector<std::thread> threads;
      for (std::size_t k = 0; k < 4; ++k) {
        threads.emplace_back([&t, &order, k] {
          for (std::size_t i = k; i < nodes; i += 4) t.sources[order[i]].request_stop();
        });
      }
      rt.block_on(root);
      for (auto& one : threads) one.join();
      for (const auto& n : t.ends) EXPECT_LE(n, 1);  // 0: it was stopped before it began
    }
  }
}

// --- layers ---------------------------------------------------------------------------------------

static const task_local<int> depth_seen;

struct layers {
  explicit layers(std::uint64_t seed) : random(seed) {}
  rng random;
  std::vector<std::pair<int, stop_source>> sources;  // with the depth of each
  int limit_depth = -1;
  milliseconds limit = 10h;
  int checked = 0;
};
/// Which layer cut off what is below it; -1: none.
task<int> layer(layers& l, int depth, int bound) {
  const auto is_bound = [&] {
    const int* const seen = depth_seen.get();
    EXPECT_EQ(seen != nullptr ? *seen : -1, bound);
    ++l.checked;
  };
  is_bound();
  if (depth == 0) {
    co_await sleep_for(20h);
    co_return -1;
  }
  int cut_by = -1;
  switch (l.random.below(3)) {
    case 0: {
      cut_by = co_await depth_seen.with(depth, layer(l, depth - 1, depth));
      break;
    }
    case 1: {
      l.sources.emplace_back(depth, stop_source());
      const stop_token token = l.sources.back().second.get_token();
      const auto r = co_await with_stop(token, layer(l, depth - 1, bound));
      cut_by = r.value_or(depth);
      if (!r) {
        EXPECT_EQ(r.error(), std::make_error_code(std::errc::operation_canceled));
      }
      break;
    }
    default: {
      const auto time =
          milliseconds(1000 + 40 * l.random.below(100) + static_cast<unsigned>(depth));
      if (time < l.limit) {
        l.limit = time;
        l.limit_depth = depth;
      }
      const auto r = co_await timeout(time, layer(l, depth - 1, bound));
      cut_by = r.value_or(depth);
      if (!r) {
        EXPECT_EQ(r.error(), errc::timed_out);
      }
    }
  }
  is_bound();
  co_return cut_by;
}
task<int> layers_then(layers& l, bool by_hand, int& stopped_at) {
  auto top = spawn(layer, std::ref(l), 30, -1);
  co_await sleep_for(100ms);
  if (by_hand && !l.sources.empty()) {
    auto& [depth, source] = l.sources[l.random.below(static_cast<std::uint32_t>(l.sources.size()))];
    stopped_at = depth;
    source.request_stop();
  }
  const int cut_by = co_await top;
  co_return cut_by;
}

// Values, stops and time limits in any order, thirty deep: what is nearest to its end ends what is
// inside of it and no more, at that very moment, with its own reason, and values are seen all the while.
TEST(stop_layers, the_one_that_cuts_off_is_the_one_that_was_asked_or_the_shortest) {
  rng random(test_support::seed());
  for (int round = 0; round < 60; ++round) {
    for (const bool by_hand : {true, false}) {
      layers l(random.next());
      testing::virtual_runtime rt;
      int stopped_at = -1;
      const int cut_by = rt.block_on(layers_then(l, by_hand, stopped_at));
      if (stopped_at != -1) {
        EXPECT_EQ(cut_by, stopped_at);
        EXPECT_EQ(rt.elapsed(), 100ms);
      } else if (l.limit_depth != -1) {
        EXPECT_EQ(cut_by, l.limit_depth);
        EXPECT_EQ(rt.elapsed(), l.limit);
      } else {
        EXPECT_EQ(cut_by, -1);
        EXPECT_EQ(rt.elapsed(), 20h);
      }
      EXPECT_GE(l.checked, 31);
    }
  }
}

task<> waits_long() { co_await sleep_for(1h); }
task<> nested_limits(milliseconds outer, milliseconds inner, bool& inner_was_first) {
  const auto inside = [](milliseconds limit, bool& first) -> task<> {
    const auto r = co_await timeout(limit, waits_long());
    EXPECT_EQ(r.error(), errc::timed_out);
    first = true;
  };
  const auto r = co_await timeout(outer, inside(inner, inner_was_first));
  EXPECT_EQ(r.has_value(), inner_was_first);
}
TEST(stop_layers, of_nested_time_limits_the_nearest_ends_it) {
  for (const bool inner_is_shorter : {true, false}) {
    testing::virtual_runtime rt;
    bool inner_was_first = false;
    rt.block_on(inner_is_shorter ? nested_limits(4s, 50ms, inner_was_first)
                                 : nested_limits(50ms, 4s, inner_was_first));
    EXPECT_EQ(inner_was_first, inner_is_shorter);
    EXPECT_EQ(rt.elapsed(), 50ms);
  }
}

// The stop of what is outside and of what is inside, at the same moment: both are made, and it ends.
TEST(stop_layers, outer_and_inner_are_stopped_at_once) {
  runtime rt({.workers = 2});
  for (int i = 0; i < 500; ++i) {
    stop_source outer, inner;
    thread_gate both_wait;
    auto job = rt.spawn([&]() -> task<> {
      const auto waits = [&]() -> task<> {
        both_wait.open();
        co_await never();
      };
      const auto inside = [&]() -> task<> {
        const auto r = co_await with_stop(inner.get_token(), waits());
        EXPECT_FALSE(r);
      };
      const auto r = co_await with_stop(outer.get_token(), inside());
      if (!r) {
        EXPECT_EQ(r.error(), std::make_error_code(std::errc::operation_canceled));
      }
    });
    both_wait.pass();
    std::thread other([&] { inner.request_stop(); });
    for (int n = i % 40; n != 0; --n) cpu_pause();
    outer.request_stop();
    rt.block_on(job);
    other.join();
  }
}

// --- callbacks ------------------------------------------------------------------------------------

TEST(stop_callback_threads, its_end_waits_for_a_call_that_another_thread_has_begun) {
  for (int round = 0; round < 50; ++round) {
    stop_source source;
    thread_gate called;
    std::atomic<bool> done{false};
    std::thread asks;
    {
      const stop_callback tells(source.get_token(), [&] {
        called.open();
        for (int i = 0; i < 200; ++i) cpu_pause();
        done = true;
      });
      asks = std::thread([&] { source.request_stop(); });
      called.pass();
    }
    EXPECT_TRUE(done);
    asks.join();
  }
}

TEST(stop_callback_threads, of_many_requests_at_once_one_is_the_first) {
  for (int round = 0; round < 100; ++round) {
    stop_source source;
    std::atomic<int> first{0}, called{0};
    const stop_callback tells(source.get_token(), [&] { ++called; });
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&first, own = source]() mutable { first += own.request_stop(); });
    }
    for (auto& one : threads) one.join();
    EXPECT_EQ(first, 1);
    EXPECT_EQ(called, 1);
  }
}

TEST(stop_token_equality, copies_are_the_same_and_others_are_not) {
  const stop_source a, b;
  EXPECT_EQ(a.get_token(), a.get_token());
  const stop_token copy = a.get_token();
  EXPECT_EQ(copy, a.get_token());
  EXPECT_FALSE(a.get_token() == b.get_token());
  EXPECT_EQ(stop_token(), stop_token());
}

// --- time limits and sleeps -----------------------------------------------------------------------

task<int> at_once() { co_return 5; }
task<> limits_that_are_over() {
  for (const auto when : {now(), now() - 1s}) {
    const auto ready = co_await deadline(when, at_once());
    EXPECT_EQ(ready.value_or(0), 5) << "what need not wait is given";
    const auto waits = co_await deadline(when, waits_long());
    EXPECT_EQ(waits.error(), errc::timed_out);
  }
  const auto none = co_await timeout(0s, at_once());
  EXPECT_EQ(none.value_or(0), 5);
}
TEST(time_limits, one_that_is_over_still_gives_what_is_ready) {
  testing::virtual_runtime rt;
  rt.block_on(limits_that_are_over());
  EXPECT_EQ(rt.elapsed(), 0ns);
}

// What is inside never waits; the budget makes it give way, and there the limit finds it.
TEST(time_limits, one_ends_a_loop_that_never_waits) {
  for (const unsigned workers : {1u, 2u}) {
    runtime rt({.workers = workers});
    auto ends = channel<int>(1);
    ends.sender.close();
    const auto loops = [](const receiver<int>& closed) -> task<> {
      for (;;) {
        const auto none = co_await closed.recv();
        EXPECT_FALSE(none);
      }
    };
    const auto limited = [&]() -> task<bool> {
      const auto r = co_await timeout(1ms, loops(ends.receiver));
      co_return r.has_value();
    };
    EXPECT_FALSE(rt.block_on(rt.spawn(limited)));
  }
}

task<> years() {
  const auto year = 365 * 24h;
  for (int i = 0; i < 5; ++i) co_await sleep_for(year);
  co_await sleep_until(now() + 10 * year);
  co_await sleep_for(1ms + 1ns);
}
TEST(long_sleeps, years_end_to_the_nanosecond) {
  testing::virtual_runtime rt;
  rt.block_on(years());
  EXPECT_EQ(rt.elapsed(), 15 * 365 * 24h + 1ms + 1ns);
}

task<std::size_t> nearly_for_ever_beside_a_moment() {
  const auto w = co_await select(sleep_for(std::chrono::nanoseconds::max()),
                                 sleep_for(std::chrono::hours::max()), sleep_for(1ns));
  co_return w.index();
}
TEST(long_sleeps, one_of_centuries_beside_one_of_a_nanosecond) {
  testing::virtual_runtime rt;
  EXPECT_EQ(rt.block_on(nearly_for_ever_beside_a_moment()), 2u);
  EXPECT_EQ(rt.elapsed(), 1ns);
}

}  // namespace
}  // namespace weft
