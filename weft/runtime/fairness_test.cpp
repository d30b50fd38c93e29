// How long a job waits while its worker is busy with others: exact numbers of turns, on one worker and a
// clock that stands still. The bounds are those at the top of worker.hpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weft/queue/run_queue.hpp"
#include "weft/runtime/environment.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/awaiter.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/fork_join.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::virtual_runtime;

constexpr spawn_options high{.priority = priority::high};
constexpr spawn_options background{.priority = priority::background};
constexpr spawn_options pinned{.worker = 0};

/// One worker, so plain numbers do.
struct counts {
  int turns = 0;  // of all jobs that the test knows
  bool over = false;
};

/// One of a crowd: gives way again and again, and is always ready.
task<> yielding(counts& c) {
  while (!c.over) {
    ++c.turns;
    co_await yield_now();
  }
}
/// The same, and the longest that it waited.
task<> measured(counts& c, int& longest) {
  int last = c.turns;
  while (!c.over) {
    ++c.turns;
    longest = std::max(longest, c.turns - last);
    last = c.turns;
    co_await yield_now();
  }
}
struct crowd {
  std::vector<join_handle<>> jobs;
  crowd(spawn_options options, int size, counts& c) {
    for (int i = 0; i < size; ++i) jobs.push_back(spawn(options, yielding, std::ref(c)));
  }
};
task<> end(counts& c, crowd& all) {
  c.over = true;
  for (auto& job : all.jobs) co_await job;
}

/// A spawn from another thread: it has happened when this returns.
template <class Spawn>
void from_outside(Spawn spawn_it) {
  std::thread other(spawn_it);
  other.join();
}

/// A chain of jobs, each of which is made by the one before it, in the turn in which that one started: so
/// it waits as long as one can after the turn that was for jobs like it.
class relay_race {
 public:
  using make_next = void (*)(relay_race& race, runtime& rt);
  relay_race(counts& c, runtime& rt, make_next make) : counts_(c), rt_(rt), make_(make) {}

  void send() {
    sent_in_ = counts_.turns;
    make_(*this, rt_);
  }
  static void run(relay_race& self) {
    ++self.counts_.turns;
    if (self.started_++ > 0) {  // the first one was sent at any time
      self.longest = std::max(self.longest, self.counts_.turns - self.sent_in_);
    }
    if (!self.over()) self.send();
  }
  bool over() const noexcept { return started_ == 100; }
  int longest = 0;

 private:
  counts& counts_;
  runtime& rt_;
  const make_next make_;
  int sent_in_ = 0;
  int started_ = 0;
};

task<int> longest_wait(runtime& rt, spawn_options others, relay_race::make_next make) {
  counts c;
  crowd busy(others, 3, c);
  relay_race race(c, rt, make);
  race.send();
  while (!race.over()) {
    co_await yield_now();
    ++c.turns;
  }
  co_await end(c, busy);
  co_return race.longest;
}
int longest_wait(spawn_options others, relay_race::make_next make) {
  virtual_runtime rt;
  return rt.block_on(longest_wait(rt.get(), others, make));
}
template <priority P, unsigned Worker = any_worker>
void inject(relay_race& race, runtime& rt) {
  from_outside([&] {
    rt.spawn(spawn_options{.priority = P, .worker = Worker}, relay_race::run, std::ref(race))
        .detach();
  });
}
template <priority P>
void spawn_here(relay_race& race, runtime&) {
  spawn(spawn_options{.priority = P}, relay_race::run, std::ref(race)).detach();
}

TEST(fairness, an_injected_job_starts_within_61_turns) {
  EXPECT_EQ(longest_wait({}, inject<priority::normal>), 61);
  EXPECT_EQ(longest_wait(pinned, inject<priority::normal>), 61);
  EXPECT_EQ(longest_wait(high, inject<priority::normal>), 61);
}

TEST(fairness, an_inbox_is_emptied_within_8_turns_and_its_first_job_starts) {
  EXPECT_EQ(longest_wait({}, inject<priority::normal, 0>), 8);
  EXPECT_LE(longest_wait(high, inject<priority::normal, 0>), 8 + 16 + 1);
}

