// Where hand-overs end: switched off, too many threads out, threads refused; and the figures of those that
// came to nothing. As in handoff_test.cpp what a job waits for is an event.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/base/census.hpp"
#include "weft/base/thread_gate_test_support.hpp"
#include "weft/os/affinity.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/core.hpp"
#include "weft/runtime/environment.hpp"
#include "weft/runtime/handoff_test_support.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test_support::comes_true;
using test_support::flag;
using test_support::limit;
using test_support::owns_processor;
using test_support::say;
using test_support::spin_until;
using test_support::spin_until_lost;
using test_support::spins_until;

using gate = test_support::thread_gate;
using clock = std::chrono::steady_clock;

// --- switched off

/// WEFT_HANDOFF, while it lives.
class handoff_is_set {
 public:
  explicit handoff_is_set(const char* to) {
    if (const char* const now = std::getenv(name)) before_ = now;
    ::setenv(name, to, 1);
  }
  ~handoff_is_set() {
    if (before_) {
      ::setenv(name, before_->c_str(), 1);
    } else {
      ::unsetenv(name);
    }
  }
  handoff_is_set(const handoff_is_set&) = delete;

 private:
  static constexpr const char* name = "WEFT_HANDOFF";
  std::optional<std::string> before_;
};

/// Whether who stands behind a job that computes ran meanwhile.
task<bool> runs_behind_one_that_computes_for(clock::duration most) {
  flag said{false};
  auto other = spawn(say, &said);
  const bool ran = spin_until(said, most);
  co_await other;
  co_return ran;
}

TEST(handoff_off, in_the_environment_the_others_wait) {
  std::optional<runtime> rt;
#if WEFT_CENSUS
  const long threads_before = live_census().threads;
#endif
  {
    const handoff_is_set off("off");
    rt.emplace(runtime_options{.workers = 1});
  }
#if WEFT_CENSUS
  EXPECT_EQ(live_census().threads - threads_before, 1) << "there is a monitor";
#endif
  // Several times as long as it would take by default.
  EXPECT_FALSE(rt->block_on(runs_behind_one_that_computes_for(60ms)));
  const metrics_snapshot m = rt->metrics();
  EXPECT_EQ(m.handoffs, 0u);
  EXPECT_EQ(m.monitor_looks, 0u);
  EXPECT_EQ(m.spare_threads, 0u);
}

TEST(handoff_off, by_no_other_value_in_the_environment) {
  for (const char* const value : {"on", "", "of"}) {
    ::testing::internal::CaptureStderr();
    std::optional<runtime> rt;
    {
      const handoff_is_set to(value);
      rt.emplace(runtime_options{.workers = 1, .report_stuck = false});
    }
    EXPECT_TRUE(rt->block_on(runs_behind_one_that_computes_for(limit))) << value;
    EXPECT_GE(rt->metrics().handoffs, 1u) << value;
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(said.find("WEFT_HANDOFF") != said.npos, std::string_view(value) == "of") << said;
  }
}

// --- as many as may be out

bool loses_it_and_waits(gate* end) {
  const bool lost = spin_until_lost();
  end->pass();  // it is without a processor as well as one that computes on
  return lost;
}
void waits(gate* end) { end->pass(); }

/// Nobody waits there when it is gone.
struct opened_at_the_end {
  gate& what;
  ~opened_at_the_end() { what.open(); }
};

