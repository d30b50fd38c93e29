// The system refuses threads, as it does at a limit: no work is lost, nobody hangs, nothing is left behind.
#include "weft/base/config.hpp"

#if WEFT_CENSUS  // only these builds can be told to refuse

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "weft/base/census.hpp"
#include "weft/base/thread_gate_test_support.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/worker_thread.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t all = UINT32_MAX;

/// While it lives.
class refusing {
 public:
  explicit refusing(std::uint32_t good = 0, std::uint32_t refused = all) noexcept {
    os::refuse_thread_starts(good, refused);
  }
  ~refusing() { os::refuse_thread_starts(0, 0); }
  refusing(const refusing&) = delete;
  refusing& operator=(const refusing&) = delete;
};

using gate = test_support::thread_gate;

task<int> on_the_pool(int n) {
  const int same = co_await spawn_blocking([](int x) { return x; }, n);
  co_return same;
}
task<int> on_the_pool_as(blocking_class& kind, int n) {
  const int same = co_await spawn_blocking(kind, [](int x) { return x; }, n);
  co_return same;
}
task<> hold(gate& begun, gate& end) {
  const auto held = [](gate* b, gate* e) {
    b->open();
    e->pass();
  };
  co_await spawn_blocking(held, &begun, &end);
}

template <class J>
std::string refused(J&& job) {
  try {
    static_cast<void>(job());
  } catch (const error& e) {
    EXPECT_EQ(e.code(), std::errc::resource_unavailable_try_again);
    return e.what();
  }
  return "";
}

TEST(thread_refused, without_any_thread_the_caller_of_spawn_blocking_gets_an_error) {
  runtime rt({.workers = 1});
  std::string what;
  {
    const refusing now;
    what = refused([&] { return rt.block_on(on_the_pool(1)); });
  }
  EXPECT_NE(what.find("spawn_blocking: no thread could be started"), std::string::npos) << what;
  EXPECT_NE(what.find("ulimit"), std::string::npos) << what;
  EXPECT_EQ(rt.block_on(on_the_pool(2)), 2) << "it does not start threads any more";
}

TEST(thread_refused, work_waits_for_a_thread_that_exists) {
  runtime rt({.workers = 1, .max_blocking_threads = 8});
  gate begun, end;
  auto first = rt.spawn(hold, std::ref(begun), std::ref(end));
  begun.pass();
  std::vector<join_handle<int>> others;
  {
    const refusing now;
    for (int i = 0; i < 5; ++i) others.push_back(rt.spawn(on_the_pool, i));
    while (rt.metrics().blocking_waiting != 5) std::this_thread::yield();
    end.open();
    for (int i = 0; i < 5; ++i) EXPECT_EQ(rt.block_on(others[std::size_t(i)]), i);
    EXPECT_EQ(rt.metrics().blocking_threads, 1u);
  }
  rt.block_on(first);
}

// The pool's threads end at once when they have nothing to do: the last one may leave, or not, while work
// comes for which no other one is to be had.
TEST(thread_refused, work_is_done_once_or_refused_when_the_last_thread_is_about_to_end) {
  runtime rt({.workers = 2, .max_blocking_threads = 4, .blocking_keep_alive = 0s});
  const auto tries = [](std::atomic<int>& done, int& answered) -> task<> {
    for (int i = 0; i < 2000; ++i) {
      if (i % 3 == 0) os::refuse_thread_starts(1, 2);
      try {
        co_await spawn_blocking([](std::atomic<int>* d) { ++*d; }, &done);
        ++answered;
      } catch (const error& e) {
        EXPECT_EQ(e.code(), std::errc::resource_unavailable_try_again);
      }
    }
  };
  const refusing until_the_end(0, 0);
  std::atomic<int> done{0};
  int answered[3] = {};
  std::vector<join_handle<>> all_of_them;
  for (int& a : answered) all_of_them.push_back(rt.spawn(tries, std::ref(done), std::ref(a)));
  for (auto& one : all_of_them) rt.block_on(one);
  EXPECT_EQ(done, answered[0] + answered[1] + answered[2]);
  EXPECT_GT(done, 0);
}

