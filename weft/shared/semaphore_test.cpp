#include "weft/shared/semaphore.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/process.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/shared/shared_test_support.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using namespace test_support;

constexpr shared_options never{.look_after = std::chrono::nanoseconds::max()};
constexpr shared_options soon{.look_after = 2ms};

TEST(shared_semaphore, counts_what_each_handle_holds) {
  const shared_pages memory(4096);
  auto a = shared_semaphore::create_at(memory.all(), 3);
  ASSERT_TRUE(a);
  auto b = shared_semaphore::open_at(memory.all());
  ASSERT_TRUE(b);
  EXPECT_TRUE(a->try_acquire(2));
  EXPECT_FALSE(b->try_acquire(2));
  EXPECT_TRUE(b->try_acquire());
  EXPECT_EQ(a->held(), 2u);
  EXPECT_EQ(b->available(), 0u);
  EXPECT_EQ(b->blocking_acquire(1, os::monotonic_ns() + 1).error(), errc::timed_out);
  a->release();
  block_on(b->acquire());
  EXPECT_EQ(b->held(), 2u);
  *b = std::move(*shared_semaphore::open_at(memory.all()));  // what it held is back
  EXPECT_EQ(b->available(), 2u);
  EXPECT_DEATH(b->release(), "given back more");
  EXPECT_EQ(shared_semaphore::create_at(memory.all(), 1).error(), std::errc::file_exists);
}

task<> works(shared_semaphore& s, std::uint32_t n, int& inside, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    co_await s.acquire(n);
    inside += static_cast<int>(n);
    EXPECT_LE(inside, 3);
    if (i % 8 == 0) co_await yield_now();
    inside -= static_cast<int>(n);
    s.release(n);
  }
}

TEST(shared_semaphore, tasks_wait_for_permits_and_nobody_is_forgotten) {
  for (const driver io : {driver::epoll, driver::io_uring, driver::poll}) {
    const shared_pages memory(4096);
    auto s = shared_semaphore::create_at(memory.all(), 3, never);
    ASSERT_TRUE(s);
    runtime rt({.workers = 1, .io = io});
    int inside = 0;
    std::vector<join_handle<>> all;
    for (std::uint32_t n = 1; n <= 3; ++n) {
      for (int i = 0; i < 2; ++i) {
        all.push_back(rt.spawn(works, std::ref(*s), n, std::ref(inside), 200));
      }
    }
    for (auto& one : all) rt.block_on(one);
    EXPECT_EQ(s->available(), 3u);
  }
}

TEST(shared_semaphore, stopped_acquire_has_taken_nothing) {
  const shared_pages memory(4096);
  auto s = shared_semaphore::create_at(memory.all(), 1, never);
  ASSERT_TRUE(s);
  runtime rt({.workers = 2});
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(s->try_acquire());
    auto waits = rt.spawn([&s = *s]() { return s.acquire(); });
    if (i % 2 == 0) std::this_thread::yield();
    waits.stop();
    s->release();
    if (!rt.block_on(waits.outcome()).stopped()) s->release();
    EXPECT_EQ(s->available(), 1u);
  }
}

TEST(shared_semaphore, permits_of_a_killed_process_are_given_back_to_who_waits) {
  for (const bool reaped : {false, true}) {
    const shared_pages memory(4096);
    auto s = shared_semaphore::create_at(memory.all(), 2, soon);
    ASSERT_TRUE(s);
    child holder([&memory] {
      auto mine = shared_semaphore::open_at(memory.all(), soon);
      if (!mine || !mine->blocking_acquire(2)) return false;
      for (;;) ::pause();
    });
    while (s->available() != 0) ::sched_yield();
    EXPECT_EQ(s->blocking_acquire(1, os::monotonic_ns() + 10'000'000).error(), errc::timed_out);
    if (reaped) {
      holder.kill();
    } else {
      holder.kill_only();  // a zombie is dead, too
    }
    runtime rt({.workers = 1});
    rt.block_on(s->acquire(2));
    EXPECT_EQ(s->held(), 2u);
  }
}

TEST(shared_semaphore, holders_killed_anywhere_leave_all_permits) {
  rng random(test_support::seed());
  const shared_pages memory(4096);
  auto s = shared_semaphore::create_at(memory.all(), 4, soon);
  ASSERT_TRUE(s);
  for (int round = 0; round < 100; ++round) {
    std::vector<child> children;
    for (std::uint32_t i = 0; i < 3; ++i) {
      children.emplace_back([&memory, i] {
        auto mine = shared_semaphore::open_at(memory.all(), soon);
        if (!mine) return false;
        for (;;) {
          static_cast<void>(mine->blocking_acquire(1 + i));
          mine->release(1 + i);
        }
      });
    }
    for (std::uint32_t i = random.below(100); i != 0; --i) {
      ASSERT_TRUE(s->blocking_acquire(1, os::monotonic_ns() + 20'000'000'000));
      s->release();
    }
    for (auto& one : children) one.kill();
    ASSERT_TRUE(s->blocking_acquire(4, os::monotonic_ns() + 20'000'000'000));
    s->release(4);
    EXPECT_EQ(s->available(), 4u);
  }
}

TEST(process, is_alive_until_it_ends_and_a_zombie_is_not) {
  const std::uint64_t me = os::process_identity();
  EXPECT_TRUE(os::process_is_alive(me));
  EXPECT_FALSE(os::process_is_alive(me + 1));  // the same number, begun at another time
  EXPECT_NE(os::process_namespace(), 0u);
}

}  // namespace
}  // namespace weft
