// Jobs and what they refer to, when the runtime goes: cycles, every step of a scenario, wakes that come
// late, and the thread on which things are destroyed.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weft/base/config.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/channel/oneshot.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/driven_test_support.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/mutex.hpp"
#include "weft/sync/notify.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/scope.hpp"
#include "weft/together/select.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

using namespace test;
using testing::virtual_runtime;

// ---- who refers to whom

/// Two jobs, each with the handle of the other: what keeps them is a circle.
struct circle {
  join_handle<> a, b;
  event complete;
  atomic<int>* gone = nullptr;
  ~circle() { gone->fetch_add(1, order::relaxed); }
};
task<> joins_the_other(std::shared_ptr<circle> all, bool first) {
  co_await all->complete.wait();
  co_await (first ? all->b : all->a);
}

TEST(runtime_lifetime, jobs_that_await_each_other_go_with_their_runtime) {
  for (const unsigned workers : {1u, 2u}) {
    for (int round = 0; round < 50; ++round) {
      atomic<int> gone(0);
      {
        runtime rt({.workers = workers, .io = driver::epoll});
        rt.block_on([](atomic<int>& counts) -> task<> {
          auto all = std::make_shared<circle>();
          all->gone = &counts;
          all->a = spawn(joins_the_other, all, true);
          all->b = spawn(joins_the_other, all, false);
          all->complete.set();
          all.reset();  // the last to go destroys the handles of both, one of which is its own
          for (int i = 0; i < 4; ++i) co_await yield_now();
        }(gone));
      }
      ASSERT_EQ(gone.load(order::relaxed), 1);
    }
  }
}

/// The same by a job that holds the only handle of itself, and waits for what never comes.
TEST(runtime_lifetime, job_that_owns_its_own_handle_goes_with_its_runtime) {
  std::weak_ptr<join_handle<>> left;
  {
    runtime rt({.workers = 1, .io = driver::epoll});
    rt.block_on([](std::weak_ptr<join_handle<>>& watched) -> task<> {
      auto own = std::make_shared<join_handle<>>();
      watched = own;
      *own = spawn([own]() -> task<> { co_await sleep_for(1h); });
      own.reset();
      for (int i = 0; i < 4; ++i) co_await yield_now();
    }(left));
    EXPECT_FALSE(left.expired());
  }
  EXPECT_TRUE(left.expired());
}

/// A value in flight that holds both ends of what it is in.
TEST(runtime_lifetime, message_that_holds_the_handle_of_its_receiver_goes_with_the_runtime) {
  std::weak_ptr<int> left;
  {
    runtime rt({.workers = 1, .io = driver::epoll});
    rt.block_on([](std::weak_ptr<int>& watched) -> task<> {
      struct parcel {
        std::shared_ptr<int> content;
        join_handle<> of_receiver;
      };
      auto ends = channel<std::unique_ptr<parcel>>(2);
      auto wrapped = std::make_unique<parcel>();
      wrapped->content = std::make_shared<int>(1);
      watched = wrapped->content;
      wrapped->of_receiver = spawn(
          [](receiver<std::unique_ptr<parcel>> from) -> task<> {
            co_await sleep_for(1h);
            static_cast<void>(co_await from.recv());
          },
          std::move(ends.receiver));
      EXPECT_TRUE(ends.sender.try_send(std::move(wrapped)));
      for (int i = 0; i < 4; ++i) co_await yield_now();
    }(left));
  }
  EXPECT_TRUE(left.expired());
}

/// It would wait for itself. So does exit() in a job of a runtime that is a static object.
TEST(runtime_lifetime_death_test, runtime_that_is_destroyed_in_its_own_job_says_so) {
  const auto destroyed_inside = [] {
    std::optional<runtime> rt(std::in_place, runtime_options{.workers = 1, .io = driver::epoll});
    rt->spawn([&rt] { rt.reset(); }).detach();
    for (;;) std::this_thread::yield();
  };
  EXPECT_DEATH(destroyed_inside(), "would wait for that one");
}

