// stack_pool and the system: what is called refuses, or takes its time, while others use the pool.
#include <gtest/gtest.h>

#include <barrier>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "weft/base/thread_gate_test_support.hpp"
#include "weft/fiber/stack.hpp"
#include "weft/fiber/turns_test_support.hpp"
#include "weft/os/stack_pages.hpp"

#if WEFT_CENSUS  // with it comes the check of calls

namespace weft {
namespace {

using call = os::stack_pages_call;
using test_support::thread_gate;

/// Asks a test's function before each call on pages of stacks.
class fiber_stack_system : public ::testing::Test {
 protected:
  void SetUp() override { fiber_test::turns::common_pool().trim(); }
  void TearDown() override { let_all_through(); }

  /// False: that call is refused. Before threads are started that it is for; until let_all_through(), which
  /// is due before anything that `ask` looks at ends, or the pool, which calls the system as it ends.
  static void before_each(std::function<bool(call)> ask) {
    let_all_through();
    asked = std::move(ask);
    os::set_stack_pages_check([](call c) noexcept { return asked(c); });
  }
  static void let_all_through() { os::set_stack_pages_check(nullptr); }

  static std::size_t slabs(const stack_pool& pool) {
    return pool.figures().reserved_bytes / (64 * (pool.stack_bytes() + pool.guard_bytes()));
  }
  static std::vector<stack> take_many(stack_pool& pool, std::size_t count) {
    std::vector<stack> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(pool.take().value());
    return all;
  }

