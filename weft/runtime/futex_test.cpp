// futex_wait on each driver, in each mode, and in plain threads. A wake is counted by the kernel, so the
// tests wait for nothing but that count: as many wakes as arrived, so many waits must end as woken.
#include "weft/runtime/futex.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/io/futex_waiters.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/testing/cancel_everywhere.hpp"
#include "weft/testing/virtual_time.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using word = std::atomic<std::uint32_t>;

struct kind {
  const char* name;
  driver io;
  scheduling mode;
  unsigned workers;
  futex_scope scope;
};
constexpr kind kinds[] = {
    {"epoll", driver::epoll, scheduling::work_stealing, 2, futex_scope::process_private},
    {"epoll_shared", driver::epoll, scheduling::work_stealing, 1, futex_scope::process_shared},
    {"poll", driver::poll, scheduling::work_stealing, 2, futex_scope::process_private},
    {"poll_shared", driver::poll, scheduling::work_stealing, 1, futex_scope::process_shared},
    {"beside", driver::automatic, scheduling::work_stealing, 2, futex_scope::process_private},
    {"beside_shared", driver::automatic, scheduling::work_stealing, 1, futex_scope::process_shared},
    {"ring", driver::io_uring, scheduling::work_stealing, 2, futex_scope::process_private},
    {"ring_shared", driver::io_uring, scheduling::work_stealing, 1, futex_scope::process_shared},
};

class futex_test : public ::testing::TestWithParam<kind> {
 protected:
  futex_scope scope() const { return GetParam().scope; }
  /// Wakes until it has woken `n`. A waiter that is lost hangs here.
  void wake(word& w, std::uint32_t n) {
    while (n != 0) {
      const std::uint32_t woken = futex_wake(w, n, scope());
      n -= woken;
      if (woken == 0) std::this_thread::yield();
    }
  }
  runtime rt{{.workers = GetParam().workers, .mode = GetParam().mode, .io = GetParam().io}};
};
INSTANTIATE_TEST_SUITE_P(each, futex_test, ::testing::ValuesIn(kinds),
                         [](const auto& p) { return std::string(p.param.name); });

task<futex_status> wait_once(word& w, std::uint32_t expected, futex_scope scope) {
  const auto how = co_await futex_wait(w, expected, scope);
  co_return how;
}
task<> wait_while(word& w, std::uint32_t value, futex_scope scope) {
  while (w.load() == value) co_await futex_wait(w, value, scope);
}

TEST_P(futex_test, word_that_does_not_hold_what_is_expected_is_not_waited_for) {
  word w{1};
  EXPECT_EQ(rt.block_on(wait_once(w, 0, scope())), futex_status::changed);
  EXPECT_EQ(futex_wake(w, 1, scope()), 0u);
}

TEST_P(futex_test, waits_until_it_is_woken) {
  word w{7};
  auto waiting = rt.spawn(wait_once, std::ref(w), 7u, scope());
  wake(w, 1);
  EXPECT_EQ(rt.block_on(waiting), futex_status::woken);
}

TEST_P(futex_test, wakes_as_many_as_were_asked_for) {
  word w{0};
  std::vector<join_handle<futex_status>> all;
  for (int i = 0; i < 5; ++i) all.push_back(rt.spawn(wait_once, std::ref(w), 0u, scope()));
  wake(w, 2);
  int ended = 0;
  while (ended < 2) {
    ended = 0;
    for (auto& one : all) ended += one.done() ? 1 : 0;
    std::this_thread::yield();
  }
  EXPECT_EQ(ended, 2);
  wake(w, 3);
  for (auto& one : all) EXPECT_EQ(rt.block_on(one), futex_status::woken);
  EXPECT_EQ(futex_wake(w, 100, scope()), 0u);
}

TEST_P(futex_test, change_between_the_look_and_the_sleep_is_not_lost) {
  word turn{0};
  constexpr std::uint32_t rounds = 2'000;
  auto waits = [](word& w, std::uint32_t mine, futex_scope s) -> task<> {
    for (std::uint32_t i = mine; i < rounds; i += 2) {
      for (std::uint32_t seen = w.load(); seen != i; seen = w.load()) {
        co_await futex_wait(w, seen, s);
      }
      w.store(i + 1);
      futex_wake(w, 10, s);
    }
  };
  auto a = rt.spawn(waits, std::ref(turn), 0u, scope());
  std::thread b([&] {  // a foreign thread takes every second turn
    for (std::uint32_t i = 1; i < rounds; i += 2) {
      for (std::uint32_t seen = turn.load(); seen != i; seen = turn.load()) {
        blocking_futex_wait(turn, seen, scope());
      }
      turn.store(i + 1);
      futex_wake(turn, 10, scope());
    }
  });
  rt.block_on(a);
  b.join();
  EXPECT_EQ(turn.load(), rounds);
}

