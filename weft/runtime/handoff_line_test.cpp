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

/// Result: how many had begun when the one that waits for another thread went on.
task<int> woken_from_outside_behind_many() {
  flag said{false};
  std::atomic<int> begun{0};
  int begun_before = 0;
  auto waits = spawn([&]() -> task<> {
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
    stuck.push_back(spawn([&] {
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

TEST(handoff_line, whom_another_thread_wakes_does_not_wait_for_many_that_compute) {
  runtime rt({.workers = 1, .report_stuck = false});
  // Two, and on a crowded machine some more before that thread has had its turn.
  EXPECT_LT(rt.block_on(woken_from_outside_behind_many()), many);
}

constexpr int too_late = -1;
/// Result: how many had begun when the one went on that another thread woke after those were put in from outside.
/// too_late: the worker was taken before all that had been done.
int woken_from_outside_behind_many_from_outside(runtime& rt) {
  flag held{false}, in_line{false}, said{false};
  std::atomic<int> begun{0};
  int begun_before = 0;
  const auto handoffs_before = rt.metrics().handoffs;
  const auto injected_before = rt.metrics().injected;
  std::vector<join_handle<>> all;
  all.push_back(rt.spawn([&]() -> task<> {
    auto other = spawn_blocking([&] { spin_until(in_line); });
    co_await other;
    begun_before = begun;
    said = true;
  }));
  all.push_back(rt.spawn([&]() -> task<> {
    co_await yield_now();  // that one waits
    held = true;
    spin_until(said);
  }));
  while (!held) std::this_thread::yield();
  for (int i = 0; i < many; ++i) {
    all.push_back(rt.spawn([&] {
      ++begun;
      spin_until(said);
    }));
  }
  in_line = true;
  while (rt.metrics().injected < injected_before + all.size() + 1) std::this_thread::yield();
  const bool in_time = rt.metrics().handoffs == handoffs_before;
  for (auto& each : all) rt.block_on(each);
  return in_time ? begun_before : too_late;
}

TEST(handoff_line, whom_another_thread_wakes_comes_before_those_that_others_put_in_before) {
  // Time for this thread to put them all in before the worker is taken.
  runtime rt({.workers = 1, .preempt_after = 200ms, .report_stuck = false});
  int begun = too_late;
  for (int attempts = 0; begun == too_late && attempts < 20; ++attempts) {
    begun = woken_from_outside_behind_many_from_outside(rt);
  }
  EXPECT_EQ(begun, 0);
}

task<> loses_its_worker_again_and_again(const flag* over) {
  while (!*over) {
    std::this_thread::sleep_for(8ms);  // blocked for so long that the worker is taken
    co_await sleep_for(1ms);
  }
}

TEST(handoff_line, one_that_never_ran_is_begun_though_worker_after_worker_is_lost) {
  runtime rt({.workers = 1, .report_stuck = false});
  flag over{false}, said{false};
  std::vector<join_handle<>> others;
  for (int i = 0; i < many; ++i)
    others.push_back(rt.spawn(loses_its_worker_again_and_again, &over));
  while (rt.metrics().handoffs < many) std::this_thread::yield();
  auto never_ran = rt.spawn([](flag* f) { *f = true; }, &said);
  EXPECT_TRUE(spin_until(said)) << "others came back before it again and again";
  over = true;
  rt.block_on(never_ran);
  for (auto& each : others) rt.block_on(each);
}

}  // namespace
}  // namespace weft