TEST(handoff_threads, that_block_may_be_max_blocking_threads_more_than_those_that_compute) {
  constexpr unsigned computing_max = 32;  // on one worker
  constexpr unsigned more = 2;
  gate end, end_of_last;
  flag stop{false}, ran{false};
  runtime rt(
      {.workers = 1, .preempt_after = 1ms, .report_stuck = false, .max_blocking_threads = more});
  const opened_at_the_end always{end}, and_always{end_of_last};
  const auto lost = [&rt] { return rt.metrics().lost_threads; };

  std::vector<join_handle<bool>> out;
  for (unsigned i = 0; i < computing_max; ++i) out.push_back(rt.spawn(loses_it_and_waits, &end));
  ASSERT_TRUE(comes_true([&] { return lost() == computing_max; })) << lost();

  const std::uint64_t refused_before = rt.metrics().no_spare;
  auto computes = rt.spawn(spins_until, &stop);
  EXPECT_TRUE(comes_true([&] { return rt.metrics().no_spare > refused_before; }));
  EXPECT_EQ(lost(), computing_max);
  stop = true;
  EXPECT_TRUE(rt.block_on(computes));

  std::vector<join_handle<>> blocked;
  for (unsigned i = 0; i < more; ++i) blocked.push_back(rt.spawn(waits, &end));
  ASSERT_TRUE(comes_true([&] { return lost() == computing_max + more; })) << lost();

  rt.block_on(rt.spawn([] {}));  // the last owner has begun: what comes now stays in its order
  auto last = rt.spawn(waits, &end_of_last);
  auto behind = rt.spawn(say, &ran);
  // Some of these may have taken it for one that computes.
  const std::uint64_t enough = rt.metrics().no_spare + 20;
  EXPECT_TRUE(
      comes_true([&] { return rt.metrics().no_spare >= enough || lost() > computing_max + more; }));
  EXPECT_EQ(lost(), computing_max + more);
  EXPECT_FALSE(ran) << "its worker went to a thread that is one too many";
  end_of_last.open();
  rt.block_on(last);
  rt.block_on(behind);

  end.open();
  for (auto& o : out) EXPECT_TRUE(rt.block_on(o));
  for (auto& b : blocked) rt.block_on(b);
  EXPECT_TRUE(comes_true([&] { return lost() == 0; })) << lost();
  EXPECT_GE(rt.metrics().handoffs, computing_max + more);
}

TEST(handoff_threads, that_block_have_no_limit_where_the_program_sets_none) {
  constexpr unsigned jobs = 40;  // more than may be out that compute
  for (const unsigned most : {unsigned{INT_MAX}, UINT_MAX}) {
    gate end;
    flag ran{false};
    runtime rt(
        {.workers = 1, .preempt_after = 1ms, .report_stuck = false, .max_blocking_threads = most});
    const opened_at_the_end always{end};
    std::vector<join_handle<>> blocked;
    for (unsigned i = 0; i < jobs; ++i) blocked.push_back(rt.spawn(waits, &end));
    auto behind = rt.spawn(say, &ran);
    EXPECT_TRUE(comes_true([&] { return ran.load(); })) << most;
    EXPECT_EQ(rt.metrics().lost_threads, jobs) << most;
    end.open();
    for (auto& b : blocked) rt.block_on(b);
    rt.block_on(behind);
  }
}

// --- as many as are told of

int occurrences(std::string_view what, std::string_view in) {
  int count = 0;
  for (std::size_t at = in.find(what); at != in.npos; at = in.find(what, at + 1)) ++count;
  return count;
}