TEST_P(futex_test, stopped_wait_ends_and_uses_up_no_wake) {
  word w{0};
  auto stopped = rt.spawn(wait_once, std::ref(w), 0u, scope());
  auto stays = rt.spawn(wait_once, std::ref(w), 0u, scope());
  stopped.stop();
  EXPECT_TRUE(rt.block_on(stopped.outcome()).stopped());
  wake(w, 1);
  EXPECT_EQ(rt.block_on(stays), futex_status::woken);
  EXPECT_EQ(futex_wake(w, 1, scope()), 0u);
}

task<> wait_and_count(word& w, futex_scope scope, std::atomic<int>& woken) {
  const auto how = co_await futex_wait(w, 0, scope);
  if (how == futex_status::woken) ++woken;
}

TEST_P(futex_test, each_wake_that_arrived_completes_a_wait_however_many_are_being_stopped) {
  rng random(test_support::seed());
  word w{0};
  std::atomic<int> woken{0};
  std::uint32_t arrived = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<join_handle<>> all;
    for (int i = 0; i < 4; ++i) {
      all.push_back(rt.spawn(wait_and_count, std::ref(w), scope(), std::ref(woken)));
    }
    for (auto& one : all) {
      switch (random.below(3)) {
        case 0:
          one.stop();
          break;
        case 1:
          arrived += futex_wake(w, 1, scope());
          break;
        default:
          std::this_thread::yield();
      }
    }
    for (auto& one : all) {
      one.stop();
      static_cast<void>(rt.block_on(one.outcome()));
    }
  }
  EXPECT_EQ(static_cast<std::uint32_t>(woken.load()), arrived);
}

TEST_P(futex_test, time_limit_ends_it_and_a_wake_before_that_is_told) {
  word w{0};
  EXPECT_EQ(rt.block_on(futex_wait_for(w, 0, 1ms, scope())), futex_status::timed_out);
  EXPECT_EQ(futex_wake(w, 1, scope()), 0u);
  auto waiting = rt.spawn([&w, s = scope()] { return futex_wait_for(w, 0, 1h, s); });
  wake(w, 1);
  EXPECT_EQ(rt.block_on(waiting), futex_status::woken);
}

TEST_P(futex_test, runtime_that_ends_stops_the_waits) {
  word w{0};
  for (int i = 0; i < 10; ++i) rt.spawn(wait_while, std::ref(w), 0u, scope()).detach();
}

TEST(futex, plain_thread_waits_by_block_on) {
  word w{0};
  std::thread waker([&w] {
    while (futex_wake(w, 1) == 0) std::this_thread::yield();
  });
  EXPECT_EQ(block_on(futex_wait(w, 0)), futex_status::woken);
  waker.join();
  EXPECT_EQ(block_on(futex_wait(w, 1)), futex_status::changed);
  EXPECT_EQ(block_on(futex_wait_for(w, 0, 1ms)), futex_status::timed_out);
  EXPECT_EQ(blocking_futex_wait(w, 0, futex_scope::process_private, 1), futex_status::timed_out);
}

TEST(futex, word_of_the_library_will_do) {
  atomic<std::uint32_t> w{1};
  runtime rt({.workers = 1});
  auto waiting = rt.spawn([&w]() -> task<futex_status> {
    const auto how = co_await futex_wait(w, 1);
    co_return how;
  });
  while (futex_wake(w, 1) == 0) std::this_thread::yield();
  EXPECT_EQ(rt.block_on(waiting), futex_status::woken);
  static_assert(!futex_word<std::atomic<std::uint64_t>> && !futex_word<std::uint32_t>);
}

