// Regions of fibers: they share a worker although they never wait, and lose nothing by it. The turns are asked
// to end by a thread of the tests (ticker), and no monitor looks. Beside one: preemptible_monitor_test.cpp. What the
// handler does: preempt_x86_64_test.cpp.
#include "weft/runtime/preemptible.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cfenv>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/fiber/preempt_test_support.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/time.hpp"
#include "weft/runtime/yield_if_due.hpp"
#include "weft/sync/event.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/testing/cancel_everywhere.hpp"

namespace weft::fiber_test {
namespace {

using namespace std::chrono_literals;
using detail::preempt_statistics;
using detail::preemption;
using clock = std::chrono::steady_clock;

constexpr auto patience = 60s;  // a bound for what takes milliseconds
constexpr std::uint64_t rounds_max = 5'000'000'000;

/// Computes until `flag` is set. False: it was not, for so many rounds: seconds.
WEFT_PREEMPTIBLE bool spin_until(const std::atomic<bool>& flag, std::uint64_t rounds = rounds_max) {
  for (std::uint64_t i = 0; i < rounds; ++i) {
    if (flag.load(std::memory_order_relaxed)) return true;
  }
  return false;
}

/// Waits, in a job, until its turn was asked to end.
bool spin_until_due() {
  const auto give_up_at = clock::now() + patience;
  while (!this_task::should_yield()) {
    if (clock::now() > give_up_at) return false;
  }
  return true;
}

// --- what is live in an interrupted function --------------------------------------------------------

// Short form: a thousand. WEFT_STRESS_OPERATIONS=1000000: as many, however long that takes (some minutes).
std::uint64_t preemptions_wanted() {
  const char* const asked = std::getenv("WEFT_STRESS_OPERATIONS");
  return asked != nullptr ? std::strtoull(asked, nullptr, 10) : 1000;
}

void keeps_every_register(bool migrates) {
  constexpr unsigned workers = 2, seeds = 8;
  const unsigned fibers = migrates ? 3 : 8;
  constexpr int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  const auto all = kernels();
  // What is right is found out where nobody interrupts.
  std::vector<std::array<std::array<std::uint64_t, 4>, seeds>> right(all.size());
  for (std::size_t k = 0; k < all.size(); ++k) {
    for (unsigned s = 0; s < seeds; ++s) {
      for (int m = 0; m < 4; ++m) {
        std::fesetround(modes[m]);
        right[k][s][m] = all[k].run(s * 12345 + 7, all[k].count);
      }
    }
  }
  std::fesetround(FE_TONEAREST);

  const std::uint64_t wanted = preemptions_wanted();
  const auto give_up_at =
      clock::now() + (wanted > 1000 ? 4h : std::chrono::hours::zero()) + patience;
  const std::uint64_t before = preempt_statistics().calls_pushed;
  std::atomic<std::uint64_t> checked{0}, wrong{0}, moved{0};
  {
    runtime rt({.workers = workers, .preempt_after = 0ms});
    const ticker slices(rt, workers, 100us);
    std::vector<join_handle<>> handles;
    for (unsigned f = 0; f < fibers; ++f) {
      const auto computes = [&, f] {
        const int mode = static_cast<int>(f % 4);
        std::fesetround(modes[mode]);
        std::mt19937 draw(static_cast<unsigned>(test_support::seed()) + f);
        while (preempt_statistics().calls_pushed - before < wanted && clock::now() < give_up_at) {
          const std::size_t k = draw() % all.size();
          const unsigned s = draw() % seeds;
          const unsigned begun_on = this_task::worker();
          const std::uint64_t sum = preemptible(all[k].run, s * 12345 + 7, all[k].count);
          if (sum != right[k][s][mode] || std::fegetround() != modes[mode]) ++wrong;
          if (this_task::worker() != begun_on) ++moved;
          ++checked;
          if (draw() % 8 == 0) await(yield_now());
          // A worker that has nothing else takes one that has given way, in the middle of a kernel.
          if (migrates && draw() % 4 == 0) await(sleep_for(20us));
        }
        std::fesetround(FE_TONEAREST);
      };
      spawn_options options;
      if (migrates) {
        options.migrates = true;
      } else {
        options.worker = f % workers;
      }
      handles.push_back(rt.go(options, computes));
    }
    for (auto& each : handles) rt.block_on(each);
  }
  EXPECT_EQ(wrong, 0u) << "of " << checked;
  EXPECT_GE(preempt_statistics().calls_pushed - before, wanted) << "in " << checked << " checks";
  if (!migrates) {
    EXPECT_EQ(moved, 0u);
  } else {
    EXPECT_NE(moved, 0u) << "none went on on another worker in " << checked << " checks";
  }
  std::printf("%llu preemptions in %llu checks, %llu of them ended on another worker, %llu wrong\n",
              static_cast<unsigned long long>(preempt_statistics().calls_pushed - before),
              static_cast<unsigned long long>(checked), static_cast<unsigned long long>(moved),
              static_cast<unsigned long long>(wrong));
}

TEST(preemptible, keeps_every_register_of_fibers_that_stay_on_their_worker) {
  SKIP_WITHOUT_PREEMPTION();
  keeps_every_register(false);
}
TEST(preemptible, keeps_every_register_of_fibers_that_migrate) {
  SKIP_WITHOUT_PREEMPTION();
  keeps_every_register(true);
}

// --- sharing a worker -------------------------------------------------------------------------------

TEST(preemptible, two_that_never_wait_let_a_third_job_on) {
  SKIP_WITHOUT_PREEMPTION();
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 1ms);
  std::atomic<bool> enough{false};
  const auto spins = [&] { return preemptible(spin_until, enough, rounds_max); };
  auto a = rt.go(spins);
  auto b = rt.go(spins);
  // In turns and not in time, which is the machine's: of the spinning two, since the beat before.
  struct lateness {
    std::uint64_t turns = 0, turns_max = 0;
    std::chrono::nanoseconds time_max{0};
  };
  constexpr std::uint64_t beats = 20;
  auto heart = rt.spawn([&]() -> task<lateness> {
    lateness seen;
    for (std::uint64_t i = 0; i < beats; ++i) {
      const std::uint64_t before = preempt_statistics().calls_pushed;
      const auto due = clock::now() + 1ms;
      co_await sleep_until(due);
      seen.time_max = std::max<std::chrono::nanoseconds>(seen.time_max, clock::now() - due);
      const std::uint64_t turns = preempt_statistics().calls_pushed - before;
      seen.turns += turns;
      seen.turns_max = std::max(seen.turns_max, turns);
    }
    enough = true;
    co_return seen;
  });
  const lateness seen = rt.block_on(heart);
  EXPECT_TRUE(rt.block_on(a));
  EXPECT_TRUE(rt.block_on(b));
  // A turn lasts 1 to 2 ms, or longer if the machine is busy: it is due within the first or the second, and
  // those of both may come before it.
  EXPECT_LE(seen.turns, 4 * beats);
  EXPECT_LE(seen.turns_max, 8u);
  std::printf(
      "a beat each ms beside two that spin: after %.1f turns of theirs, %.1f ms late at most\n",
      static_cast<double>(seen.turns) / beats, static_cast<double>(seen.time_max.count()) / 1e6);
}

TEST(preemptible, two_that_never_wait_take_turns) {
  SKIP_WITHOUT_PREEMPTION();
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 200us);
  std::atomic<bool> at[2] = {false, false};
  // Each waits for the other one to have begun, though none gives way by itself.
  const auto meets = [&](int mine) {
    at[mine] = true;
    return preemptible(spin_until, at[1 - mine], rounds_max);
  };
  auto a = rt.go(meets, 0);
  auto b = rt.go(meets, 1);
  EXPECT_TRUE(rt.block_on(a));
  EXPECT_TRUE(rt.block_on(b));
}

