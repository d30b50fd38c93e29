// Where jobs run: those that are pinned to a worker, and all of scheduling::per_core.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "weft/runtime/blocking.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/root.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

static_assert(sizeof(job) == 64, "every root_job and forked_job grows with it");
static_assert(sizeof(detail::root_of<void, detail::call_body<task<> (*)(int*), int*>>) == 88,
              "the usual job: a function and a word");

task<> nothing() { co_return; }
task<unsigned> where() {
  co_await yield_now();
  co_return this_task::worker();
}

/// Waits in every way that there is; false if it ever was on another worker.
task<bool> stays(unsigned home) {
  bool stayed = this_task::worker() == home;
  const auto look = [&stayed, home] { stayed = stayed && this_task::worker() == home; };
  for (int i = 0; i < 50; ++i) {
    co_await yield_now();
    look();
    co_await sleep_for(1ns);
    look();
    auto other = spawn(nothing);
    co_await other;  // ends on any worker
    look();
    co_await spawn_blocking([] {});  // woken by a thread that is no worker
    look();
    const auto timed = co_await timeout(1h, where());
    stayed = stayed && timed.value_or(any_worker) == home;
    look();
    auto [a, b] = co_await when_all(where(), where());
    stayed = stayed && a == home && b == home;
    look();
  }
  co_return stayed;
}
task<bool> all_stay(unsigned workers, int each) {
  std::vector<join_handle<bool>> jobs;
  for (unsigned w = 0; w < workers; ++w) {
    for (int i = 0; i < each; ++i) jobs.push_back(spawn(spawn_options{.worker = w}, stays, w));
  }
  bool all = true;
  for (auto& job : jobs) {
    const bool stayed = co_await job;
    all = all && stayed;
  }
  co_return all;
}

TEST(pinned_jobs, a_pinned_job_is_on_its_worker_after_every_wake) {
  runtime rt({.workers = 3});
  EXPECT_TRUE(rt.block_on(all_stay(3, 4)));
  EXPECT_GT(rt.metrics().arrived, 0u);
}

TEST(pinned_jobs, a_pinned_job_stays_with_virtual_time) {
  testing::virtual_runtime rt;
  EXPECT_TRUE(rt.block_on(all_stay(1, 2)));
}

TEST(pinned_jobs, priorities_hold_for_pinned_jobs) {
  runtime rt({.workers = 1});
  std::string log;
  const auto three = [](std::string& l) -> task<> {
    const auto note = [](std::string& to, char c) { to += c; };
    const auto with = [](priority p) { return spawn_options{.priority = p, .worker = 0}; };
    auto b = spawn(with(priority::background), note, std::ref(l), 'b');
    auto n = spawn(with(priority::normal), note, std::ref(l), 'n');
    auto h = spawn(with(priority::high), note, std::ref(l), 'h');
    co_await b;
    co_await n;
    co_await h;
  };
  rt.block_on(three(log));
  EXPECT_EQ(log, "hnb");
}

/// Until `asleep` workers more have gone to sleep than at `before`. Time-outs are infinite in tests, so
/// they stay there until somebody wakes them.
void wait_for_parks(runtime& rt, std::uint64_t before, std::uint64_t asleep) {
  while (rt.metrics().parks < before + asleep) std::this_thread::yield();
}

TEST(pinned_jobs, nobody_steals_a_pinned_job_of_a_busy_worker) {
  runtime rt({.workers = 3, .preempt_after = 0ms});  // else it changes hands, and they run
  std::atomic<bool> busy{false}, release{false};
  std::atomic<int> here{0}, elsewhere{0};
  auto holder = rt.spawn(spawn_options{.worker = 1}, [&] {
    for (int i = 0; i < 20; ++i) {
      spawn(spawn_options{.priority = static_cast<priority>(i % 3), .worker = 1}, [&] {
        ++(this_task::worker() == 1 ? here : elsewhere);
      }).detach();
    }
    busy = true;
    busy.notify_all();
    release.wait(false);
  });
  busy.wait(false);
  // The others run something, look everywhere for more, and sleep again.
  const auto before = rt.metrics().parks;
  const auto any = [](join_handle<unsigned>& h) -> task<unsigned> { co_return co_await h; };
  for (unsigned w : {0u, 2u}) {
    auto job = rt.spawn(spawn_options{.worker = w}, where);
    EXPECT_EQ(rt.block_on(any(job)), w);
  }
  wait_for_parks(rt, before, 2);
  EXPECT_EQ(here + elsewhere, 0);
  release = true;
  release.notify_all();
  const auto join = [](join_handle<>& h) -> task<> { co_await h; };
  rt.block_on(join(holder));
  while (here + elsewhere < 20) std::this_thread::yield();
  EXPECT_EQ(elsewhere, 0);
}