TEST(fairness, a_job_of_high_priority_from_outside_starts_within_8_turns) {
  EXPECT_EQ(longest_wait({}, inject<priority::high>), 8);
  // Every second look may meet the turn that is for the others: that depends on how often the worker looked
  // for work before it had any.
  EXPECT_LE(longest_wait(high, inject<priority::high>), 16);
}

TEST(fairness, a_job_of_high_priority_has_the_next_turn) {
  EXPECT_LE(longest_wait({}, spawn_here<priority::high>), 2);  // the next but for one in 16
}

TEST(fairness, a_background_job_starts_within_64_turns) {
  EXPECT_EQ(longest_wait({}, spawn_here<priority::background>), 64);
  EXPECT_EQ(longest_wait(high, spawn_here<priority::background>), 64);
  EXPECT_EQ(longest_wait({}, inject<priority::background>), 64);
  EXPECT_EQ(longest_wait(high, inject<priority::background>), 64);
}

task<int> background_turns_beside(int turns) {
  counts c, mine;
  crowd busy({}, 2, c);
  auto slow = spawn(background, yielding, std::ref(mine));
  while (c.turns < turns) co_await yield_now();
  const int had = mine.turns;
  mine.over = true;
  co_await end(c, busy);
  co_await slow;
  co_return had;
}

TEST(fairness, background_jobs_have_one_turn_in_64_while_there_is_something_else) {
  virtual_runtime rt;
  const int had = rt.block_on(background_turns_beside(6400));  // and half as many of ours
  EXPECT_GE(had, 9600 / 64 - 3);
  EXPECT_LE(had, 9600 / 64 + 3);
}

task<int> longest_gap(spawn_options of_crowd, int size, spawn_options of_measured) {
  counts c;
  int longest = 0;
  crowd busy(of_crowd, size, c);
  auto one = spawn(of_measured, measured, std::ref(c), std::ref(longest));
  while (c.turns < 5000) co_await sleep_for(0s);
  co_await end(c, busy);
  co_await one;
  co_return longest;
}

TEST(fairness, jobs_of_high_priority_leave_one_turn_in_16) {
  virtual_runtime rt;
  // The one that waits for the end takes every second of the turns that are left.
  EXPECT_EQ(rt.block_on(longest_gap(high, 3, {})), 15 + 15 + 1);
}

TEST(fairness, a_pinned_job_has_every_second_turn) {
  virtual_runtime rt;
  EXPECT_EQ(rt.block_on(longest_gap({}, 5, pinned)), 2);
}

TEST(fairness, pinned_jobs_leave_every_second_turn) {
  virtual_runtime rt;
  EXPECT_LE(rt.block_on(longest_gap(pinned, 5, {})), 4);  // two normal ones take them by turns
}