TEST(preemptible, a_marked_lambda_gives_way_too) {
  SKIP_WITHOUT_PREEMPTION();
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 200us);
  std::atomic<bool> set{false};
  auto spins = rt.go([&] {
    return preemptible([&]() WEFT_PREEMPTIBLE {
      for (std::uint64_t i = 0; i < rounds_max; ++i) {
        if (set.load(std::memory_order_relaxed)) return true;
      }
      return false;
    });
  });
  auto other = rt.go([&] { set = true; });
  EXPECT_TRUE(rt.block_on(spins));
  rt.block_on(other);
}

TEST(preemptible, code_without_the_mark_goes_on_to_its_end) {
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 200us);
  std::atomic<bool> set{false};
  auto spins = rt.go([&] {
    return preemptible([&] {
      const auto until = clock::now() + 20ms;
      while (clock::now() < until) {
        if (set) return true;
      }
      return false;
    });
  });
  auto other = rt.go([&] { set = true; });
  EXPECT_FALSE(rt.block_on(spins));
  rt.block_on(other);
}

TEST(preemptible, only_calls_where_no_fiber_runs) {
  EXPECT_EQ(preemptible([](int x) { return 2 * x; }, 21), 42);
  int here = 1;
  int& same = preemptible([](int& x) -> int& { return x; }, here);
  EXPECT_EQ(&same, &here);
  runtime rt({.workers = 1});
  const auto in_coroutine = []() -> task<int> {
    const int inside = preemptible([] { return 5; });
    co_return inside;
  };
  EXPECT_EQ(rt.block_on(in_coroutine()), 5);
  EXPECT_THROW(rt.block_on(rt.go([] { preemptible([] { throw 3; }); })), int);
}