// One that yields alone stays with its worker and tells nobody. A pinned job that comes first must not
// leave it lying there while the other worker sleeps.
TEST(pinned_jobs, a_lone_yielder_is_taken_over_when_a_pinned_job_holds_its_worker) {
  runtime rt({.workers = 2});
  std::atomic<unsigned> turns{0}, home{0};
  std::atomic<bool> done{false};
  auto yielder = rt.spawn([&]() -> task<> {
    while (!done) {
      home = this_task::worker();
      ++turns;
      co_await yield_now();
    }
  });
  for (int round = 0; round < 20; ++round) {
    const unsigned begun = turns;
    while (turns < begun + 1000) std::this_thread::yield();
    auto holder = rt.spawn(spawn_options{.worker = home}, [&] {
      const unsigned seen = turns;
      while (turns == seen) std::this_thread::yield();
    });
    const auto join = [](join_handle<>& h) -> task<> { co_await h; };
    rt.block_on(join(holder));
  }
  done = true;
  const auto join = [](join_handle<>& h) -> task<> { co_await h; };
  rt.block_on(join(yielder));
}

// Who gives way alone comes straight back, and wakes nobody; but not if the next turn is a pinned job's.
TEST(pinned_jobs, who_gives_way_to_a_pinned_job_may_go_on_on_another_worker) {
  runtime rt({.workers = 2});
  wait_for_parks(rt, 0, 2);
  std::atomic<int> turns{0};
  std::atomic<bool> over{false};
  bool helped = false;
  const auto gives_way = [&]() -> task<> {
    spawn(spawn_options{.worker = this_task::worker()}, [&] {
      const int before = turns;
      for (int i = 0; i < 1'000'000 && turns == before; ++i) std::this_thread::yield();
      helped = turns != before;
      over = true;
    }).detach();
    while (!over) {
      ++turns;
      co_await yield_now();
    }
  };
  rt.block_on(gives_way());
  EXPECT_TRUE(helped);
}

/// Worker 0 makes jobs of its own, and is then busy until the others have run them all.
struct busy_worker {
  std::atomic<bool> made{false}, release{false};
  std::string log;  // of worker 1 alone
  std::atomic<int> left{0};

  void note(char c) {
    log += c;
    if (--left == 0) release = true, release.notify_all();
  }
  /// A worker that is busy until the other one has made its jobs; then it looks for something to do.
  void wait_on_1() { made.wait(false); }
  template <class Make>
  void make_on_0(Make make) {
    make();
    made = true;
    made.notify_all();
    release.wait(false);
  }
};
task<> join_both(join_handle<>& a, join_handle<>& b) {
  co_await a;
  co_await b;
}

TEST(pinned_jobs, a_thief_takes_high_priority_first_and_background_last) {
  runtime rt({.workers = 2});
  busy_worker w;
  w.left = 3;
  auto one = rt.spawn(spawn_options{.worker = 1}, [&] { w.wait_on_1(); });
  auto zero = rt.spawn(spawn_options{.worker = 0}, [&] {
    w.make_on_0([&] {
      const auto note = [&w](char c) { w.note(c); };
      spawn(spawn_options{.priority = priority::background}, note, 'b').detach();
      spawn(note, 'n').detach();
      spawn(spawn_options{.priority = priority::high}, note, 'h').detach();
    });
  });
  rt.block_on(join_both(zero, one));
  EXPECT_EQ(w.log, "hnb");
}

TEST(pinned_jobs, a_worker_with_background_jobs_helps_one_that_has_better_ones) {
  runtime rt({.workers = 2});
  busy_worker w;
  w.left = 23;
  auto one = rt.spawn(spawn_options{.worker = 1}, [&] {
    for (int i = 0; i < 20; ++i) {
      spawn(spawn_options{.priority = priority::background, .worker = 1}, [&w] {
        w.note('b');
      }).detach();
    }
    w.wait_on_1();
  });
  auto zero = rt.spawn(spawn_options{.worker = 0}, [&] {
    w.make_on_0([&] {
      for (int i = 0; i < 3; ++i) spawn([&w] { w.note('n'); }).detach();
    });
  });
  rt.block_on(join_both(zero, one));
  EXPECT_EQ(w.log.size(), 23u);
  EXPECT_LE(w.log.find('n'), 8u) << w.log;
}

