// Who has a turn where each turn loses the worker: all of whom fairness_test.cpp has something to say, as what is
// counted for them goes with the processor.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "weft/runtime/handoff_test_support.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/runtime/yield_if_due.hpp"
#include "weft/sync/notify.hpp"
#include "weft/together/fork_join.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test_support::comes_true;
using test_support::flag;
using test_support::spin_until;
using test_support::spin_until_lost;

constexpr int many = 12;

task<> beats(std::atomic<int>* count, const flag* over) {
  while (!*over) {
    co_await sleep_for(1ms);
    ++*count;
  }
}

task<> loses_each_turn(const flag* over) {
  while (!*over) {
    EXPECT_TRUE(spin_until_lost());
    co_await yield_now();
  }
}

class handoff_turns : public ::testing::TestWithParam<priority> {};
INSTANTIATE_TEST_SUITE_P(of, handoff_turns,
                         ::testing::Values(priority::high, priority::normal, priority::background),
                         [](const auto& of) {
                           return of.param == priority::high     ? "high"
                                  : of.param == priority::normal ? "normal"
                                                                 : "background";
                         });

TEST_P(handoff_turns,
       one_that_a_timer_wakes_has_its_own_beside_many_that_lose_the_worker_each_time) {
  runtime rt({.workers = 1, .preempt_after = 1ms, .report_stuck = false});
  flag over{false};
  std::atomic<int> count{0};
  std::vector<join_handle<>> all;
  for (int i = 0; i < many; ++i) {
    all.push_back(rt.spawn(spawn_options{.priority = GetParam()}, loses_each_turn, &over));
  }
  while (rt.metrics().handoffs < many) std::this_thread::yield();
  all.push_back(rt.spawn(beats, &count, &over));
  EXPECT_TRUE(comes_true([&] { return count > 2; }));
  over = true;
  for (auto& each : all) rt.block_on(each);
}

task<> wakes_the_next_and_loses_its_turn(notify* mine, notify* next, const flag* over) {
  while (!*over) {
    co_await mine->wait();
    next->notify_one();
    if (!*over) {
      EXPECT_TRUE(spin_until_lost());
    }
  }
  next->notify_one();
}

TEST(handoff_turns_of_a_ring, leave_one_to_whom_a_timer_wakes) {
  constexpr int stages = 32;
  runtime rt({.workers = 1, .preempt_after = 1ms, .report_stuck = false});
  flag over{false};
  std::atomic<int> count{0};
  std::vector<join_handle<>> all;
  const auto ring = std::make_unique<notify[]>(stages);
  for (int i = 0; i < stages; ++i) {
    all.push_back(
        rt.spawn(wakes_the_next_and_loses_its_turn, &ring[i], &ring[(i + 1) % stages], &over));
  }
  ring[0].notify_one();
  while (rt.metrics().handoffs < 2 * stages) std::this_thread::yield();
  all.push_back(rt.spawn(beats, &count, &over));
  EXPECT_TRUE(comes_true([&] { return count > 2; }));
  over = true;
  for (int i = 0; i < stages; ++i) ring[i].notify_one();
  for (auto& each : all) rt.block_on(each);
}

task<> forks_one_that_holds_its_worker_until_the_other_began(flag* began) {
  co_await fork_join([&] { return spin_until(*began); }, [&] { *began = true; });
}

// More than a run queue holds and a new owner takes from the injector: there are always some in both.
TEST(handoff_turns_of_a_crowd, leave_one_to_the_oldest_branch) {
  constexpr int crowd = 400;
  runtime rt({.workers = 1, .preempt_after = 1ms, .report_stuck = false});
  flag over{false}, began{false};
  notify go;
  std::atomic<int> waiting{0};
  std::vector<join_handle<>> all;
  for (int i = 0; i < crowd; ++i) {  // those that never ran would stand in a line of their own
    all.push_back(rt.spawn([&]() -> task<> {
      ++waiting;
      co_await go.wait();
      co_await loses_each_turn(&over);
    }));
  }
  EXPECT_TRUE(comes_true([&] { return waiting == crowd; }));
  rt.block_on(rt.spawn([] {}));  // so the last one waits
  go.notify_all();
  while (rt.metrics().handoffs < crowd) std::this_thread::yield();
  all.push_back(rt.spawn(spawn_options{.priority = priority::high},
                         forks_one_that_holds_its_worker_until_the_other_began, &began));
  EXPECT_TRUE(comes_true([&] { return began.load(); }));
  over = true;
  for (auto& each : all) rt.block_on(each);
}