TEST(preemptible, a_coroutine_that_computes_in_a_region_is_not_interrupted) {
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 200us);
  const std::uint64_t before = preempt_statistics().calls_pushed;
  const auto computes = []() -> task<> {
    for (int i = 0; i < 20; ++i) {
      for (const kernel& k : kernels()) preemptible(k.run, 3u, 10 * k.count);
    }
    co_return;
  };
  rt.block_on(computes());
  // Also one that a fiber awaits: it runs on the thread's stack.
  rt.block_on(rt.go([&] { preemptible([&] { await(computes()); }); }));
  EXPECT_EQ(preempt_statistics().calls_pushed, before);
}

/// Signals without an end to the worker's thread, by somebody who asks for nothing.
void among_signals(const std::function<void()>& compute) {
  runtime rt({.workers = 1, .preempt_after = 0ms});
  rt.block_on(rt.go([&] {
    preemptible([] {});  // the handler is installed, and the thread open
    std::atomic<bool> over{false};
    std::atomic<int> sent{0};
    std::thread signals([&, to = os::current_thread_id()] {
      for (; !over; ++sent) {
        preemption::interrupt(to);
        std::this_thread::yield();
      }
    });
    const auto give_up_at = clock::now() + patience;
    while (sent < 500 && clock::now() < give_up_at) compute();
    over = true;
    signals.join();
    EXPECT_GE(sent, 500);
  }));
}

void compute_for_long() { static_cast<void>(kernels()[0].run(1, 20 * kernels()[0].count)); }

TEST(preemptible, a_signal_that_nobody_asked_for_changes_nothing) {
  const std::uint64_t before = preempt_statistics().calls_pushed;
  among_signals([] { preemptible(compute_for_long); });
  EXPECT_EQ(preempt_statistics().calls_pushed, before);
}

TEST(preemptible, who_is_due_but_in_no_region_is_not_interrupted) {
  const std::uint64_t before = preempt_statistics().calls_pushed;
  among_signals([] {
    auto& turns = detail::current_worker()->current_turn;
    EXPECT_EQ(turns.ask_to_end(turns.now()), detail::turn_state::ask_result::asked);
    compute_for_long();
  });
  EXPECT_EQ(preempt_statistics().calls_pushed, before);
}

