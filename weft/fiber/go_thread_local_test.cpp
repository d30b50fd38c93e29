// What is thread-local under a fiber that goes on on another thread: the new thread's, for who asks weft, or a
// function that is not inlined. What the fiber's own function keeps the address of may be the old one's.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <map>
#include <thread>

#include "weft/runtime/go.hpp"
#include "weft/runtime/handoff_test_support.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/event.hpp"
#include "weft/task/current.hpp"
#include "weft/task/thread_state.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr auto limit = 20s;
constexpr int moves_enough = 10;

thread_local int number = 0;

// The way to what is a thread's own. Without the mark, or without the statement, an optimising compiler keeps
// the first answer across an await: also of errno and of the thread's id, which the C library declares constant.
#define WEFT_ASKED_EACH_TIME [[gnu::noinline]]

WEFT_ASKED_EACH_TIME int* address_of_number() {
  asm volatile("");
  return &number;
}
WEFT_ASKED_EACH_TIME int* address_of_errno() {
  asm volatile("");
  return &errno;
}
WEFT_ASKED_EACH_TIME int errno_now() {
  asm volatile("");
  return errno;
}
WEFT_ASKED_EACH_TIME std::thread::id id_of_thread() {
  asm volatile("");
  return std::this_thread::get_id();
}
/// Nobody can have kept it.
long thread_of_the_kernel() { return ::syscall(SYS_gettid); }

struct own {
  int* number;
  int* error;
  std::thread::id id;
  const detail::thread_state* state;
  const detail::worker* worker;

  bool operator==(const own&) const = default;
};

/// In the fiber, so that weft's accessors are in line before and after the await.
WEFT_ALWAYS_INLINE own all_that_is_own() {
  return {address_of_number(), address_of_errno(), id_of_thread(), &detail::this_thread_state(),
          detail::this_thread_state().worker};
}

/// Result: how often `move` moved the fiber.
template <class Move>
int follow(Move move) {
  std::map<long, own> seen;
  std::map<long, int> numbers;
  int moved = 0;
  const job* const me = current_job();
  const auto end = clock::now() + limit;
  while (moved < moves_enough && clock::now() < end) {
    const long from = thread_of_the_kernel();
    const own before = all_that_is_own();
    EXPECT_EQ(seen.try_emplace(from, before).first->second, before);
    *address_of_number() += 1;
    numbers[from] += 1;

    move();

    const long to = thread_of_the_kernel();
    const own after = all_that_is_own();
    EXPECT_EQ(seen.try_emplace(to, after).first->second, after);
    EXPECT_EQ(*address_of_number(), numbers[to]);
    EXPECT_EQ(current_job(), me);
    EXPECT_EQ(detail::this_thread_state().running, me);
    ::close(-1);
    EXPECT_EQ(errno_now(), EBADF);
    if (to == from) continue;
    ++moved;
    EXPECT_NE(after.number, before.number);
    EXPECT_NE(after.error, before.error);
    EXPECT_NE(after.id, before.id);
    EXPECT_NE(after.state, before.state);
    EXPECT_NE(after.worker, before.worker);
  }
  return moved;
}

TEST(go_thread_local, is_the_new_threads_in_a_fiber_that_migrates) {
  runtime rt({.workers = 2, .preempt_after = 0ms});
  auto fiber = rt.go(spawn_options{.migrates = true}, [] {
    event turn(event::auto_reset);
    return follow([&turn] {
      const unsigned other = 1 - this_task::worker();
      auto wakes = spawn(spawn_options{.worker = other}, [&turn] { turn.set(); });
      await(turn.wait());
      await(wakes);
    });
  });
  EXPECT_EQ(rt.block_on(fiber), moves_enough);
}

TEST(go_thread_local_handoff, is_the_new_threads_in_a_fiber_whose_worker_was_handed_over) {
  for (const bool migrates : {false, true}) {
    runtime rt({.workers = 1, .preempt_after = 2ms, .report_stuck = false});
    auto fiber = rt.go(spawn_options{.migrates = migrates}, [] {
      return follow([] {
        EXPECT_TRUE(test_support::spin_until_lost());
        await(yield_now());
      });
    });
    EXPECT_EQ(rt.block_on(fiber), moves_enough);
  }
}

}  // namespace
}  // namespace weft