 private:
  static inline std::function<bool(call)> asked;
};

TEST_F(fiber_stack_system, threads_that_map_at_once_leave_one_bare_slab_and_no_more) {
  constexpr int threads = 4;
  std::barrier all_map(threads), all_have(threads + 1), all_give(threads + 1);
  before_each([&](call c) {
    if (c == call::reserve) all_map.arrive_and_wait();
    return true;
  });
  stack_pool pool({.warm_max = 0});
  std::vector<std::thread> others;
  for (int i = 0; i < threads; ++i) {
    others.emplace_back([&] {
      const auto s = pool.take();
      all_have.arrive_and_wait();
      all_give.arrive_and_wait();
      if (s) pool.give(*s);
      EXPECT_TRUE(s);
    });
  }
  all_have.arrive_and_wait();
  EXPECT_EQ(slabs(pool), 2u);
  EXPECT_EQ(pool.figures().cold, 2 * 64 - threads);
  all_give.arrive_and_wait();
  for (auto& t : others) t.join();
  EXPECT_EQ(slabs(pool), 1u);
  pool.trim();
  EXPECT_EQ(slabs(pool), 0u);
}

TEST_F(fiber_stack_system, who_maps_and_is_refused_then_leaves_no_slab_too_many) {
  constexpr int threads = 4;
  std::barrier all_map(threads);
  before_each([&](call c) {
    if (c == call::reserve) all_map.arrive_and_wait();
    return true;
  });
  stack_pool pool({.warm_max = 0, .taken_max = 1});
  std::vector<result<stack>> got(threads);
  std::vector<std::thread> others;
  for (int i = 0; i < threads; ++i) {
    others.emplace_back([&, i] { got[static_cast<std::size_t>(i)] = pool.take(); });
  }
  for (auto& t : others) t.join();
  EXPECT_EQ(pool.figures().taken, 1u);
  EXPECT_EQ(pool.figures().refused, threads - 1u);
  EXPECT_EQ(slabs(pool), 2u);
  for (const auto& s : got) {
    if (s) {
      pool.give(*s);
    } else {
      EXPECT_EQ(s.error(), errc::too_large);
    }
  }
}

TEST_F(fiber_stack_system, what_the_system_does_not_take_back_is_used_again_and_goes_later) {
  stack_pool pool({.warm_max = 0});
  auto all = take_many(pool, 4 * 64);
  int refused = 0;
  before_each([&](call c) {
    refused += c == call::release;
    return c != call::release;
  });
  for (const stack& s : all) pool.give(s);
  EXPECT_EQ(refused, 3);  // I3: all but one
  EXPECT_EQ(slabs(pool), 4u);
  EXPECT_EQ(pool.figures().cold, 4 * 64u);
  pool.trim();
  EXPECT_EQ(refused, 3 + 4);  // each once
  EXPECT_EQ(slabs(pool), 4u);

  int mapped = 0;
  before_each([&](call c) {
    mapped += c == call::reserve;
    return true;
  });
  all = take_many(pool, 4 * 64);
  EXPECT_EQ(mapped, 0);
  for (const stack& s : all) *(s.top() - 1) = std::byte{1};
  EXPECT_EQ(pool.figures().cold, 0u);

  before_each([](call c) { return c != call::release; });
  for (const stack& s : all) pool.give(s);
  let_all_through();
  EXPECT_EQ(slabs(pool), 4u);
  pool.trim();
  EXPECT_EQ(slabs(pool), 0u);
  EXPECT_EQ(pool.figures().cold, 0u);
}

TEST_F(fiber_stack_system, pool_that_ends_gives_back_every_slab) {
  int released = 0;
  {
    stack_pool pool({.warm_max = 0});
    const auto all = take_many(pool, 3 * 64);
    before_each([](call c) { return c != call::release; });
    for (const stack& s : all) pool.give(s);
    EXPECT_EQ(slabs(pool), 3u);
    before_each([&](call c) {
      released += c == call::release;
      return true;
    });
  }
  EXPECT_EQ(released, 3);
}

TEST_F(fiber_stack_system, refused_guard_is_a_result_and_does_not_count) {
  stack_pool pool({.bytes = 4096, .warm_max = 0, .guards_by_protection = true});
  const std::size_t most = os::mappings_max() / 4;
  if (most > 1'000'000) GTEST_SKIP() << "vm.max_map_count is large here: " << os::mappings_max();
  int asked = 0;
  before_each([&](call c) {
    // The first of a slab's guards, and one in the middle.
    return c != call::guard_by_protection || (++asked % 3 == 1);
  });
  const std::size_t tries = most / 64 + 1;
  for (std::size_t i = 0; i < tries; ++i) {
    const auto s = pool.take();
    ASSERT_FALSE(s);
    ASSERT_EQ(s.error(), std::errc::not_enough_memory) << i;
  }
  EXPECT_EQ(pool.figures().refused, tries);
  EXPECT_EQ(pool.figures().reserved_bytes, 0u);
  let_all_through();
  const auto s = pool.take();
  ASSERT_TRUE(s) << s.error().message();
  pool.give(*s);
}

TEST_F(fiber_stack_system, stack_that_cools_counts_against_nobody) {
  stack_pool pool({.taken_max = 1});
  pool.give(pool.take().value());
  thread_gate cooling, go_on;
  before_each([&](call c) {
    if (c == call::forget) {
      cooling.open();
      go_on.pass();
    }
    return true;
  });
  std::thread other([&] { pool.trim(); });
  cooling.pass();
  auto now = pool.figures();
  EXPECT_EQ(now.taken, 0u);
  EXPECT_EQ(now.cooling, 1u);
  EXPECT_EQ(now.taken + now.warm + now.cooling + now.cold, 64u);
  const auto s = pool.take();
  EXPECT_TRUE(s) << s.error().message();
  EXPECT_FALSE(pool.take());
  go_on.open();
  other.join();
  let_all_through();
  now = pool.figures();
  EXPECT_EQ(now.taken, 1u);
  EXPECT_EQ(now.cooling, 0u);
  EXPECT_EQ(now.taken + now.warm + now.cooling + now.cold, 64u);
  if (s) pool.give(*s);
}

TEST_F(fiber_stack_system, stack_on_its_way_back_counts_against_nobody) {
  stack_pool pool({.warm_max = 0, .taken_max = 1});
  const auto first = pool.take().value();
  thread_gate cooling, go_on;
  before_each([&](call c) {
    if (c == call::forget) {
      cooling.open();
      go_on.pass();
    }
    return true;
  });
  std::thread other([&] { pool.give(first); });
  cooling.pass();
  const auto s = pool.take();
  EXPECT_TRUE(s);
  go_on.open();
  other.join();
  let_all_through();
  if (s) pool.give(*s);
}

TEST_F(fiber_stack_system, trim_ends_though_others_give_all_the_while) {
  stack_pool pool;
  const auto all = take_many(pool, 3);
  for (const stack& s : all) pool.give(s);
  int cooled = 0;
  before_each([&](call c) {
    // A fourth that is warm for each that has cooled; not for ever, so that it ends if trim() does not.
    if (c == call::forget && ++cooled < 100) {
      const auto more = take_many(pool, 4);
      for (const stack& s : more) pool.give(s);
    }
    return true;
  });
  pool.trim();
  let_all_through();
  EXPECT_EQ(cooled, 3);
}

TEST_F(fiber_stack_system, who_cannot_map_takes_what_was_given_back_meanwhile) {
  stack_pool pool;
  auto all = take_many(pool, 64);
  before_each([&](call c) {
    if (c != call::reserve) return true;
    pool.give(all.back());
    return false;
  });
  const auto s = pool.take();
  let_all_through();
  ASSERT_TRUE(s);
  EXPECT_EQ(s->low(), all.back().low());
  EXPECT_EQ(pool.figures().refused, 0u);
  for (const stack& each : all) pool.give(each);
}

}  // namespace
}  // namespace weft

#endif