TEST(runtime_lifetime_death_test, shutdown_of_a_runtime_in_its_own_job_says_so) {
  for (const auto mode : {scheduling::work_stealing, scheduling::current_thread}) {
    const auto ended_inside = [mode] {
      runtime rt({.mode = mode, .io = driver::epoll});
      rt.block_on([](runtime& own) -> task<> {
        static_cast<void>(own.shutdown(1h));
        co_return;
      }(rt));
    };
    EXPECT_DEATH(ended_inside(), "a job ends the runtime that it runs on");
  }
}

/// Nor in work of its own pool, whose end it would wait for.
TEST(runtime_lifetime_death_test, runtime_that_is_ended_in_its_own_blocking_work_says_so) {
  for (const auto mode : {scheduling::work_stealing, scheduling::current_thread}) {
    const auto shut_down_inside = [mode] {
      runtime rt({.workers = 1, .mode = mode, .io = driver::epoll});
      rt.block_on([](runtime* own) -> task<> {
        co_await spawn_blocking([own] { static_cast<void>(own->shutdown(1h)); });
      }(&rt));
    };
    EXPECT_DEATH(shut_down_inside(), "work of spawn_blocking.. ends its own runtime");
  }
  const auto destroyed_inside = [] {
    std::optional<runtime> rt(std::in_place, runtime_options{.workers = 1, .io = driver::epoll});
    rt->block_on([](std::optional<runtime>* own) -> task<> {
      co_await spawn_blocking([own] { own->reset(); });
    }(&rt));
  };
  EXPECT_DEATH(destroyed_inside(), "destroyed in work of its own spawn_blocking");
}

TEST(runtime_lifetime, runtime_is_ended_in_blocking_work_of_another_one) {
  runtime rt({.workers = 1, .io = driver::epoll});
  rt.block_on([]() -> task<> {
    co_await spawn_blocking([] {
      runtime other({.workers = 1, .io = driver::epoll});
      auto h = other.spawn(sleep_long);
      EXPECT_TRUE(other.shutdown(20s).has_value());
      EXPECT_TRUE(h.done());
    });
  }());
}

/// That of another runtime may be: it has a thread to run on.
TEST(runtime_lifetime, runtime_is_ended_in_a_job_of_another_one) {
  runtime rt({.workers = 1, .io = driver::epoll});
  rt.block_on([]() -> task<> {
    runtime other({.workers = 1, .io = driver::epoll});
    auto h = other.spawn(sleep_long);
    EXPECT_TRUE(other.shutdown(20s).has_value());
    EXPECT_TRUE(h.done());
    co_return;
  }());
}

// ---- handles that are there when the runtime is gone

struct mishap : std::runtime_error {
  using std::runtime_error::runtime_error;
};
[[noreturn]] void fails() { throw mishap("too late"); }
task<> fails_later() {
  co_await yield_now();
  throw mishap("too late");
}
template <class F>
auto of_a_runtime_that_is_gone(F f, scheduling mode = scheduling::work_stealing) {
  runtime rt({.workers = 1, .mode = mode, .io = driver::epoll, .on_panic = panic_policy::abort});
  auto h = rt.spawn(spawn_options{.name = "left over"}, f);
  rt.block_on([](auto& of) -> task<> {
    while (!of.done()) co_await yield_now();
  }(h));
  return h;
}

TEST(runtime_lifetime, exception_in_a_handle_that_outlives_its_runtime_is_said_on_stderr) {
  for (const auto mode : {scheduling::work_stealing, scheduling::current_thread}) {
    for (const bool detaches : {false, true}) {
      auto h = mode == scheduling::current_thread ? of_a_runtime_that_is_gone(fails_later, mode)
                                                  : of_a_runtime_that_is_gone(fails, mode);
      const std::uint64_t id = h.id();
      ::testing::internal::CaptureStderr();
      if (detaches) {
        h.detach();
      } else {
        h = {};
      }
      EXPECT_EQ(
          ::testing::internal::GetCapturedStderr(),
          "weft: job " + std::to_string(id) +
              " 'left over' ended by an exception that nobody joined (its handle outlived its "
              "runtime): too late\n");
    }
  }
}

