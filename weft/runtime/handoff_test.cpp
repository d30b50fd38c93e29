// A job that holds its worker: what happens to the others, and what its thread does without a
// processor. What a job waits for here is an event, never a time; limits are far beyond what any of
// it takes.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <span>
#include <thread>
#include <vector>

#include "weft/net/tcp_test_support.hpp"
#include "weft/net/unix.hpp"
#include "weft/runtime/await.hpp"
#include "weft/runtime/futex.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/handoff_test_support.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/runtime/worker.hpp"
#include "weft/sync/event.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test_support::all_are_back;
using test_support::behind_one_that_computes;
using test_support::flag;
using test_support::limit;
using test_support::owns_processor;
using test_support::pipe_ends;
using test_support::say;
using test_support::spin_until;
using test_support::spin_until_lost;
using test_support::spins_until;

class handoff : public net::test::on_each_driver {
 protected:
  static runtime_options options(unsigned workers = 1) {
    return {.workers = workers, .io = GetParam(), .report_stuck = false};
  }
};
INSTANTIATE_TEST_SUITE_P(drivers, handoff, net::test::all_drivers, net::test::driver_name);

// --- the others

TEST_P(handoff, a_job_runs_behind_one_that_computes) {
  runtime rt(options());
  EXPECT_TRUE(rt.block_on(behind_one_that_computes()));
  const metrics_snapshot m = rt.metrics();
  EXPECT_GE(m.handoffs, 1u);
  EXPECT_GE(m.spare_threads, 1u);
}

task<bool> behind_one_that_blocks() {
  pipe_ends pipe;
  auto stuck = spawn([](pipe_ends* p) { return p->blocking_read(); }, &pipe);
  auto other = spawn([](pipe_ends* p) { return p->write(); }, &pipe);
  const bool read = co_await stuck;
  const bool written = co_await other;
  co_return (read && written);
}

