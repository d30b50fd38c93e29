// Which job held its worker, and who awaits it: once for each place, on the standard error stream.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>

#include "tests/support/quiet_poll.hpp"
#include "weft/runtime/await.hpp"
#include "weft/runtime/blocking_in_place.hpp"
#include "weft/runtime/fiber.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/handoff_test_support.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/together/catch_stop.hpp"
#include "weft/together/shield.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test_support::behind_one_that_computes;
using test_support::limit;
using test_support::owns_processor;
using test_support::pipe_ends;
using test_support::quiet_poll;
using test_support::spin_until_lost;

/// Computes until it has held its worker for long enough that it is reported.
bool spin_until_it_is_worth_a_report() {
  // It counts from when the monitor has seen it first.
  const auto end = std::chrono::steady_clock::now() + 50ms +
                   std::chrono::nanoseconds(detail::handoff::report_ns_min);
  while (std::chrono::steady_clock::now() < end) {
  }
  return spin_until_lost();
}

TEST(handoff_report, names_the_job_once) {
  ::testing::internal::CaptureStderr();
  {
    runtime rt({.workers = 1});
    const auto test = []() -> task<> {
      for (int i = 0; i < 3; ++i) {
        auto stuck =
            spawn(spawn_options{.name = "parse"}, [] { return spin_until_it_is_worth_a_report(); });
        const bool lost = co_await stuck;
        EXPECT_TRUE(lost);
      }
    };
    rt.block_on(test());
    EXPECT_GE(rt.metrics().longest_hold_ns, 100'000'000u);
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  const auto at = said.find("'parse' held a worker for ");
  ASSERT_NE(at, std::string::npos) << said;
  EXPECT_EQ(said.find("'parse'", at + 1), std::string::npos) << said;
}

task<> holds_its_worker_here() {
  spin_until_it_is_worth_a_report();
  co_return;
}
task<> holds_its_worker_there() {
  spin_until_it_is_worth_a_report();
  co_return;
}
TEST(handoff_report, two_functions_of_one_type_are_two_places) {
  ::testing::internal::CaptureStderr();
  {
    runtime rt({.workers = 1});
    for (int i = 0; i < 2; ++i) {
      rt.block_on(rt.spawn(holds_its_worker_here));
      rt.block_on(rt.spawn(holds_its_worker_there));
    }
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  for (const char* const name : {"holds_its_worker_here", "holds_its_worker_there"}) {
    const auto at = said.find(name);
    ASSERT_NE(at, std::string::npos) << said;
    EXPECT_EQ(said.find(name, at + 1), std::string::npos) << said;
  }
}

// Where a task has its result, once it has ended, there was its job before.
task<bool> nested_that_holds_its_worker() { co_return spin_until_it_is_worth_a_report(); }
task<std::uintptr_t> nested_that_holds_its_worker_and_gives_a_word() {
  co_return spin_until_it_is_worth_a_report() ? 1 : 0;
}
task<> nested_that_holds_its_worker_and_gives_nothing() {
  spin_until_it_is_worth_a_report();
  co_return;
}
task<bool> awaits_one_that_holds_its_worker() {
  const bool lost = co_await nested_that_holds_its_worker();
  co_return (lost && owns_processor());
}
task<bool> awaits_one_that_holds_its_worker_for_a_word() {
  const std::uintptr_t lost = co_await nested_that_holds_its_worker_and_gives_a_word();
  co_return (lost == 1 && owns_processor());
}
task<bool> awaits_one_that_holds_its_worker_for_nothing() {
  co_await nested_that_holds_its_worker_and_gives_nothing();
  co_return owns_processor();
}
// What the task returns to is no coroutine, but the front of a boundary.
task<bool> awaits_one_that_holds_its_worker_in_a_catch_stop() {
  const auto lost = co_await catch_stop(nested_that_holds_its_worker());
  co_return (lost && *lost && owns_processor());
}
task<bool> awaits_one_that_holds_its_worker_in_a_timeout() {
  const auto lost = co_await timeout(limit, nested_that_holds_its_worker());
  co_return (lost && *lost && owns_processor());
}
task<bool> awaits_one_that_holds_its_worker_beside_another() {
  const auto [lost, none] = co_await when_all(nested_that_holds_its_worker(), yield_now());
  co_return (lost && owns_processor());
}
task<bool> awaits_one_that_holds_its_worker_under_a_shield() {
  const bool lost = co_await shield(nested_that_holds_its_worker());
  co_return (lost && owns_processor());
}

class handoff_reports : public ::testing::TestWithParam<task<bool> (*)()> {};
INSTANTIATE_TEST_SUITE_P(of, handoff_reports,
                         ::testing::Values(&awaits_one_that_holds_its_worker,
                                           &awaits_one_that_holds_its_worker_for_a_word,
                                           &awaits_one_that_holds_its_worker_for_nothing,
                                           &awaits_one_that_holds_its_worker_in_a_catch_stop,
                                           &awaits_one_that_holds_its_worker_in_a_timeout,
                                           &awaits_one_that_holds_its_worker_beside_another,
                                           &awaits_one_that_holds_its_worker_under_a_shield));

TEST(handoff_report, says_that_it_was_a_fiber_and_what_it_awaited) {
  ::testing::internal::CaptureStderr();
  {
    runtime rt({.workers = 1});
    EXPECT_TRUE(rt.block_on(rt.go(spawn_options{.name = "fiber"},
                                  [] { return await(nested_that_holds_its_worker()); })));
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  const auto inner = said.find("nested_that_holds_its_worker");
  ASSERT_NE(inner, std::string::npos) << said;
  EXPECT_NE(said.find("'fiber'", inner), std::string::npos) << said;
}

// Where a frame takes more, there is as much more left: 3000 bytes are too few for an unwinder, and more than enough
// for an await.
constexpr std::size_t room_left = WEFT_ASAN || WEFT_TSAN ? 16'000 : 3000;
/// Calls f with so much room left on the fiber's stack.
template <class F>
[[gnu::noinline]] int with_little_room(F f) {
  const auto* const here = static_cast<const std::byte*>(__builtin_frame_address(0));
  const std::size_t left = static_cast<std::size_t>(here - detail::fiber::running()->on().low());
  auto* const used = static_cast<volatile char*>(__builtin_alloca(left - room_left));
  used[0] = 1;
  const int got = f();
  used[0] = 2;  // so it is on the stack meanwhile
  return got;
}
task<int> holds_its_worker_for_long() {
  spin_until_it_is_worth_a_report();
  co_await yield_now();
  co_return 1;
}
int awaits_it_with_a_limit() {
  const auto r = await(timeout(limit, holds_its_worker_for_long()));
  return r ? *r : -1;
}
int holds_it_itself() {
  spin_until_it_is_worth_a_report();
  await(yield_now());
  return 1;
}
TEST(handoff_report, takes_no_room_of_a_fibers_stack) {
  for (int (*const what)() : {&awaits_it_with_a_limit, &holds_it_itself}) {
    ::testing::internal::CaptureStderr();
    {
      runtime rt({.workers = 1});
      EXPECT_EQ(rt.block_on(rt.go(spawn_options{.name = "deep", .stack = 64 << 10},
                                  [what] { return with_little_room(what); })),
                1);
    }
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("'deep'"), std::string::npos) << said;
    EXPECT_NE(said.find("with_little_room"), std::string::npos) << said;
  }
}

TEST_P(handoff_reports, say_who_awaits_the_task_that_held_the_worker) {
  ::testing::internal::CaptureStderr();
  {
    runtime rt({.workers = 1});
    EXPECT_TRUE(rt.block_on(rt.spawn(GetParam())));
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  const auto inner = said.find("nested_that_holds_its_worker");
  ASSERT_NE(inner, std::string::npos) << said;
  EXPECT_NE(said.find("awaits_one_that_holds_its_worker", inner), std::string::npos) << said;
}

task<> holds_its_worker_to_the_end() {
  EXPECT_TRUE(spin_until_it_is_worth_a_report());
  co_return;
}
/// Nobody awaits it but the job itself, whose front is no coroutine.
TEST(handoff_report, names_the_task_that_its_job_ends_with) {
  ::testing::internal::CaptureStderr();
  {
    runtime rt({.workers = 1});
    auto stuck = rt.spawn(spawn_options{.name = "parse"}, holds_its_worker_to_the_end);
    rt.block_on(stuck);
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  const auto at = said.find("'parse' held a worker for ");
  ASSERT_NE(at, std::string::npos) << said;
  EXPECT_NE(said.find("holds_its_worker_to_the_end", at), std::string::npos) << said;
}

/// What is written to the standard error stream while it lives, by line.
class standard_error_lines {
 public:
  standard_error_lines() : kept_(::dup(STDERR_FILENO)) {
    if (::pipe(ends_) != 0 || ::dup2(ends_[1], STDERR_FILENO) < 0) std::abort();
    ::close(ends_[1]);
  }
  standard_error_lines(const standard_error_lines&) = delete;
  ~standard_error_lines() {
    ::dup2(kept_, STDERR_FILENO);
    ::close(kept_);
    ::close(ends_[0]);
  }
  /// Waits for it. Empty: none came for a long time.
  std::string next() {
    std::string line;
    for (;;) {
      pollfd one{ends_[0], POLLIN, 0};
      char c = 0;
      if (quiet_poll(&one, 1, limit_ms) != 1 || ::read(ends_[0], &c, 1) != 1) return {};
      if (c == '\n') return line;
      line += c;
    }
  }

 private:
  static constexpr int limit_ms = 20'000;
  const int kept_;
  int ends_[2];
};

TEST(handoff_report, tells_of_one_that_does_not_come_back_also_when_all_others_rest) {
  pipe_ends pipe;
  long thread = 0;
  std::string told, after;
  {
    standard_error_lines said;
    runtime rt({.workers = 2, .preempt_after = 1ms});  // after a thousand times as long
    auto stuck = rt.spawn(spawn_options{.name = "waits"}, [&] {
      thread = ::syscall(SYS_gettid);
      return pipe.blocking_read();
    });
    told = said.next();
    pipe.write();
    EXPECT_TRUE(rt.block_on(stuck));
    after = said.next();
  }
  EXPECT_NE(told.find("a job has held its thread for 1 s and does not come back: thread " +
                      std::to_string(thread) + ", which waits in the system"),
            std::string::npos)
      << told;
  EXPECT_NE(after.find("'waits' held a worker for "), std::string::npos)
      << "not another time the same: " << after;
}

TEST(handoff_report, does_not_tell_of_one_that_says_that_it_blocks) {
  pipe_ends said_so, did_not;
  long thread = 0;
  std::string told;
  {
    standard_error_lines said;
    runtime rt({.workers = 1, .preempt_after = 1ms});
    auto blocks = rt.spawn([&] { return weft::blocking([&] { return said_so.blocking_read(); }); });
    while (rt.metrics().handoffs == 0) std::this_thread::yield();
    auto stuck = rt.spawn([&] {
      thread = ::syscall(SYS_gettid);
      return did_not.blocking_read();
    });
    told = said.next();
    did_not.write();
    said_so.write();
    EXPECT_TRUE(rt.block_on(stuck));
    EXPECT_TRUE(rt.block_on(blocks));
  }
  EXPECT_NE(told.find("does not come back: thread " + std::to_string(thread) + ","),
            std::string::npos)
      << "not of the one that began before: " << told;
}

TEST(handoff_report, tells_of_none_before_its_time_however_long_that_is) {
  using us = std::chrono::microseconds;
  for (const us slice : {us::max(), us(std::chrono::years(1)), us(50)}) {
    pipe_ends pipe;
    ::testing::internal::CaptureStderr();
    {
      runtime rt({.workers = 1, .preempt_after = slice});
      auto stuck = rt.spawn([&] { return pipe.blocking_read(); });
      auto behind = rt.spawn([] {});
      rt.block_on(behind);  // the worker is another thread's
      const std::uint64_t looks = rt.metrics().monitor_looks;
      auto busy = rt.spawn([&]() -> task<> {
        const auto end = std::chrono::steady_clock::now() + 1000 * us(100);
        while (rt.metrics().monitor_looks < looks + 20 || std::chrono::steady_clock::now() < end) {
          co_await yield_now();
        }
      });
      rt.block_on(busy);
      pipe.write();
      EXPECT_TRUE(rt.block_on(stuck));
    }
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(said.find("does not come back"), said.npos) << slice.count() << said;
  }
}

TEST(handoff_monitor, looks_no_more_often_where_a_job_may_take_for_ever) {
  constexpr auto span = 60ms;
  runtime rt({.workers = 1, .preempt_after = std::chrono::microseconds::max()});
  std::uint64_t looks = 0;
  rt.block_on(rt.spawn([&] {
    const std::uint64_t before = rt.metrics().monitor_looks;
    const auto end = std::chrono::steady_clock::now() + span;
    while (std::chrono::steady_clock::now() < end) {
    }
    looks = rt.metrics().monitor_looks - before;
  }));
  EXPECT_LE(looks, 2 * (span / 2500us));
  EXPECT_EQ(rt.metrics().handoffs, 0u);
}

TEST(handoff_report, can_be_switched_off) {
  ::testing::internal::CaptureStderr();
  {
    runtime rt({.workers = 1, .report_stuck = false});
    EXPECT_TRUE(rt.block_on(behind_one_that_computes()));
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace weft
