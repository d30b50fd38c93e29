// Each wait of weft/runtime and of jobs in a fiber: it waits, goes on with the right result, and a stop unwinds
// it. yield_if_due() is in preemptible_test.cpp.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>

#include "weft/base/thread_gate_test_support.hpp"
#include "weft/fiber/one_wait_test_support.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/blocking_class.hpp"
#include "weft/runtime/futex.hpp"
#include "weft/runtime/interval.hpp"
#include "weft/runtime/worker_thread.hpp"
#include "weft/sync/event.hpp"
#include "weft/task/failures.hpp"
#include "weft/task/ok.hpp"
#include "weft/task/task_local.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test_support::in_each_way;
using test_support::one_wait;
using test_support::thread_gate;
using test_support::wait_end;

// --- time -----------------------------------------------------------------------------------------

/// One that gives way stands in line, where nobody calls it off.
TEST(await_runtime, yield_now) {
  in_each_way([](const one_wait& wait) {
    wait.to_the_end(
        [] {
          await(yield_now());
          await(sleep_for(1ms));
        },
        [] {});
  });
}

TEST(await_runtime, sleep_for_sleep_until_and_interval_tick) {
  in_each_way([](const one_wait& wait) {
    auto begin = now();
    const auto ms_passed = [&](auto expected) { EXPECT_EQ(now() - begin, expected); };
    wait(
        [&] {
          await(sleep_for(5ms));
          ms_passed(5ms);
        },
        [] {});
    begin = now();
    wait(
        [&] {
          await(sleep_until(begin + 7ms));
          ms_passed(7ms);
        },
        [] {});
    begin = now();
    interval every(10ms);
    await(every.tick());  // the first one is at once
    wait(
        [&] {
          await(every.tick());
          ms_passed(10ms);
        },
        [] {});
  });
}

// --- jobs and tasks -------------------------------------------------------------------------------

TEST(await_runtime, a_job_and_how_it_ended) {
  in_each_way([](const one_wait& wait) {
    event may_end;
    const auto body = [&]() -> task<int> {
      co_await may_end.wait();
      co_return 7;
    };
    auto first = spawn(body);
    wait([&] { EXPECT_EQ(await(first), 7); }, [&] { may_end.set(); });
    may_end.reset();
    auto second = go([&] {
      await(may_end.wait());
      throw std::runtime_error("inside");
    });
    wait([&] { EXPECT_EQ(await(second.outcome()).kind(), outcome_kind::exception); },
         [&] { may_end.set(); });
  });
}

/// Stands for all functions that give a task: what they wait in is inside.
TEST(await_runtime, a_task_and_what_ok_makes_of_its_result) {
  in_each_way([](const one_wait& wait) {
    event may_end;
    const auto body = [&]() -> task<result<int>> {
      co_await may_end.wait();
      co_return 7;
    };
    wait([&] { EXPECT_EQ(await(body()), 7); }, [&] { may_end.set(); });
    may_end.reset();
    wait([&] { EXPECT_EQ(await(ok(body())), 7); }, [&] { may_end.set(); });
  });
}

const task_local<int> trace;

TEST(await_runtime, task_local_with_and_failure_log_around) {
  in_each_way([](const one_wait& wait) {
    event may_end;
    failure_log log;
    const auto body = [&]() -> task<int> {
      co_await may_end.wait();
      co_return trace.value_or(0);
    };
    wait([&] { EXPECT_EQ(await(trace.with(7, body())), 7); }, [&] { may_end.set(); });
    may_end.reset();
    wait([&] { EXPECT_EQ(await(log.around(body())), 0); }, [&] { may_end.set(); });
    EXPECT_EQ(log.size(), 0u);
  });
}

// --- threads --------------------------------------------------------------------------------------

TEST(await_runtime, spawn_blocking) {
  in_each_way([](const one_wait& wait) {
    thread_gate may_end;
    std::atomic<int> begun = 0;
    wait.to_the_end(
        [&] {
          EXPECT_EQ(await(spawn_blocking([&] {
                      ++begun;
                      may_end.pass();
                      return 6;
                    })),
                    6);
          await(yield_now());
        },
        [&] { may_end.open(); });
    EXPECT_GE(begun, 1);
    EXPECT_LE(begun, wait.how() == wait_end::stopped ? 2 : 1);
  });
}

TEST(await_runtime, spawn_blocking_that_waits_for_a_place_of_its_class) {
  in_each_way([](const one_wait& wait) {
    blocking_class kind({.at_most = 1});
    thread_gate may_end;
    std::atomic<int> ran = 0;
    auto holder = go([&] { await(spawn_blocking(kind, [&] { may_end.pass(); })); });
    while (kind.running() != 1) await(yield_now());
    wait([&] { EXPECT_EQ(await(spawn_blocking(kind, [&] { return ++ran; })), 1); },
         [&] {
           EXPECT_EQ(ran, 0);
           may_end.open();
         });
    await(holder);
    EXPECT_EQ(ran, 1) << "one that was stopped in line did not begin";
  });
}

TEST(await_runtime, worker_thread_ended) {
  in_each_way([](const one_wait& wait) {
    thread_gate may_end;
    worker_thread t({.name = "waits"}, [&] { may_end.pass(); });
    wait([&] { await(t.ended()); }, [&] { may_end.open(); });
    EXPECT_EQ(t.state(), worker_thread_state::ended);
  });
}

class await_futex : public ::testing::TestWithParam<driver> {};

TEST_P(await_futex, wait_and_wait_for) {
  in_each_way(
      [](const one_wait& wait) {
        std::atomic<std::uint32_t> word = 0;
        const auto wakes = [&] {
          word = 1;
          futex_wake(word, 1);
        };
        wait(
            [&] {
              while (word == 0) await(futex_wait(word, 0));
            },
            wakes);
        word = 0;
        wait(
            [&] {
              // A thread that waits for the driver does not hold virtual time.
              while (word == 0) static_cast<void>(await(futex_wait_for(word, 0, 24h)));
            },
            wakes);
      },
      {.io = GetParam()});
}

INSTANTIATE_TEST_SUITE_P(drivers, await_futex, ::testing::Values(driver::automatic, driver::poll));

}  // namespace
}  // namespace weft