/// What stands at its address now has another policy, and is not asked.
TEST(runtime_lifetime, exception_in_a_handle_is_not_told_to_a_later_runtime) {
  std::vector<join_handle<>> left;
  for (int i = 0; i < 4; ++i) {
    left.push_back(of_a_runtime_that_is_gone(fails));
    runtime next({.workers = 1, .io = driver::epoll, .on_panic = panic_policy::abort});
    ::testing::internal::CaptureStderr();
    left.clear();
    EXPECT_NE(::testing::internal::GetCapturedStderr().find("outlived"), std::string::npos);
  }
}

/// The same of the loop of a plain thread.
TEST(runtime_lifetime, exception_in_a_handle_that_outlives_a_block_on_is_said_on_stderr) {
  join_handle<> h;
  block_on([](join_handle<>& out) -> task<> {
    out = spawn(fails);
    while (!out.done()) co_await yield_now();
  }(h));
  ::testing::internal::CaptureStderr();
  h = {};
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("too late"), std::string::npos);
}

TEST(runtime_lifetime, handle_that_outlives_its_runtime_can_be_used_as_of_any_job_that_has_ended) {
  auto value = of_a_runtime_that_is_gone([] { return 7; });
  auto failed = of_a_runtime_that_is_gone(fails_later);
  auto joined_in_a_job = of_a_runtime_that_is_gone(fails);
  join_handle<> stopped;
  {
    runtime rt({.workers = 1, .io = driver::epoll});
    stopped = rt.spawn(sleep_long);
  }
  stopped.stop();
  value.stop();
  failed.stop();
  EXPECT_TRUE(value.done());
  EXPECT_NE(value.id(), 0u);
  EXPECT_EQ(block_on(value), 7);
  EXPECT_THROW(block_on(failed), mishap);
  runtime later({.workers = 1, .io = driver::epoll, .on_panic = panic_policy::abort});
  later.block_on([](join_handle<>& a, join_handle<>& b) -> task<> {
    const auto first = co_await a.outcome();
    EXPECT_EQ(first.kind(), outcome_kind::exception);
    const auto second = co_await b.outcome();
    EXPECT_TRUE(second.stopped());
  }(joined_in_a_job, stopped));
}

/// It is told, or it is gone: never half of it.
TEST(runtime_lifetime, handle_goes_while_its_runtime_does) {
  constexpr int rounds = WEFT_TSAN || WEFT_ASAN ? 10 : 50;
  constexpr int jobs = 200;  // so many that it takes as long to let them go as to end a runtime
  ::testing::internal::CaptureStderr();
  for (int round = 0; round < rounds; ++round) {
    std::optional<runtime> rt(
        std::in_place,
        runtime_options{.workers = 1, .io = driver::epoll, .on_panic = panic_policy::log});
    std::vector<join_handle<>> handles;
    for (int i = 0; i < jobs; ++i) handles.push_back(rt->spawn(fails));
    for (auto& h : handles) {
      while (!h.done()) std::this_thread::yield();
    }
    std::atomic<bool> begun{false};
    std::thread drops([&] {
      begun = true;
      handles.clear();
    });
    while (!begun) std::this_thread::yield();
    rt.reset();
    drops.join();
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), jobs * rounds);
}

// ---- the end at every step

struct things {
  int alive = 0;  // objects in frames
  class held {
   public:
    explicit held(things& t) : n_(&t.alive) { ++*n_; }
    held(held&& o) noexcept : n_(std::exchange(o.n_, nullptr)) {}
    ~held() {
      if (n_ != nullptr) --*n_;
    }

   private:
    int* n_;
  };
  semaphore permits{1};
  mutex lock;
  event never_set;
  int entered = 0;
};