// --- what belongs to a thread -------------------------------------------------------------------------

thread_local int number_of_thread = 0;
WEFT_NOINLINE int& this_threads_number() {
  asm volatile("");
  return number_of_thread;
}

/// One computes in slices, and another one beside it spoils what is the thread's and not a fiber's.
template <class Before, class After>
void beside_one_that_spoils_it(Before before, void (*spoil)(), After after) {
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 100us);
  std::atomic<bool> over{false};
  auto spoils = rt.go([&] {
    for (int i = 0; i < 200'000 && !over; ++i) {
      spoil();
      await(yield_now());
    }
  });
  auto computes = rt.go([&] {
    const std::uint64_t pushed = preempt_statistics().calls_pushed;
    const auto give_up_at = clock::now() + patience;
    while (preempt_statistics().calls_pushed - pushed < 20 && clock::now() < give_up_at) {
      before();
      preemptible(kernels()[0].run, 1, 20 * kernels()[0].count);
      after();
    }
    EXPECT_GE(preempt_statistics().calls_pushed - pushed, 20u);
    over = true;
  });
  rt.block_on(computes);
  rt.block_on(spoils);
}

TEST(preemptible, errno_is_what_it_was) {
  SKIP_WITHOUT_PREEMPTION();
  beside_one_that_spoils_it([] { errno = 1234; }, [] { errno = 4321; },
                            [] { EXPECT_EQ(errno, 1234); });
}

TEST(preemptible, modes_of_rounding_are_what_they_were) {
  SKIP_WITHOUT_PREEMPTION();
  beside_one_that_spoils_it([] { std::fesetround(FE_UPWARD); },
                            [] { std::fesetround(FE_DOWNWARD); },
                            [] { EXPECT_EQ(std::fegetround(), FE_UPWARD); });
}

TEST(preemptible, exceptions_that_are_caught_are_what_they_were) {
  SKIP_WITHOUT_PREEMPTION();
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 100us);
  std::atomic<bool> over{false};
  auto others = rt.go([&] {
    for (int i = 0; i < 200'000 && !over; ++i) {
      try {
        throw std::runtime_error("of the other one");
      } catch (const std::exception&) {
        await(yield_now());
      }
    }
  });
  auto computes = rt.go([&] {
    const std::uint64_t pushed = preempt_statistics().calls_pushed;
    const auto give_up_at = clock::now() + patience;
    while (preempt_statistics().calls_pushed - pushed < 20 && clock::now() < give_up_at) {
      std::string caught;
      try {
        try {
          throw std::runtime_error("its own");
        } catch (const std::exception&) {
          preemptible(kernels()[0].run, 1, 20 * kernels()[0].count);
          throw;
        }
      } catch (const std::exception& e) {
        caught = e.what();
      }
      EXPECT_EQ(caught, "its own");
      EXPECT_EQ(std::uncaught_exceptions(), 0);
    }
    over = true;
  });
  rt.block_on(computes);
  rt.block_on(others);
}

TEST(preemptible, what_is_thread_local_is_the_threads_for_a_fiber_that_stays) {
  SKIP_WITHOUT_PREEMPTION();
  runtime rt({.workers = 2, .preempt_after = 0ms});
  const ticker slices(rt, 2, 100us);
  std::vector<join_handle<>> all;
  for (int f = 0; f < 4; ++f) {
    all.push_back(rt.go(spawn_options{.worker = static_cast<unsigned>(f % 2)}, [] {
      for (int i = 0; i < 50; ++i) {
        int* const mine = &this_threads_number();
        preemptible(kernels()[0].run, 1, 10 * kernels()[0].count);
        EXPECT_EQ(&this_threads_number(), mine);
      }
    }));
  }
  for (auto& each : all) rt.block_on(each);
}