TEST_P(handoff, a_job_runs_behind_one_that_blocks) {
  runtime_options how = options();
  how.preempt_after = 3s;  // for one that computes
  runtime rt(how);
  EXPECT_TRUE(rt.block_on(behind_one_that_blocks()));
  EXPECT_TRUE(all_are_back(rt));
  EXPECT_GE(rt.metrics().handoffs, 1u);
  EXPECT_LT(rt.metrics().longest_hold_ns, 2'500'000'000u) << "it was taken for one that computes";
}

task<bool> more_stuck_than_workers(int count) {
  flag said{false};
  std::vector<join_handle<bool>> stuck;
  for (int i = 0; i < count; ++i) stuck.push_back(spawn(spins_until, &said));
  auto other = spawn(say, &said);
  bool all = true;
  for (auto& s : stuck) {
    const bool rescued = co_await s;
    all = all && rescued;
  }
  co_await other;
  co_return all;
}

TEST_P(handoff, a_job_runs_behind_many_that_compute) {
  runtime rt(options(2));
  EXPECT_TRUE(rt.block_on(more_stuck_than_workers(6)));
  // How many stand in front of it depends on who steals what.
  EXPECT_GE(rt.metrics().handoffs, 1u);
}

task<int> woken_behind_many_that_compute(int count) {
  flag said{false};
  std::atomic<int> begun{0};
  int begun_before = 0;
  auto sleeper = spawn([&]() -> task<> {
    co_await sleep_for(1ms);
    begun_before = begun;
    said = true;
  });
  co_await yield_now();  // it sleeps
  std::vector<join_handle<bool>> stuck;
  for (int i = 0; i < count; ++i) {
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
  co_await sleeper;
  co_return all ? begun_before : -1;
}

// Those that never ran wait for it, not it for them.
TEST_P(handoff, who_is_woken_waits_for_one_of_many_that_compute) {
  runtime rt(options());
  EXPECT_EQ(rt.block_on(woken_behind_many_that_compute(6)), 1);
}

task<bool> timer_behind() {
  flag fired{false};
  auto sleeper = spawn(
      [](flag* f) -> task<> {
        co_await sleep_for(1ms);
        *f = true;
      },
      &fired);
  co_await yield_now();  // it sleeps
  auto stuck = spawn(spins_until, &fired);
  const bool rescued = co_await stuck;
  co_await sleeper;
  co_return rescued;
}

TEST_P(handoff, a_timer_fires_while_the_job_that_holds_its_worker_goes_on) {
  runtime rt(options());
  EXPECT_TRUE(rt.block_on(timer_behind()));
}

task<bool> io_behind() {
  auto both = *net::unix_stream::pair();
  flag came{false};
  auto reader = spawn(
      [](net::unix_stream* s, flag* f) -> task<bool> {
        std::array<std::byte, 1> in{};
        const auto n = co_await s->read_some(in);
        *f = true;
        co_return n.has_value() && *n == 1;
      },
      &both.first, &came);
  co_await yield_now();  // its request was made on this thread, which then holds its worker
  auto stuck = spawn(
      [](net::unix_stream* s, flag* f) {
        const auto written = s->try_write(std::as_bytes(std::span("x", 1)));
        return written.has_value() && spin_until(*f);
      },
      &both.second, &came);
  const bool rescued = co_await stuck;
  const bool read = co_await reader;
  co_return (rescued && read);
}

TEST_P(handoff, what_the_stuck_thread_waited_for_in_the_kernel_arrives_at_the_next_owner) {
  runtime rt(options());
  EXPECT_TRUE(rt.block_on(io_behind()));
}

TEST_P(handoff, jobs_that_are_pinned_to_the_worker_go_on_there) {
  runtime rt(options(2));
  const auto test = []() -> task<bool> {
    flag said{false};
    auto stuck = spawn(spawn_options{.worker = 1}, spins_until, &said);
    auto other = spawn(
        spawn_options{.worker = 1},
        [](flag* f) -> task<unsigned> {
          co_await yield_now();
          *f = true;
          co_return this_task::worker();
        },
        &said);
    const bool rescued = co_await stuck;
    const unsigned where = co_await other;
    co_return (rescued && where == 1);
  };
  EXPECT_TRUE(rt.block_on(test()));
}

task<bool> give_way_until(flag* f) {
  for (int i = 0; i < 200'000 && !f->load(); ++i) co_await yield_now();
  co_return f->load();
}

// The next owner begins with queues that are not empty, and not only the one that it looks at first.
TEST_P(handoff, a_pinned_job_has_its_turn_at_the_next_owner_beside_others_that_are_always_ready) {
  runtime rt(options());
  const auto test = []() -> task<bool> {
    flag pinned_ran{false};
    auto stuck = spawn([] { return spin_until_lost(); });
    auto pinned = spawn(spawn_options{.worker = 0}, say, &pinned_ran);
    auto a = spawn(give_way_until, &pinned_ran);
    auto b = spawn(give_way_until, &pinned_ran);
    const bool lost = co_await stuck;
    const bool before_a_ended = co_await a;
    const bool before_b_ended = co_await b;
    co_await pinned;
    co_return (lost && before_a_ended && before_b_ended);
  };
  EXPECT_TRUE(rt.block_on(test()));
}

TEST(handoff_off, without_it_the_others_wait) {
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const auto test = []() -> task<bool> {
    flag said{false};
    auto other = spawn(say, &said);
    // Several times as long as it would take by default.
    const auto end = std::chrono::steady_clock::now() + 60ms;
    while (std::chrono::steady_clock::now() < end) {
    }
    const bool ran = said.load();
    co_await other;
    co_return ran;
  };
  EXPECT_FALSE(rt.block_on(test()));
  const metrics_snapshot m = rt.metrics();
  EXPECT_EQ(m.handoffs, 0u);
  EXPECT_EQ(m.monitor_looks, 0u);
  EXPECT_EQ(m.spare_threads, 0u);
}

// --- the thread that lost its processor ----------------------------------------------------------

TEST_P(handoff, what_a_lost_thread_spawns_runs_elsewhere) {
  runtime rt(options());
  const auto test = []() -> task<bool> {
    if (!spin_until_lost()) co_return false;
    flag said{false};
    auto child = spawn(say, &said);
    const bool ran = spin_until(said);
    const auto mine = std::this_thread::get_id();
    auto where = spawn([] { return std::this_thread::get_id(); });
    co_await child;
    const auto other = co_await where;
    co_return (ran && other != mine);
  };
  EXPECT_TRUE(rt.block_on(test()));
}

task<> lose_it(bool* lost) {
  *lost = spin_until_lost();
  co_return;
}

TEST_P(handoff, who_awaited_the_stuck_task_goes_on_with_a_processor) {
  runtime rt(options());
  const auto test = []() -> task<int> {
    bool lost = false;
    const auto stuck_on = std::this_thread::get_id();
    co_await lose_it(&lost);
    if (!lost) co_return 1;
    if (std::this_thread::get_id() == stuck_on) co_return 2;
    if (!owns_processor()) co_return 3;
    co_return 0;
  };
  EXPECT_EQ(rt.block_on(test()), 0);
  EXPECT_TRUE(all_are_back(rt));
}

/// Every way to wait, begun on a thread that has just lost its processor. 0: it went on with one.
template <class Wait>
task<int> goes_on_with_one(Wait wait) {
  for (int i = 0; i < 3; ++i) {
    if (!spin_until_lost()) co_return 1;
    const bool right = co_await wait();
    if (!right) co_return 2;
    if (!owns_processor()) co_return 3;
  }
  co_return 0;
}

task<bool> sleeps() {
  co_await sleep_for(1ms);
  co_return true;
}
task<bool> yields() {
  co_await yield_now();
  co_return true;
}
task<bool> reads() {
  auto both = *net::unix_stream::pair();
  const auto written = co_await both.first.write_some(std::as_bytes(std::span("x", 1)));
  std::array<std::byte, 1> in{};
  const auto n = co_await both.second.read_some(in);
  co_return (written.has_value() && n.has_value() && *n == 1);
}
task<bool> times_out() {
  event never_set;
  const auto gave = co_await timeout(1ms, never_set.wait());
  co_return !gave.has_value();
}
task<bool> joins() {
  auto other = spawn([] { return 7; });
  const int got = co_await other;
  co_return got == 7;
}
task<bool> forks() {
  auto [a, b] = co_await fork_join([] { return sleeps(); }, [] { return sleeps(); });
  co_return (a && b);
}
task<bool> waits_for_a_word() {
  std::atomic<std::uint32_t> word{0};
  auto other = spawn(
      [](std::atomic<std::uint32_t>* w) {
        w->store(1);
        futex_wake(*w, 1);
      },
      &word);
  while (word.load() == 0) {
    auto op = futex_wait(word, 0);
    const auto how = co_await op;
    static_cast<void>(how);
  }
  co_await other;
  co_return true;
}

TEST_P(handoff, a_lost_thread_can_wait_for_everything) {
  runtime rt(options());
  const auto check = [&rt](const char* what, auto wait) {
    EXPECT_EQ(rt.block_on(goes_on_with_one(wait)), 0) << what;
  };
  check("sleep", sleeps);
  check("yield", yields);
  check("read", reads);
  check("timeout", times_out);
  check("join", joins);
  check("fork_join", forks);
  check("futex", waits_for_a_word);
}

task<int> sleep_begun_in_place() {
  if (!spin_until_lost()) co_return 1;
  // The owner of the timers sleeps by now, or is about to, without a deadline: it has nothing to
  // do.
  co_await sleep_for(1ms);
  co_return owns_processor() ? 0 : 2;
}
TEST_P(handoff, a_timer_that_a_lost_thread_arms_wakes_the_next_owner) {
  runtime rt(options());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(rt.block_on(sleep_begun_in_place()), 0);
}

task<int> timeout_begun_in_place() {
  event never_set;
  if (!spin_until_lost()) co_return 1;
  const auto gave = co_await timeout(1ms, never_set.wait());
  co_return gave.has_value() ? 2 : 0;
}
TEST_P(handoff, a_timeout_that_a_lost_thread_begins_ends) {
  runtime rt(options());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(rt.block_on(timeout_begun_in_place()), 0);
}

task<int> read_begun_in_place() {
  auto both = *net::unix_stream::pair();
  std::array<std::byte, 1> in{};
  auto writer = spawn(
      [](net::unix_stream* s) -> task<> {
        co_await sleep_for(1ms);
        const auto n = co_await s->write_some(std::as_bytes(std::span("x", 1)));
        static_cast<void>(n);
      },
      &both.first);
  if (!spin_until_lost()) co_return 1;
  const auto n = co_await both.second.read_some(in);
  co_await writer;
  co_return n.has_value() && *n == 1 ? 0 : 2;
}
TEST_P(handoff, a_read_that_a_lost_thread_begins_is_made_by_an_owner) {
  runtime rt(options());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(rt.block_on(read_begun_in_place()), 0);
}

// The first branch is the stuck one; the second lies on the deque that goes to another thread with
// it.
TEST_P(handoff, a_branch_on_the_deque_runs_while_its_maker_is_stuck) {
  runtime rt(options());
  const auto test = []() -> task<bool> {
    flag said{false};
    auto [stuck, other] = co_await fork_join([&said] { return spin_until(said); },
                                             [&said] {
                                               said = true;
                                               return true;
                                             });
    co_return (stuck && other);
  };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(rt.block_on(test()));
}

TEST_P(handoff, a_fiber_that_is_stuck_goes_on_with_a_processor_after_its_next_await) {
  runtime rt(options());
  const auto test = []() -> task<int> {
    auto stuck = go([] {
      flag said{false};
      auto other = spawn(say, &said);
      if (!spin_until(said)) return 1;
      await(sleep_for(1ms));
      if (!owns_processor()) return 2;
      await(other);
      return owns_processor() ? 0 : 3;
    });
    const int how = co_await stuck;
    co_return how;
  };
  EXPECT_EQ(rt.block_on(test()), 0);
}

/// Each processor has one owner: nobody else is inside, pinned, when this thread is.
bool is_its_only_owner(std::atomic<int> (&inside)[2]) {
  detail::worker* const w = detail::current_worker();
  const detail::worker::pinned here(*w);
  const detail::processor* const mine = here.processor();
  if (mine == nullptr) return true;  // it has none
  const bool alone = inside[mine->index].fetch_add(1) == 0;
  for (int i = 0; i < 100; ++i) cpu_pause();
  inside[mine->index].fetch_sub(1);
  return alone;
}

TEST_P(handoff, no_more_threads_have_a_processor_than_there_are_workers) {
  runtime rt(options(2));
  std::atomic<int> inside[2] = {};
  std::atomic<int> wrong{0};
  const auto test = [&]() -> task<> {
    std::vector<join_handle<>> jobs;
    for (int i = 0; i < 8; ++i) {
      jobs.push_back(spawn(
          [](std::atomic<int>(*in)[2], std::atomic<int>* bad) -> task<> {
            for (int turn = 0; turn < 50; ++turn) {
              if (turn % 25 == 0) static_cast<void>(spin_until_lost());
              co_await yield_now();
              if (!is_its_only_owner(*in)) ++*bad;
            }
          },
          &inside, &wrong));
    }
    for (auto& j : jobs) co_await j;
  };
  rt.block_on(test());
  EXPECT_EQ(wrong, 0);
  EXPECT_GE(rt.metrics().handoffs, 16u);
  EXPECT_TRUE(all_are_back(rt));
}

// --- the end

TEST(handoff_end, a_runtime_ends_with_threads_that_are_spare) {
  for (int i = 0; i < 20; ++i) {
    runtime rt({.workers = 2, .preempt_after = 1ms, .report_stuck = false});
    EXPECT_TRUE(rt.block_on(more_stuck_than_workers(3)));
  }
}

}  // namespace
}  // namespace weft