task<> yields(things& t, int n) {
  const things::held h(t);
  for (int i = 0; i < n; ++i) co_await yield_now();
}
task<> sends(things& t, sender<std::unique_ptr<things::held>> to, int n) {
  const things::held h(t);
  for (int i = 0; i < n; ++i) {
    const auto sent = co_await to.send(std::make_unique<things::held>(t));
    if (!sent) co_return;
  }
}
task<> receives(things& t, receiver<std::unique_ptr<things::held>> from) {
  const things::held h(t);
  for (;;) {
    const auto got = co_await from.recv();
    if (!got) co_return;
  }
}
task<> takes_turns(things& t, int n) {
  const things::held h(t);
  for (int i = 0; i < n; ++i) {
    co_await t.permits.acquire();
    const semaphore_guard permit(t.permits);
    const auto locked = co_await t.lock.lock();
    ++t.entered;
    co_await yield_now();
  }
}
task<> waits_in_vain(things& t) {
  const things::held h(t);
  co_await t.never_set.wait();
}
task<> cleans_up_under_a_shield(things& t) {
  const things::held h(t);
  const auto ended = co_await timeout(1h, waits_in_vain(t));
  static_cast<void>(ended);
  const shield_scope to_the_end;
  co_await yields(t, 3);
}
task<> has_children(things& t) {
  const things::held h(t);
  co_await scope([&t](scope_ref s) -> task<> {
    s.spawn(waits_in_vain, std::ref(t));
    s.spawn(yields, std::ref(t), 5);
    s.spawn(takes_turns, std::ref(t), 3);
    co_await yields(t, 2);
    s.spawn(sleep_long);
  });
}
task<> chooses(things& t, receiver<std::unique_ptr<things::held>> from) {
  const things::held h(t);
  for (int i = 0; i < 5; ++i) {
    const auto won = co_await select(from.recv(), t.permits.acquire(), sleep_for(1h));
    if (won.index() == 1) t.permits.release();
  }
}
task<> all_of_it(things& t) {
  const things::held h(t);
  auto rendezvous = channel<std::unique_ptr<things::held>>(0);
  auto buffered = channel<std::unique_ptr<things::held>>(3);
  auto left = unbounded<std::unique_ptr<things::held>>();
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(left.sender.try_send(std::make_unique<things::held>(t)));  // nobody takes them
  auto ends = oneshot<things::held>();
  std::vector<join_handle<>> jobs;
  jobs.push_back(spawn(sends, std::ref(t), std::move(rendezvous.sender), 30));
  jobs.push_back(spawn(receives, std::ref(t), std::move(rendezvous.receiver)));
  jobs.push_back(spawn(sends, std::ref(t), std::move(buffered.sender), 40));
  jobs.push_back(spawn(chooses, std::ref(t), buffered.receiver));
  jobs.push_back(spawn(receives, std::ref(t), std::move(buffered.receiver)));
  for (int i = 0; i < 3; ++i) jobs.push_back(spawn(takes_turns, std::ref(t), 8));
  jobs.push_back(spawn(yields, std::ref(t), 60));
  jobs.push_back(spawn(has_children, std::ref(t)));
  jobs.push_back(spawn(cleans_up_under_a_shield, std::ref(t)));
  spawn(waits_in_vain, std::ref(t)).detach();
  spawn(
      [](things& all, oneshot_receiver<things::held> from) -> task<> {
        const things::held own(all);
        static_cast<void>(co_await from.recv());
      },
      std::ref(t), std::move(ends.receiver))
      .detach();
  {
    auto pair = co_await net::test::connected_pair();
    EXPECT_TRUE(pair.has_value());
    if (!pair) co_return;
    jobs.push_back(spawn(echo_until_closed, std::move(pair->server)));  // reads what never comes
    const auto sent = co_await pair->client.write_all(net::test::bytes_of("hello"));
    EXPECT_TRUE(sent.has_value());
    const int four = co_await spawn_blocking([](int two) { return 2 * two; }, 2);
    EXPECT_EQ(four, 4);
    auto [x, y] = co_await when_all(give(1), give(2));
    EXPECT_EQ(x + y, 3);
    co_await yields(t, 120);
    jobs.push_back(spawn(
        [](things& all, net::tcp_stream stays_open) -> task<> {
          const things::held own(all);
          co_await sleep_for(1h);
          static_cast<void>(stays_open);
        },
        std::ref(t), std::move(pair->client)));
  }
  auto last = std::move(jobs.back());
  co_await last;  // for an hour
}

