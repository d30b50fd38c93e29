// Which job held its worker, and who awaits it: once for each place, on the standard error stream.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "weft/runtime/await.hpp"
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