TEST(preemptible, alternate_signal_stack_stays_the_threads) {
  SKIP_WITHOUT_PREEMPTION();
  runtime rt({.workers = 2, .preempt_after = 0ms});
  const ticker slices(rt, 2, 100us);
  std::array<void*, 2> stacks{};
  const auto stack_of_thread = [] {
    stack_t now = {};
    ::sigaltstack(nullptr, &now);
    return now.ss_sp;
  };
  for (unsigned w = 0; w < 2; ++w) {
    auto asks = rt.go(spawn_options{.worker = w}, [&] { return stack_of_thread(); });
    stacks[w] = rt.block_on(asks);
  }
  EXPECT_NE(stacks[0], stacks[1]);
  std::vector<join_handle<>> all;
  for (int f = 0; f < 4; ++f) {
    all.push_back(rt.go(spawn_options{.migrates = true}, [&] {
      for (int i = 0; i < 50; ++i) {
        preemptible(kernels()[0].run, 1, 10 * kernels()[0].count);
        EXPECT_EQ(stack_of_thread(), stacks[this_task::worker()]);
        await(yield_now());
      }
    }));
  }
  for (auto& each : all) rt.block_on(each);
}

// --- ends ---------------------------------------------------------------------------------------------

TEST(preemptible, one_that_is_stopped_while_it_has_given_way_computes_on_to_its_next_await) {
  SKIP_WITHOUT_PREEMPTION();
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 200us);
  std::atomic<bool> begun{false}, stopped{false}, computed{false}, unwound{false}, went_on{false};
  auto spins = rt.go([&] {
    struct notes {
      std::atomic<bool>& flag;
      ~notes() { flag = true; }
    } at_the_end{unwound};
    begun = true;
    computed = preemptible(spin_until, stopped, rounds_max);
    await(yield_now());
    went_on = true;
  });
  // It stops a job that is ready, behind this one in the queue.
  auto stops = rt.go([&] {
    for (int i = 0; i < 1'000'000 && !begun; ++i) await(yield_now());
    spins.stop();
    // And gives way once more, when it has been stopped for long.
    const std::uint64_t pushed = preempt_statistics().calls_pushed;
    const auto give_up_at = clock::now() + patience;
    while (preempt_statistics().calls_pushed < pushed + 2 && clock::now() < give_up_at) {
      await(yield_now());
    }
    stopped = true;
  });
  rt.block_on(stops);
  EXPECT_THROW(rt.block_on(spins), error);
  EXPECT_TRUE(computed);
  EXPECT_TRUE(unwound);
  EXPECT_FALSE(went_on);
}

TEST(preemptible, one_that_has_given_way_is_joined) {
  SKIP_WITHOUT_PREEMPTION();
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 200us);
  std::atomic<bool> joining{false};
  auto joins = rt.go([&] {
    auto spins = go([&] { return preemptible(spin_until, joining, rounds_max); });
    await(yield_now());  // it begins, and comes back here only by a slice's end
    joining = true;
    return await(spins);
  });
  EXPECT_TRUE(rt.block_on(joins));
}

TEST(preemptible, a_region_is_left_by_an_exception_and_by_a_stop) {
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 100us);
  event never;
  auto waits = rt.go([&] { preemptible([&] { await(never.wait()); }); });
  auto throws = rt.go([] {
    try {
      preemptible([] { throw 1; });
    } catch (int) {
    }
    // In no region any more: not interrupted.
    const std::uint64_t before = preempt_statistics().calls_pushed;
    for (int i = 0; i < 20; ++i) kernels()[0].run(1, 10 * kernels()[0].count);
    EXPECT_EQ(preempt_statistics().calls_pushed, before);
  });
  rt.block_on(throws);
  waits.stop();
  EXPECT_THROW(rt.block_on(waits), error);
}