/// Waits until somebody calls happen(); as often as one likes.
class moment final : public awaitable_operation<moment> {
 public:
  moment() noexcept {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    if (waiter.owner()->arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
    return std::noop_coroutine();
  }
  void happen() noexcept { finish(false); }
  void withdraw() noexcept override {}
  const char* what() const noexcept override { return "moment"; }
  void await_resume() const noexcept {}
};

task<> pong(counts& c, moment& mine, moment& theirs, bool& gone) {
  for (;;) {
    co_await mine;
    ++c.turns;
    if (c.over) break;
    theirs.happen();
  }
  gone = true;
}
task<int> longest_gap_beside_ping_pong() {
  counts c;
  moment a, b;
  bool a_gone = false, b_gone = false;
  auto first = spawn(pong, std::ref(c), std::ref(a), std::ref(b), std::ref(a_gone));
  auto second = spawn(pong, std::ref(c), std::ref(b), std::ref(a), std::ref(b_gone));
  co_await yield_now();
  int longest = 0;
  auto third = spawn(measured, std::ref(c), std::ref(longest));
  a.happen();
  while (c.turns < 1000) co_await sleep_for(0s);
  c.over = true;
  co_await third;
  while (!a_gone && !b_gone) co_await yield_now();
  (a_gone ? b : a).happen();
  co_await first;
  co_await second;
  co_return longest;
}

TEST(fairness, two_that_wake_each_other_do_not_starve_a_third) {
  virtual_runtime rt;
  // Three turns through the LIFO slot, then the run queue: the third, or the one that waits for the end.
  EXPECT_EQ(rt.block_on(longest_gap_beside_ping_pong()), 3 + 3 + 1);
}

/// Time that goes only where a test says so.
class stepped final : public detail::environment {
 public:
  std::int64_t now_ns() noexcept override { return now; }
  bool skip_to(std::int64_t) noexcept override { return false; }
  bool is_virtual() const noexcept override { return true; }
  std::uint64_t seed() noexcept override { return 1; }
  result<std::unique_ptr<io::driver>> make_driver(driver kind,
                                                  std::string_view* why) noexcept override {
    return detail::real_environment().make_driver(kind, why);
  }
  std::int64_t now = 0;
};

/// Of a crowd, and moves the clock on once somebody sleeps.
task<> ticking(counts& c, stepped& time, std::int64_t& step_ns) {
  while (!c.over) {
    ++c.turns;
    time.now += std::exchange(step_ns, 0);
    co_await yield_now();
  }
}
task<int> longest_sleep(stepped& time, std::int64_t step_ns) {
  counts c;
  std::int64_t next_step_ns = 0;
  std::vector<join_handle<>> busy;
  for (int i = 0; i < 3; ++i) {
    busy.push_back(spawn(ticking, std::ref(c), std::ref(time), std::ref(next_step_ns)));
  }
  int longest = 0;
  for (int i = 0; i < 100; ++i) {
    const int from = c.turns;
    next_step_ns = step_ns;
    co_await sleep_for(1us);
    ++c.turns;
    if (i > 0) longest = std::max(longest, c.turns - from);
  }
  c.over = true;
  for (auto& job : busy) co_await job;
  co_return longest;
}
int longest_sleep(std::int64_t step_ns) {
  stepped time;
  runtime rt({.workers = 1}, time);
  auto job = rt.spawn(high, [&time, step_ns]() -> task<int> {
    const int longest = co_await longest_sleep(time, step_ns);
    co_return longest;
  });
  const auto join = [](join_handle<int>& h) -> task<int> { co_return co_await h; };
  return rt.block_on(join(job));
}

TEST(fairness, a_yielding_crowd_does_not_starve_timers_and_io) {
  // The one that sleeps has high priority, and so the turn in which it was looked.
  EXPECT_EQ(longest_sleep(2'000), 61);
  EXPECT_EQ(longest_sleep(50'000), 1 + 8);  // the clock moves in the turn after the sleeper's
}

task<int> longest_sleep_beside(int size, stepped& time) {
  counts c;
  std::int64_t next_step_ns = 0;
  std::vector<join_handle<>> busy;
  const auto ticking_for_long = [&]() -> task<> {
    while (!c.over && c.turns < 20'000) {
      ++c.turns;
      time.now += std::exchange(next_step_ns, 0);
      co_await yield_now();
    }
  };
  for (int i = 0; i < size; ++i) busy.push_back(spawn(ticking_for_long));
  int longest = 0;
  for (int i = 0; i < 10 && c.turns < 20'000; ++i) {
    const int from = c.turns;
    next_step_ns = 2'000;
    co_await sleep_for(1us);
    longest = std::max(longest, c.turns - from);
  }
  c.over = true;
  for (auto& job : busy) co_await job;
  co_return longest;
}

// A run queue that is full at each look, as nobody but those in it run, has no room for what a timer wakes.
TEST(fairness, a_full_run_queue_does_not_starve_timers) {
  const auto longest = [](int size) {
    stepped time;
    runtime rt({.workers = 1}, time);
    return rt.block_on(longest_sleep_beside(size, time));
  };
  constexpr int capacity = run_queue<job>::capacity;
  EXPECT_LE(longest(capacity), 61 + 1);
  // There is room for it, behind the others.
  for (int size : {capacity - 1, capacity + 1, 2 * capacity}) {
    EXPECT_LE(longest(size), 61 + capacity + 1) << size;
  }
}

task<int> turns_until_branch(runtime& rt) {
  counts c;
  crowd busy({}, 3, c);
  relay_race race(c, rt, inject<priority::normal>);
  race.send();
  int began = 0;
  const auto waits = [&]() -> task<> {
    while (began == 0 && !race.over()) {
      ++c.turns;
      co_await yield_now();
    }
  };
  const int from = c.turns;
  const auto branch = [&]() -> task<> {
    began = c.turns;
    co_return;
  };
  co_await fork_join(waits, branch);
  while (!race.over()) co_await yield_now();
  co_await end(c, busy);
  co_return began - from;
}

// Each 61st turn finds a job in the injector.
TEST(fairness, the_oldest_branch_starts_within_61_turns_although_jobs_come_from_outside) {
  virtual_runtime rt;
  EXPECT_LE(rt.block_on(turns_until_branch(rt.get())), 61 + 1);
}

task<int> turns_beside_yielding_siblings() {
  counts c;
  bool go = false;
  const auto waits = [&]() -> task<> {
    while (!go) co_await yield_now();
  };
  auto oldest = spawn(waits);
  std::vector<join_handle<>> many;
  for (int i = 0; i < 200; ++i) many.push_back(spawn([] {}));
  crowd busy({}, 2, c);
  for (auto& one : many) co_await one;
  go = true;
  const int from = c.turns;
  co_await oldest;
  const int took = c.turns - from;
  co_await end(c, busy);
  co_return took;
}

// It has made many since the one that it joins, but few of them wait in the run queue.
TEST(fairness, who_joins_a_child_waits_for_no_second_turn_of_its_siblings) {
  virtual_runtime rt;
  EXPECT_LE(rt.block_on(turns_beside_yielding_siblings()), 2 * 2);
}

task<> note(moment& m, std::string& log, char c) {
  co_await m;
  log += c;
}
void note_now(std::string& log, char c) { log += c; }

task<std::string> order_of_wakes(spawn_options first, spawn_options second) {
  std::string log;
  moment a, b;
  auto one = spawn(first, note, std::ref(a), std::ref(log), '1');
  auto two = spawn(second, note, std::ref(b), std::ref(log), '2');
  for (int i = 0; i < 200; ++i) co_await yield_now();  // background, too, has come to its wait
  auto queued = spawn(note_now, std::ref(log), 'q');
  a.happen();
  b.happen();
  while (log.size() < 3) co_await yield_now();  // joining would take the slot, too
  co_await one;
  co_await two;
  co_await queued;
  co_return log;
}

TEST(lifo_slot, the_newest_has_it_and_high_priority_goes_first_whichever_woke_first) {
  virtual_runtime rt;
  EXPECT_EQ(rt.block_on(order_of_wakes({}, {})), "2q1");
  EXPECT_EQ(rt.block_on(order_of_wakes(high, {})), "12q");
  EXPECT_EQ(rt.block_on(order_of_wakes({}, high)), "2q1");
  EXPECT_EQ(rt.block_on(order_of_wakes(high, high)), "12q");
}

TEST(lifo_slot, is_not_for_background_nor_for_pinned_jobs_that_a_thief_could_take) {
  virtual_runtime rt;
  EXPECT_EQ(rt.block_on(order_of_wakes(background, {})), "2q1");
  EXPECT_EQ(rt.block_on(order_of_wakes({}, background)), "1q2");
}

task<int> fork_in_background() {
  counts c;
  crowd busy({}, 2, c);
  int seen = 0;
  const auto part = [](int& n) -> task<> {
    co_await yield_now();
    ++n;
  };
  auto job = spawn(background, [&seen, part]() -> task<> {
    const auto one = [&seen, part] { return part(seen); };
    const auto two = [&seen, part] { return part(seen); };
    co_await fork_join(one, two);
  });
  const int from = c.turns;
  while (!job.done()) co_await yield_now();
  const int took = c.turns - from;
  co_await job;
  co_await end(c, busy);
  EXPECT_EQ(seen, 2);
  co_return took;
}

// Else a background job could have its work done sooner by forking it.
TEST(fairness, a_branch_has_the_priority_of_the_job_that_forked_it) {
  virtual_runtime rt;
  EXPECT_GE(rt.block_on(fork_in_background()), 2 * 64);
}

}  // namespace
}  // namespace weft