/// Beats until it is over. Result: the most of others that began between two of its beats.
task<int> most_begun_between_beats(const std::atomic<int>* begun, const flag* over) {
  int most = 0;
  int before = *begun;
  while (!*over) {
    co_await sleep_for(1ms);
    most = std::max(most, *begun - before);
    before = *begun;
  }
  co_return most;
}

void computes(std::chrono::milliseconds how_long) {
  const auto end = std::chrono::steady_clock::now() + how_long;
  while (std::chrono::steady_clock::now() < end) {
  }
}

/// Those that never ran compute for less than what loses a worker, and are overdue at each look all the same.
task<> one_that_is_stuck_and_many_behind_it(std::atomic<int>* begun, flag* over) {
  constexpr int count = 60;
  std::vector<join_handle<>> all;
  all.push_back(spawn([] { EXPECT_TRUE(spin_until_lost()); }));
  for (int i = 0; i < count; ++i) {
    all.push_back(spawn([begun] {
      ++*begun;
      computes(7ms);
    }));
  }
  for (auto& each : all) co_await each;
  *over = true;
}

/// Each tells when it has had a turn.
task<> loses_each_turn_and_counts(std::atomic<int>* turns, const flag* over) {
  while (!*over) {
    ++*turns;
    EXPECT_TRUE(spin_until_lost());
    co_await yield_now();
  }
}

TEST(handoff_turns_of_high_priority, are_had_by_all_of_many_and_by_one_that_a_timer_wakes) {
  constexpr int crowd = 40;
  runtime rt({.workers = 1, .preempt_after = 1ms, .report_stuck = false});
  flag over{false};
  std::atomic<int> count{0};
  std::vector<std::atomic<int>> turns(crowd);
  const spawn_options high{.priority = priority::high};
  std::vector<join_handle<>> all;
  for (auto& mine : turns) {
    all.push_back(rt.spawn(high, loses_each_turn_and_counts, &mine, &over));
  }
  for (int i = 0; i < 4; ++i) all.push_back(rt.spawn(loses_each_turn, &over));
  all.push_back(
      rt.spawn(spawn_options{.priority = priority::high, .worker = 0}, beats, &count, &over));
  EXPECT_TRUE(comes_true([&] {
    return count > 2 && std::all_of(turns.begin(), turns.end(), [](auto& n) { return n > 2; });
  }));
  over = true;
  for (auto& each : all) rt.block_on(each);
}

/// Computes, and gives way when it is asked to.
task<> gives_way_late(std::atomic<int>* turns, const flag* over) {
  while (!*over) {
    ++*turns;
    while (!this_task::should_yield() && !*over) {
    }
    co_await yield_if_due();
  }
}

/// Those that may run anywhere, and those of one worker.
class handoff_turns_of_those_that_give_way_late : public ::testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(of, handoff_turns_of_those_that_give_way_late,
                         ::testing::Values(any_worker, 0u), [](const auto& of) {
                           return of.param == any_worker ? "jobs" : "pinned_jobs";
                         });

TEST_P(handoff_turns_of_those_that_give_way_late, do_not_add_up_for_one_that_a_timer_wakes) {
  constexpr int crowd = 96;
  constexpr int most = crowd / 4;  // one or two; more where the machine takes the CPU away
  constexpr int enough = 2 * crowd;
  runtime rt({.workers = 1, .preempt_after = 20ms, .report_stuck = false});
  const spawn_options where{.worker = GetParam()};
  flag over{false};
  std::atomic<int> turns{0};
  std::vector<join_handle<>> all;
  rt.block_on(rt.spawn([&] {  // all in the worker's queue
    for (int i = 0; i < crowd; ++i) all.push_back(spawn(where, gives_way_late, &turns, &over));
  }));
  auto heart = rt.spawn(where, most_begun_between_beats, &turns, &over);
  EXPECT_TRUE(comes_true([&] { return turns > enough; }));
  over = true;
  for (auto& each : all) rt.block_on(each);
  EXPECT_LE(rt.block_on(heart), most);
}

TEST(handoff_turns_of_those_that_never_ran, leave_one_to_each_that_is_woken_meanwhile) {
  constexpr int hearts = 50;
  constexpr int most = 15;  // two or three; more where the machine takes the CPU away
  runtime rt({.workers = 1, .report_stuck = false});
  flag over{false};
  std::atomic<int> begun{0};
  std::vector<join_handle<int>> all;
  for (int i = 0; i < hearts; ++i) all.push_back(rt.spawn(most_begun_between_beats, &begun, &over));
  rt.block_on(rt.spawn(one_that_is_stuck_and_many_behind_it, &begun, &over));
  int seen = 0;
  for (auto& each : all) seen = std::max(seen, rt.block_on(each));
  EXPECT_LE(seen, most);
}

}  // namespace
}  // namespace weft