TEST(pinned_jobs, this_task_knows_its_worker) {
  runtime rt({.workers = 2});
  EXPECT_EQ(this_task::worker(), any_worker);
  EXPECT_LT(rt.block_on(where()), 2u);
}

TEST(pinned_jobs_death_test, a_worker_that_does_not_exist_is_named_as_the_mistake) {
  const auto wrong = [](unsigned worker) {
    runtime rt({.workers = 2});
    rt.spawn(spawn_options{.worker = worker}, nothing).detach();
  };
  EXPECT_DEATH(wrong(2), "a worker that this runtime does not have");
  EXPECT_DEATH(wrong(70'000), "a worker that this runtime does not have");
}

// Two that are pinned to different workers wake each other: each wake may find the other one awake, on
// its way to sleep, or asleep. A lost one hangs.
task<> hand_over(std::atomic<int>& ball, int parity, int rounds) {
  while (ball.load() < rounds) {
    if (ball.load() % 2 == parity) {
      ++ball;
      auto next = spawn(spawn_options{.worker = static_cast<unsigned>(1 - parity)}, nothing);
      co_await next;
    } else {
      co_await yield_now();
    }
  }
}
TEST(pinned_jobs, wakes_between_workers_are_not_lost) {
  runtime rt({.workers = 2});
  std::atomic<int> ball{0};
  auto a = rt.spawn(spawn_options{.worker = 0}, hand_over, std::ref(ball), 0, 2000);
  auto b = rt.spawn(spawn_options{.worker = 1}, hand_over, std::ref(ball), 1, 2000);
  const auto both = [](join_handle<>& x, join_handle<>& y) -> task<> {
    co_await x;
    co_await y;
  };
  rt.block_on(both(a, b));
}

// --- per_core ------------------------------------------------------------------------------------------

task<bool> family_stays(unsigned home, int depth) {
  bool all = this_task::worker() == home;
  if (depth == 0) co_return all;
  std::vector<join_handle<bool>> children;
  for (int i = 0; i < 3; ++i) children.push_back(spawn(family_stays, home, depth - 1));
  for (auto& child : children) {
    const bool stayed = co_await child;
    all = all && stayed && this_task::worker() == home;
  }
  const auto one = [] { return where(); };
  const auto two = [] { return where(); };
  auto [a, b] = co_await fork_join(one, two);
  all = all && a == home && b == home;
  co_return all;
}
task<bool> begin_family() {
  const bool all = co_await family_stays(this_task::worker(), 5);
  co_return all;
}

TEST(per_core, a_job_and_all_that_it_makes_stay_on_one_worker) {
  runtime rt({.workers = 3, .mode = scheduling::per_core});
  std::vector<join_handle<bool>> families;
  for (int i = 0; i < 6; ++i) families.push_back(rt.spawn(begin_family));
  const auto join = [](join_handle<bool>& h) -> task<bool> { co_return co_await h; };
  for (auto& family : families) EXPECT_TRUE(rt.block_on(join(family)));
  EXPECT_TRUE(rt.block_on(all_stay(3, 2)));
  EXPECT_EQ(rt.metrics().stolen, 0u);
  EXPECT_EQ(rt.metrics().injected, 0u);
}

TEST(per_core, jobs_from_outside_go_to_the_workers_in_turn) {
  runtime rt({.workers = 3, .mode = scheduling::per_core});
  for (unsigned i = 0; i < 9; ++i) EXPECT_EQ(rt.block_on(where()), i % 3);
}

task<> spawn_many(int n) {
  std::vector<join_handle<>> all;
  for (int i = 0; i < n; ++i) all.push_back(spawn(nothing));
  for (auto& h : all) co_await h;
  const auto one = [] { return nothing(); };
  const auto two = [] { return nothing(); };
  for (int i = 0; i < n; ++i) co_await fork_join(one, two);
}

TEST(per_core, what_a_job_makes_wakes_no_other_worker) {
  runtime rt({.workers = 3, .mode = scheduling::per_core});
  wait_for_parks(rt, 0, 3);
  rt.block_on(spawn_many(1000));  // more than a run queue holds
  wait_for_parks(rt, 3, 1);       // of the one worker that ran it
  EXPECT_EQ(rt.metrics().parks, 4u);
  EXPECT_EQ(rt.metrics().overflowed, 0u);
}

TEST(per_core, works_on_one_worker) {
  runtime rt({.workers = 1, .mode = scheduling::per_core});
  EXPECT_TRUE(rt.block_on(all_stay(1, 3)));
}

}  // namespace
}  // namespace weft
