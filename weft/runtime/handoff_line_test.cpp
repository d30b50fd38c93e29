// Who comes first where many stand behind one that holds its worker: those that were woken, by whomever, before those
// that never ran; and those all the same, whatever comes back meanwhile.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "weft/runtime/blocking.hpp"
#include "weft/runtime/handoff_test_support.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

using test_support::flag;
using test_support::spin_until;

constexpr int many = 12;

/// Jobs that may run anywhere, and those of one worker.
class handoff_line : public ::testing::TestWithParam<unsigned> {
 protected:
  static spawn_options where() { return {.worker = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(of, handoff_line, ::testing::Values(any_worker, 0u), [](const auto& of) {
  return of.param == any_worker ? "jobs" : "pinned_jobs";
});

/// Result: how many had begun when the one that waits for another thread went on.
task<int> woken_from_outside_behind_many(spawn_options where) {
  flag said{false};
  std::atomic<int> begun{0};
  int begun_before = 0;
  auto waits = spawn(where, [&]() -> task<> {
    auto other = spawn_blocking([&] {
      while (begun < 2) std::this_thread::yield();  // the others are in line
    });
    co_await other;
    begun_before = begun;
    said = true;
  });
  co_await yield_now();  // it waits
  std::vector<join_handle<bool>> stuck;
  for (int i = 0; i < many; ++i) {
    stuck.push_back(spawn(where, [&] {
      ++begun;
      return spin_until(said);
    }));
  }
  bool all = true;
  for (auto& s : stuck) {
    const bool rescued = co_await s;
    all = all && rescued;
  }
  co_await waits;
  co_return all ? begun_before : many;
}

TEST_P(handoff_line, whom_another_thread_wakes_does_not_wait_for_many_that_compute) {
  runtime rt({.workers = 1, .report_stuck = false});
  // Two, and on a crowded machine some more before that thread has had its turn.
  EXPECT_LT(rt.block_on(woken_from_outside_behind_many(where())), many);
}

/// Result: how many had begun when the one went on that another thread woke after those were put in from outside.
int woken_from_outside_behind_many_from_outside(runtime& rt, spawn_options where) {
  flag waits{false}, held{false}, in_line{false}, said{false};
  std::atomic<int> begun{0};
  int begun_before = 0;
  std::vector<join_handle<>> all;
  all.push_back(rt.spawn(where, [&]() -> task<> {
    auto other = spawn_blocking([&] { spin_until(in_line); });
    waits = true;
    co_await other;
    begun_before = begun;
    said = true;
  }));
  all.push_back(rt.spawn([&]() -> task<> {
    while (!waits) co_await yield_now();
    held = true;
    spin_until(said);
  }));
  while (!held) std::this_thread::yield();
  for (int i = 0; i < many; ++i) {
    all.push_back(rt.spawn(where, [&] {
      ++begun;
      spin_until(said);
    }));
  }
  in_line = true;
  for (auto& each : all) rt.block_on(each);
  return begun_before;
}

TEST_P(handoff_line, whom_another_thread_wakes_comes_before_those_that_others_put_in_before) {
  // Time for these threads to do all that before the worker is taken. Not enough of it on a crowded machine, once or
  // twice.
  runtime rt({.workers = 1, .preempt_after = 200ms, .report_stuck = false});
  int begun = many;
  for (int attempts = 0; begun != 0 && attempts < 20; ++attempts) {
    begun = woken_from_outside_behind_many_from_outside(rt, where());
  }
  EXPECT_EQ(begun, 0);
}

task<> loses_its_worker_again_and_again(const flag* over) {
  while (!*over) {
    std::this_thread::sleep_for(8ms);  // blocked for so long that the worker is taken
    co_await sleep_for(1ms);
  }
}

TEST_P(handoff_line, one_that_never_ran_is_begun_though_worker_after_worker_is_lost) {
  runtime rt({.workers = 1, .report_stuck = false});
  flag over{false}, said{false};
  std::vector<join_handle<>> others;
  for (int i = 0; i < many; ++i)
    others.push_back(rt.spawn(where(), loses_its_worker_again_and_again, &over));
  while (rt.metrics().handoffs < many) std::this_thread::yield();
  auto never_ran = rt.spawn(where(), [](flag* f) { *f = true; }, &said);
  EXPECT_TRUE(spin_until(said)) << "others came back before it again and again";
  over = true;
  rt.block_on(never_ran);
  for (auto& each : others) rt.block_on(each);
}

}  // namespace
}  // namespace weft