TEST(thread_refused, work_that_is_refused_gives_up_its_place_in_its_class) {
  runtime rt({.workers = 1});
  blocking_class kind({.at_most = 1});
  {
    const refusing now;
    for (int i = 0; i < 3; ++i) {
      EXPECT_NE(refused([&] { return rt.block_on(on_the_pool_as(kind, 1)); }), "");
    }
  }
  EXPECT_EQ(kind.running(), 0u);
  EXPECT_EQ(rt.block_on(on_the_pool_as(kind, 2)), 2);
}

// The place goes to work of a runtime that has no thread at all, and from there to one that has.
TEST(thread_refused, a_place_is_not_lost_on_a_runtime_that_has_no_thread) {
  blocking_class kind({.at_most = 1});
  runtime here({.workers = 1});
  runtime there({.workers = 1});
  gate begun, end;
  auto first = here.spawn([&]() -> task<> {
    const auto held = [](gate* b, gate* e) {
      b->open();
      e->pass();
    };
    co_await spawn_blocking(kind, held, &begun, &end);
  });
  begun.pass();
  auto second = there.spawn(on_the_pool_as, std::ref(kind), 2);
  while (kind.waiting() != 1) std::this_thread::yield();
  auto third = here.spawn(on_the_pool_as, std::ref(kind), 3);
  while (kind.waiting() != 2) std::this_thread::yield();
  const refusing now;
  end.open();
  EXPECT_NE(refused([&] { return there.block_on(second); }), "");
  EXPECT_EQ(here.block_on(third), 3);
  here.block_on(first);
}

TEST(thread_refused, a_runtime_ends_the_workers_that_it_has_started_and_says_why) {
  const long before = live_census().threads;
  for (const auto mode : {scheduling::work_stealing, scheduling::per_core}) {
    for (std::uint32_t good = 0; good < 4; ++good) {
      const refusing after(good, 1);
      const std::string what = refused([&] {
        const runtime rt({.workers = 4, .mode = mode});
        return 0;
      });
      EXPECT_NE(what.find("a worker thread could not be started"), std::string::npos) << what;
      EXPECT_NE(what.find("ulimit"), std::string::npos) << what;
      EXPECT_EQ(live_census().threads, before) << "after " << good;
    }
  }
  runtime rt({.workers = 4});
  EXPECT_EQ(rt.block_on(on_the_pool(1)), 1);
}

TEST(thread_refused, a_runtime_without_threads_of_its_own_does_not_care) {
  const refusing now;
  runtime rt({.mode = scheduling::current_thread});
  const auto one = []() -> task<int> { co_return 1; };
  EXPECT_EQ(rt.block_on(one()), 1);
}

TEST(thread_refused, run_prints_why_and_gives_an_exit_code) {
  const auto never_runs = []() -> task<> {
    ADD_FAILURE();
    co_return;
  };
  ::testing::internal::CaptureStderr();
  int code = 0;
  {
    const refusing now;
    code = run(never_runs(), {.workers = 2});
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(code, 1);
  EXPECT_NE(said.find("a worker thread could not be started"), std::string::npos) << said;
}

TEST(thread_refused, a_worker_thread_is_an_error_and_drops_what_it_was_given) {
  const auto given = std::make_shared<int>(0);
  const refusing now;
  const auto none = worker_thread::start({}, [given] { FAIL(); });
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error(), std::errc::resource_unavailable_try_again);
  const std::string what = refused([&] {
    const worker_thread t({}, [given] { FAIL(); });
    return 0;
  });
  EXPECT_NE(what.find("worker_thread could not be started"), std::string::npos) << what;
  EXPECT_EQ(given.use_count(), 1);
}

}  // namespace
}  // namespace weft

#endif