bool differs(const census& a, const census& b) {
  return a.frames != b.frames || a.jobs != b.jobs || a.fds != b.fds || a.timers != b.timers ||
         a.threads != b.threads;
}

class runtime_lifetime_on : public net::test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(drivers, runtime_lifetime_on, net::test::drivers_for_guests,
                         net::test::driver_name);

// A runtime that another loop drives goes on job by job, so it can go after each of them.
TEST_P(runtime_lifetime_on, destroyed_after_any_step_it_leaves_nothing) {
  std::uint64_t turns = 0;  // steps in which a job ran
  for (unsigned last = 0; turns < 300; last += WEFT_TSAN ? 3 : 1) {
    ASSERT_LT(last, 5000u) << "the scenario came to rest after " << turns << " turns";
    things t;  // outlives the runtime, as what a program's jobs refer to may
    const census before = live_census();
    {
      runtime rt({.mode = scheduling::guest, .io = GetParam()});
      rt.spawn(all_of_it, std::ref(t)).detach();
      for (unsigned step = 0; step < last; ++step) static_cast<void>(rt.run_ready(1));
      turns = rt.metrics().turns;
    }
    ASSERT_EQ(t.alive, 0) << "after step " << last;
    ASSERT_EQ(t.permits.available(), 1u) << "after step " << last;
    ASSERT_FALSE(t.lock.is_locked()) << "after step " << last;
    ASSERT_FALSE(differs(before, live_census())) << "after step " << last;
  }
}

// ---- wakes that come late

/// They go on for as long as the runtime does, and longer. Who was stopped waits no more.
TEST(runtime_lifetime, wakes_of_foreign_threads_after_its_end_find_nobody) {
  constexpr int rounds = WEFT_TSAN || WEFT_ASAN ? 60 : 300;
  for (int round = 0; round < rounds; ++round) {
    semaphore permits(0);
    notify news;
    event bell(event::auto_reset);
    auto ends = channel<int>(1);
    std::atomic<bool> over{false};
    std::atomic<int> taken{0};
    int released = 0;
    std::thread foreign([&] {
      for (int after = 0; after < 20;) {
        permits.release();
        ++released;
        news.notify_one();
        news.notify_all();
        bell.set();
        static_cast<void>(ends.sender.try_send(1));
        if (over) ++after;
      }
    });
    const auto waits = [&]() -> task<> {
      for (;;) {
        co_await permits.acquire();
        taken.fetch_add(1);
        co_await news.wait();
        co_await bell.wait();
        static_cast<void>(co_await ends.receiver.recv());
      }
    };
    {
      runtime rt({.workers = 2, .io = driver::epoll});
      for (int i = 0; i < 4; ++i) rt.spawn(std::cref(waits)).detach();
      if (round % 3 != 0) {
        while (taken.load() < round % 7) std::this_thread::yield();
      }
    }
    over = true;
    foreign.join();
    ASSERT_EQ(static_cast<int>(permits.available()) + taken.load(), released);
  }
}

/// A job of another runtime waits for one of a runtime that goes, and is told.
TEST(runtime_lifetime, joiner_of_another_runtime_is_told_of_the_end) {
  for (int round = 0; round < 50; ++round) {
    runtime stays({.workers = 1, .io = driver::epoll});
    std::optional<runtime> goes(std::in_place, runtime_options{.workers = 1, .io = driver::epoll});
    std::atomic<bool> waits{false};
    auto joiner = stays.spawn(
        [](join_handle<> of, std::atomic<bool>& begun) -> task<bool> {
          begun = true;
          const auto end = co_await of.outcome();
          co_return end.stopped();
        },
        goes->spawn(sleep_long), std::ref(waits));
    while (!waits) std::this_thread::yield();
    std::thread end([&] { goes.reset(); });
    EXPECT_TRUE(stays.block_on(joiner));
    end.join();
  }
}

// ---- where things are destroyed

