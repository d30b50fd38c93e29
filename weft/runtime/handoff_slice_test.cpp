// What the threads of hand-overs have of the system's time: who is to be let in at once has short slices, who
// computes has the usual ones (docs/internals/handoff.md, "Several in line"). It is asked by thread.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "weft/base/thread_gate_test_support.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/handoff_test_support.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test_support::comes_true;
using test_support::spin_until_lost;
using gate = test_support::thread_gate;

constexpr std::int64_t of_the_monitor = 100'000;  // ns
constexpr std::int64_t of_spares = 200'000;

/// The threads of this process that are called so.
std::vector<std::uint64_t> threads_called(const std::string& name) {
  std::vector<std::uint64_t> all;
  std::error_code gone;
  for (std::filesystem::directory_iterator t("/proc/self/task", gone), end; t != end;
       t.increment(gone)) {
    std::string its;
    std::getline(std::ifstream(t->path() / "comm"), its);
    if (its == name) all.push_back(std::stoull(t->path().filename()));
  }
  return all;
}

class handoff_slices : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::uint64_t me = os::current_thread_id();
    usual_ = os::time_slice(me);
    os::set_time_slice(me, 20'000'000);
    const std::int64_t changed = os::time_slice(me);
    os::set_time_slice(me, 0);
    if (usual_ == 0 || changed != 20'000'000) {
      GTEST_SKIP()
          << "this system has no time slices to set, or does not tell (Linux has from 6.12)";
    }
    if (!std::filesystem::exists("/proc/self/task")) GTEST_SKIP() << "there is no /proc";
  }
  static runtime_options options() {
    return {.workers = 1, .report_stuck = false, .name = "timeslice"};
  }
  bool has_usual(std::uint64_t thread) const { return os::time_slice(thread) == usual_; }
  static bool has(std::uint64_t thread, std::int64_t ns) { return os::time_slice(thread) == ns; }

  std::int64_t usual_ = 0;
};

/// Loses its worker. Result: which thread it was.
std::uint64_t computes() { return spin_until_lost() ? os::current_thread_id() : 0; }

TEST_F(handoff_slices, of_the_monitor_and_of_spare_threads_are_short) {
  runtime rt(options());
  std::vector<std::uint64_t> monitors, spares;
  ASSERT_TRUE(comes_true([&] { return (monitors = threads_called("timeslice-mon")).size() == 1; }));
  EXPECT_TRUE(comes_true([&] { return has(monitors[0], of_the_monitor); }))
      << os::time_slice(monitors[0]);

  const std::uint64_t first = rt.block_on(rt.spawn(computes));
  ASSERT_NE(first, 0u);
  // Two are made at once: one has a processor now, the other waits.
  ASSERT_TRUE(comes_true([&] { return (spares = threads_called("timeslice-spare")).size() == 2; }));
  for (const std::uint64_t s : spares) {
    EXPECT_TRUE(comes_true([&] { return has(s, of_spares); })) << os::time_slice(s);
  }
  // The worker's first thread is one as well by now.
  EXPECT_TRUE(comes_true([&] { return has(first, of_spares); })) << os::time_slice(first);
}

TEST_F(handoff_slices,
       of_one_that_lost_its_processor_computing_are_the_usual_ones_until_it_is_back) {
  runtime rt(options());
  const auto test = [this]() -> task<> {
    const std::uint64_t first = os::current_thread_id();
    EXPECT_TRUE(has_usual(first)) << "no job has been stuck";
    EXPECT_TRUE(spin_until_lost());
    co_await yield_now();
    const std::uint64_t second = os::current_thread_id();  // was a spare
    EXPECT_NE(second, first);
    EXPECT_TRUE(has(second, of_spares)) << os::time_slice(second);
    EXPECT_TRUE(spin_until_lost());
    EXPECT_TRUE(comes_true([&] { return has_usual(second); })) << os::time_slice(second);
    co_await yield_now();
    EXPECT_NE(os::current_thread_id(), second);
    EXPECT_TRUE(comes_true([&] { return has(second, of_spares); })) << os::time_slice(second);
  };
  rt.block_on(test());
}

TEST_F(handoff_slices, of_one_that_lost_its_processor_blocking_stay_short) {
  runtime_options how = options();
  how.preempt_after = 3s;  // for one that computes
  runtime rt(how);
  gate end, again;
  const auto looks = [&rt] { return rt.metrics().monitor_looks; };
  auto first = rt.spawn([&] { end.pass(); });  // the worker's own thread
  ASSERT_TRUE(comes_true([&] { return rt.metrics().lost_threads == 1; }));
  std::atomic<std::uint64_t> spare{0};
  auto second = rt.spawn([&] {
    spare = os::current_thread_id();
    again.pass();
  });
  EXPECT_TRUE(comes_true([&] { return rt.metrics().lost_threads == 2; }));
  // The look that has taken its processor is over, whatever it does afterwards.
  const auto stays_awake = [&looks]() -> task<> {  // so that the monitor does
    for (const std::uint64_t seen = looks(); looks() < seen + 2;) co_await yield_now();
  };
  rt.block_on(stays_awake());
  EXPECT_TRUE(has(spare, of_spares)) << os::time_slice(spare);
  end.open();
  again.open();
  rt.block_on(first);
  rt.block_on(second);
}

}  // namespace
}  // namespace weft