TEST(preemptible, regions_nest) {
  SKIP_WITHOUT_PREEMPTION();
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 200us);
  std::atomic<bool> set{false};
  auto spins = rt.go([&] {
    return preemptible([&] {
      preemptible([] {});
      await(yield_now());
      return spin_until(set);
    });
  });
  auto other = rt.go([&] { set = true; });
  EXPECT_TRUE(rt.block_on(spins));
  rt.block_on(other);
}

TEST(preemptible, a_process_that_is_forked_inside_goes_on_and_executes_another) {
  SKIP_WITHOUT_PREEMPTION();
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 100us);
  std::atomic<bool> over{false};
  auto spins = rt.go([&] { return preemptible(spin_until, over, rounds_max); });
  auto forks = rt.go([&] {
    int right = 0;
    for (int i = 0; i < 10; ++i) {
      right += preemptible([&] {
        const pid_t child = ::fork();
        if (child == 0) {
          // One thread, and the signal's handler, for which there is nothing to do here.
          const std::uint64_t one = kernels()[0].run(1, 100), other = kernels()[0].run(1, 100);
          ::raise(SIGURG);
          if (i % 2 == 0 && one == other) ::execl("/bin/true", "true", static_cast<char*>(nullptr));
          ::_exit(one == other ? 0 : 1);
        }
        int status = -1;
        while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        return status == 0 ? 1 : 0;
      });
    }
    over = true;
    return right;
  });
  EXPECT_EQ(rt.block_on(forks), 10);
  EXPECT_TRUE(rt.block_on(spins));
}

// --- switched off -------------------------------------------------------------------------------------

TEST(preemptible_death, where_it_is_switched_off_the_programs_signal_stays_as_it_is) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ::setenv("WEFT_PREEMPT", "off", 1);
  static std::atomic<int> arrived{0};
  const auto in_child = [] {
    struct sigaction mine = {};
    mine.sa_handler = [](int) { ++arrived; };
    ::sigaction(SIGURG, &mine, nullptr);
    runtime rt({.workers = 1, .preempt_after = 0ms});
    const ticker slices(rt, 1, 200us);
    const int wrong = rt.block_on(rt.go([&] {
      sigset_t urgent, seen;
      ::sigemptyset(&urgent);
      ::sigaddset(&urgent, SIGURG);
      ::pthread_sigmask(SIG_BLOCK, &urgent, nullptr);
      const bool due = preemptible([] {
        for (int i = 0; i < 20; ++i) {
          await(sleep_for(1us));  // it leaves its stack, and comes back
          if (!spin_until_due()) return false;
        }
        return true;
      });
      if (!due || preemption::why_not() == nullptr) return 1;
      ::pthread_sigmask(SIG_BLOCK, nullptr, &seen);
      if (::sigismember(&seen, SIGURG) != 1) return 2;
      ::sigpending(&seen);
      if (::sigismember(&seen, SIGURG) != 0) return 3;
      struct sigaction now = {};
      ::sigaction(SIGURG, nullptr, &now);
      if (now.sa_handler != mine.sa_handler) return 4;
      return arrived == 0 ? 0 : 5;
    }));
    std::_Exit(wrong);
  };
  EXPECT_EXIT(in_child(), ::testing::ExitedWithCode(0), "");
  ::unsetenv("WEFT_PREEMPT");
}

// --- giving way by itself -----------------------------------------------------------------------------