TEST(handoff_reports_of_a_runtime, end_with_the_64th_thread_and_the_64th_name) {
  constexpr unsigned reported = 64;
  constexpr unsigned jobs = reported + 2;
  constexpr auto slice = 1ms;
  std::vector<std::string> names;
  for (unsigned i = 0; i < jobs; ++i) names.push_back("stuck " + std::to_string(i));
  gate end;
  flag over{false};
  ::testing::internal::CaptureStderr();
  {
    runtime rt({.workers = 1, .preempt_after = slice});
    const opened_at_the_end always{end};
    std::vector<join_handle<>> all;
    for (const std::string& name : names) {
      all.push_back(rt.spawn(spawn_options{.name = name.c_str()}, waits, &end));
    }
    ASSERT_TRUE(comes_true([&] { return rt.metrics().lost_threads == jobs; }));
    // The monitor tells of one after a thousand slices; it looks while somebody is up.
    const auto told = clock::now() + 1000 * slice;
    auto up = rt.spawn([&]() -> task<> {
      while (!over) co_await sleep_for(1ms);
    });
    EXPECT_TRUE(comes_true([&] { return clock::now() > told; }));
    const std::uint64_t looks = rt.metrics().monitor_looks;
    EXPECT_TRUE(comes_true([&] { return rt.metrics().monitor_looks > looks + 2; }));
    end.open();
    for (auto& each : all) rt.block_on(each);
    EXPECT_TRUE(test_support::all_are_back(rt));
    over = true;
    rt.block_on(up);
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(occurrences("does not come back", said), static_cast<int>(reported)) << said;
  EXPECT_EQ(occurrences(" held a worker for ", said), static_cast<int>(reported)) << said;
}

#if WEFT_CENSUS  // only these builds can be told to refuse threads

void nothing(void*) {}
/// Whether one that was to be refused was not asked for: then it is this one.
bool one_is_still_to_be_refused() {
  auto started = os::thread::start("asks", 0, &nothing, nullptr);
  if (started) started->join();
  return !started.has_value();
}

TEST(handoff_threads, are_asked_for_again_after_a_pause_that_doubles_up_to_a_second) {
  constexpr std::int64_t ms = 1'000'000;
  detail::runtime_core core({.mode = scheduling::current_thread}, detail::real_environment());
  detail::handoff threads(core, 1, 4, false);
  std::int64_t now = 5'000 * ms;
  const auto is_refused_at_the_system = [&] {
    os::refuse_thread_starts(0, 1);
    const bool made = threads.make(now);
    const bool asked = !one_is_still_to_be_refused();
    os::refuse_thread_starts(0, 0);
    return !made && asked;
  };
  for (int round = 0; round < 2; ++round) {  // the second: it begins anew after a success
    ASSERT_TRUE(is_refused_at_the_system());
    for (const std::int64_t pause : {10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000}) {
      now += pause * ms - 1;
      EXPECT_FALSE(threads.make(now)) << "sooner than after " << pause << " ms";
      now += 1;
      EXPECT_TRUE(is_refused_at_the_system()) << "not asked for after " << pause << " ms";
    }
    EXPECT_EQ(threads.take(), nullptr);
    now += 1000 * ms;
    EXPECT_TRUE(threads.make(now));
    EXPECT_TRUE(threads.make(now)) << "there is a pause after a success";
    EXPECT_NE(threads.take(), nullptr);
    EXPECT_NE(threads.take(), nullptr);
  }
  threads.end();
  threads.join();
}

#endif

// --- those that come to nothing

TEST(handoff_monitor, counts_a_job_that_is_stuck_in_the_runtime_once_and_leaves_it_alone) {
  runtime rt({.workers = 1, .preempt_after = 50ms, .report_stuck = false});
  flag ran{false};
  const auto test = [&]() -> task<bool> {
    auto other = spawn(say, &ran);
    {
      // As in a call of the runtime's that does not return.
      const detail::worker::pinned inside(*detail::current_worker());
      const std::uint64_t before = rt.metrics().stuck_in_runtime;
      EXPECT_TRUE(comes_true([&] { return rt.metrics().stuck_in_runtime != before; }));
      const std::uint64_t seen = rt.metrics().monitor_looks;
      EXPECT_TRUE(comes_true([&] { return rt.metrics().monitor_looks > seen + 20; }));
      EXPECT_EQ(rt.metrics().stuck_in_runtime, before + 1);
      EXPECT_FALSE(ran);
    }
    const bool kept = owns_processor();
    co_await other;
    co_return kept;
  };
  EXPECT_TRUE(rt.block_on(test()));
}

// A claim takes a moment, and one who is in the runtime at its end keeps the processor.
TEST(handoff_monitor, counts_a_hand_over_that_came_too_late_and_its_thread_is_spare_again) {
  if (os::cpus_available() < 2)
    GTEST_SKIP() << "it takes two CPUs: the job goes on during the claim";
  gate over;
  runtime rt({.workers = 1, .preempt_after = 200us, .report_stuck = false});
  const opened_at_the_end always{over};
  const auto comes_and_goes = [&]() -> task<> {
    const auto end = clock::now() + 5 * limit;  // they have to run at the same time by themselves
    while (rt.metrics().handoffs_refused == 0 && clock::now() < end) {
      bool owned = true;
      for (int i = 0; owned && i < 1000; ++i) {
        owned = owns_processor();
        for (int k = 0; k < 10; ++k) cpu_pause();
      }
      if (!owned) co_await yield_now();
    }
  };
  rt.block_on(comes_and_goes());
  EXPECT_GE(rt.metrics().handoffs_refused, 1u);

  // One thread has the processor, all others are spare: as many jobs can lose it, and no thread is made.
  const auto lost = [&rt] { return rt.metrics().lost_threads; };
  ASSERT_TRUE(comes_true([&] { return lost() == 0; }));
  const unsigned spare = rt.metrics().spare_threads;
  ASSERT_GE(spare, 1u);
  std::vector<join_handle<bool>> out;
  for (unsigned i = 0; i < spare; ++i) out.push_back(rt.spawn(loses_it_and_waits, &over));
  EXPECT_TRUE(comes_true([&] { return lost() == spare; })) << lost();
  EXPECT_EQ(rt.metrics().spare_threads, spare) << "some are lost for good";
  over.open();
  for (auto& o : out) EXPECT_TRUE(rt.block_on(o));
}

}  // namespace
}  // namespace weft