TEST(futex, thread_of_a_wait_leaves_when_it_has_had_none_for_a_while) {
  io::futex_waiters brief(1);  // nanosecond
  word w{0};
  class plain_wait final : public awaitable_operation<plain_wait, io::io_operation> {
   public:
    plain_wait(io::futex_waiters& in, word& w) noexcept : in_(in) {
      waits_for_futex(reinterpret_cast<std::uint32_t*>(&w), 0, futex_scope::process_private);
    }
    std::coroutine_handle<> start(promise_base& who) noexcept {
      switch (in_.submit(*this, who)) {
        case io::submitted::done:
          return ready_at_once(*this, who);
        case io::submitted::pending:
          return std::noop_coroutine();
        case io::submitted::stopped:
          break;
      }
      return unwind(who);
    }
    void withdraw() noexcept override { in_.withdraw(*this); }
    std::int64_t await_resume() const noexcept { return answer; }

   private:
    io::futex_waiters& in_;
  };
  std::atomic<bool> over{false};
  std::thread waker([&] {
    while (!over) futex_wake(w, 1), std::this_thread::yield();
  });
  for (int i = 0; i < 200; ++i) {  // each finds its thread waiting, leaving or gone
    plain_wait waiting(brief, w);
    EXPECT_EQ(block_on(waiting), io::io_operation::answer_futex_woken);
  }
  over = true;
  waker.join();
}

#if WEFT_CENSUS
class futex_stop_test : public ::testing::TestWithParam<driver> {};
INSTANTIATE_TEST_SUITE_P(each, futex_stop_test,
                         ::testing::Values(driver::epoll, driver::io_uring, driver::poll,
                                           driver::automatic));

// No timers: the virtual clock stands still while a ring has something under way.
task<> waits_and_is_woken(futex_scope scope) {
  word w{0};
  auto waker = spawn([&w, scope]() -> task<> {
    for (int i = 0; i < 3; ++i) co_await yield_now();
    w = 1;
    futex_wake(w, 1, scope);
  });
  co_await wait_while(w, 0, scope);
  co_await waker;
}
TEST_P(futex_stop_test, stopped_at_every_await_nothing_is_left) {
  for (const auto scope : {futex_scope::process_private, futex_scope::process_shared}) {
    const auto seen = testing::cancel_everywhere(
        [scope](testing::virtual_runtime& rt) { return rt.spawn(waits_and_is_woken, scope); },
        [](bool) {}, {.io = GetParam()});
    EXPECT_GT(seen.stopped, 0u);
  }
}
#endif

// --- Other processes

/// Runs f in a child, which ends with its answer; the system ends it after a minute.
template <class F>
int in_child(F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    ::_exit(f() ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

class futex_process_test : public ::testing::TestWithParam<driver> {};
INSTANTIATE_TEST_SUITE_P(each, futex_process_test,
                         ::testing::Values(driver::epoll, driver::io_uring, driver::poll,
                                           driver::automatic));

#if !WEFT_TSAN  // which cannot start threads in the child of a fork
TEST_P(futex_process_test, private_wait_of_a_process_without_threads_is_woken_by_its_first_one) {
  const driver io = GetParam();
  EXPECT_EQ(in_child([io] {
              word w{0};
              runtime rt({.mode = scheduling::current_thread, .io = io});
              std::atomic<bool> in_line{false};
              return rt.block_on([](word& word_, std::atomic<bool>& flag) -> task<bool> {
                auto waiting = spawn(wait_once, std::ref(word_), 0u, futex_scope::process_private);
                // Two rounds through the driver: the wait is in the kernel before the process's first thread.
                co_await sleep_for(1ms);
                co_await sleep_for(1ms);
                std::thread first([&] {
                  while (!flag) {
                    if (futex_wake(word_, 1) == 1) flag = true;
                    std::this_thread::yield();
                  }
                });
                const auto how = co_await waiting;
                first.join();
                co_return how == futex_status::woken;
              }(w, in_line));
            }),
            0);
}
#endif

TEST_P(futex_process_test, word_in_shared_memory_is_woken_by_another_process) {
  void* const memory =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto& w = *new (memory) word{0};
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    while (futex_wake(w, 1, futex_scope::process_shared) == 0) ::sched_yield();
    ::_exit(0);
  }
  {
    runtime rt({.workers = 1, .io = GetParam()});
    EXPECT_EQ(rt.block_on(wait_once(w, 0, futex_scope::process_shared)), futex_status::woken);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  ::munmap(memory, 4096);
}

}  // namespace
}  // namespace weft