/// Knows the worker that it belongs to, and notes whether it died anywhere else.
class native {
 public:
  native(unsigned home, std::atomic<int>& died, std::atomic<int>& astray) noexcept
      : home_(home), died_(&died), astray_(&astray) {}
  native(native&& o) noexcept
      : home_(o.home_), died_(std::exchange(o.died_, nullptr)), astray_(o.astray_) {}
  ~native() {
    if (died_ == nullptr) return;
    died_->fetch_add(1);
    if (this_task::worker() != home_) astray_->fetch_add(1);
  }

 private:
  unsigned home_;
  std::atomic<int>* died_;
  std::atomic<int>* astray_;
};
task<> inner_native(unsigned home, std::atomic<int>& died, std::atomic<int>& astray) {
  const native own(home, died, astray);
  co_await sleep_for(1h);
}
task<> native_of(native given, unsigned home, std::atomic<int>& died, std::atomic<int>& astray) {
  const native own(home, died, astray);
  co_await inner_native(home, died, astray);
  static_cast<void>(given);
}

TEST(runtime_lifetime, what_a_pinned_job_has_is_destroyed_on_its_worker_whoever_ends_it) {
  enum class by { stop, stop_by_a_worker, dropped_handle, shutdown };
  for (const by how : {by::stop, by::stop_by_a_worker, by::dropped_handle, by::shutdown}) {
    for (unsigned round = 0; round < 50; ++round) {
      std::atomic<int> died{0}, astray{0};
      {
        runtime rt({.workers = 2, .io = driver::epoll});
        std::vector<join_handle<>> jobs;
        for (unsigned home : {0u, 1u, 0u, 1u}) {
          // Captures and arguments belong to it, too.
          jobs.push_back(rt.spawn(
              spawn_options{.worker = home},
              [capture = native(home, died, astray), home, &died, &astray](native given) {
                return native_of(std::move(given), home, died, astray);
              },
              native(home, died, astray)));
        }
        if (round % 2 == 0) rt.block_on(yield_now());
        if (how == by::stop || how == by::stop_by_a_worker) {
          const auto stop_all = [&jobs] {
            for (auto& j : jobs) j.stop();
          };
          if (how == by::stop) {
            stop_all();
          } else {
            auto stopper = rt.spawn(spawn_options{.worker = round / 2 % 2}, stop_all);
            rt.block_on(stopper);
          }
          const auto join = [](join_handle<>& j) -> task<> {
            const auto end = co_await j.outcome();
            EXPECT_TRUE(end.stopped());
          };
          for (auto& j : jobs) rt.block_on(join(j));
        } else if (how == by::dropped_handle) {
          jobs.clear();
        } else {
          EXPECT_TRUE(rt.shutdown(10s).has_value());
        }
      }
      ASSERT_GE(died.load(), 8);
      ASSERT_EQ(astray.load(), 0) << "way " << static_cast<int>(how) << " round " << round;
    }
  }
}

// ---- a stop and a completion in the same tick

TEST(runtime_lifetime, timer_and_stop_of_one_tick_are_one_completion) {
  for (const auto& [stop_at, stopped] : {std::pair{9ms, true}, {10ms, false}, {11ms, false}}) {
    for (const bool stopper_first : {true, false}) {
      virtual_runtime rt;
      int completed = 0;
      const auto sleeps = [](int& n) -> task<int> {
        co_await sleep_for(10ms);
        ++n;
        co_return 7;
      };
      const auto scenario = [&]() -> task<bool> {
        join_handle<int> sleeper;
        const auto stop_it = [](join_handle<int>& h, std::chrono::milliseconds at) -> task<> {
          co_await sleep_for(at);
          h.stop();
        };
        join_handle<> stopper;
        if (stopper_first) stopper = spawn(stop_it, std::ref(sleeper), stop_at);
        sleeper = spawn(sleeps, std::ref(completed));
        if (!stopper_first) stopper = spawn(stop_it, std::ref(sleeper), stop_at);
        const auto end = co_await sleeper.outcome();
        co_await stopper;
        EXPECT_EQ(end.has_value(), completed == 1) << "the value goes with the completion";
        co_return end.stopped();
      };
      EXPECT_EQ(rt.block_on(scenario()), stopped) << stop_at.count() << ' ' << stopper_first;
    }
  }
}

}  // namespace
}  // namespace weft