TEST(yield_if_due, gives_way_when_somebody_asks_and_not_before) {
  runtime rt({.workers = 1, .preempt_after = 0ms});
  EXPECT_FALSE(this_task::should_yield());
  const auto main = [&]() -> task<> {
    bool ran = false;
    auto other = spawn([&ran]() -> task<> {
      ran = true;
      co_return;
    });
    EXPECT_FALSE(this_task::should_yield());
    for (int i = 0; i < 100; ++i) co_await yield_if_due();
    EXPECT_FALSE(ran);
    auto& turns = detail::current_worker()->current_turn;
    EXPECT_EQ(detail::ask_to_yield(turns, turns.now() - 1),
              detail::turn_state::ask_result::is_over);
    EXPECT_FALSE(this_task::should_yield());
    EXPECT_EQ(detail::ask_to_yield(turns, turns.now()), detail::turn_state::ask_result::asked);
    EXPECT_TRUE(this_task::should_yield());
    co_await yield_if_due();
    EXPECT_TRUE(ran);
    EXPECT_FALSE(this_task::should_yield());
    co_await other;
  };
  rt.block_on(rt.spawn(main));
}

TEST(yield_if_due, gives_way_in_a_fiber_and_in_a_region) {
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 200us);
  std::atomic<int> others{0};
  bool over = false;
  auto counts = rt.go([&] {
    while (!over) {
      ++others;
      await(yield_now());
    }
  });
  auto computes = rt.go([&] {
    EXPECT_TRUE(spin_until_due());
    await(yield_if_due());
    const int seen = others;
    EXPECT_GE(seen, 1);
    preemptible([&] {
      EXPECT_TRUE(spin_until_due());
      await(yield_if_due());
    });
    EXPECT_GE(others, seen + 1);
    over = true;
  });
  rt.block_on(computes);
  rt.block_on(counts);
}

TEST(yield_if_due, timers_are_looked_at_when_a_turn_was_too_long) {
  runtime rt({.workers = 1, .preempt_after = 0ms});
  const ticker slices(rt, 1, 500us);
  std::atomic<bool> over{false};
  std::atomic<int> turns_until{0};
  auto sleeps = rt.spawn([&]() -> task<> {
    co_await sleep_for(1ns);  // due at once, but a timer
    over = true;
  });
  const auto hogs = [&]() -> task<> {
    for (int i = 0; i < 100 && !over; ++i) {
      EXPECT_TRUE(spin_until_due());
      ++turns_until;
      co_await yield_if_due();
    }
  };
  auto a = rt.spawn(hogs);
  auto b = rt.spawn(hogs);
  rt.block_on(a);
  rt.block_on(b);
  rt.block_on(sleeps);
  EXPECT_LE(turns_until, 4) << "else each eighth turn only";
}

TEST(yield_if_due, a_stop_ends_a_job_that_is_never_due) {
  runtime rt({.workers = 1, .preempt_after = 0ms});
  std::atomic<bool> begun{false};
  auto loops = rt.spawn([&]() -> task<> {
    begun = true;
    for (;;) co_await yield_if_due();
  });
  while (!begun) std::this_thread::yield();
  loops.stop();
  EXPECT_THROW(rt.block_on(loops), error);
}

TEST(yield_if_due, a_shield_holds_a_stop_back) {
  runtime rt({.workers = 1});
  bool went_on = false;
  std::atomic<bool> begun{false};
  auto shielded = rt.spawn([&]() -> task<> {
    const shield_scope all;
    begun = true;
    while (!this_task::stop_requested()) co_await yield_if_due();
    for (int i = 0; i < 3; ++i) co_await yield_if_due();
    went_on = true;
  });
  while (!begun) std::this_thread::yield();
  shielded.stop();
  static_cast<void>(rt.block_on(shielded.outcome()));
  EXPECT_TRUE(went_on);
}

#if WEFT_CENSUS
TEST(yield_if_due, stopped_at_every_await_it_leaves_nothing) {
  const auto body = []() -> task<> {
    co_await yield_if_due();
    co_await sleep_for(1ms);
    co_await yield_if_due();
  };
  const auto seen = testing::cancel_everywhere(
      [&](testing::virtual_runtime& rt) { return rt.spawn(body); }, [](bool) {});
  EXPECT_GT(seen.stopped, 0u);
}
#endif

}  // namespace
}  // namespace weft::fiber_test
