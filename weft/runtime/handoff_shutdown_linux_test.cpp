// shutdown() while a job is stuck that holds its thread: it waits for that one, in whatever way it is stuck,
// and not with what the thread had begun.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>

#include "tests/support/hold.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/net/unix.hpp"
#include "weft/runtime/futex.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test_support::hold;
using test_support::way;

constexpr auto limit = 20s;

class handoff_shutdown : public ::testing::TestWithParam<std::tuple<driver, way>> {
 protected:
  static driver io() { return std::get<0>(GetParam()); }
  static way how() { return std::get<1>(GetParam()); }
  /// The stop of what the thread has on a ring is told of by way of that thread.
  static bool is_told_late() {
    return how() == way::cannot_be_woken && (io() == driver::io_uring || io() == driver::automatic);
  }
  void SetUp() override {
    if (const char* const reason = test_support::why_not(how())) GTEST_SKIP() << reason;
    std::string_view why;
    if (!detail::real_environment().make_driver(io(), &why)) GTEST_SKIP() << why;
  }
};
std::string name_of(const ::testing::TestParamInfo<std::tuple<driver, way>>& of) {
  const auto [io, how] = of.param;
  return net::test::driver_name({io, of.index}) + "_" + test_support::name_of(how);
}
INSTANTIATE_TEST_SUITE_P(all, handoff_shutdown,
                         ::testing::Combine(net::test::all_drivers_of_files,
                                            ::testing::Values(way::computes, way::waits,
                                                              way::cannot_be_woken)),
                         name_of);

/// Counts down at the end of a job, a stopped one, too.
class counted {
 public:
  explicit counted(std::atomic<int>* left) noexcept : left_(left) {}
  ~counted() { --*left_; }
  counted(const counted&) = delete;

 private:
  std::atomic<int>* const left_;
};

struct counts {
  std::atomic<int> begun{0};
  std::atomic<int> left{3};
  std::atomic<std::uint32_t> word{0};
  std::atomic<int> stuck_left{1};
};

task<> reads(counts* all) {
  const counted here(&all->left);
  auto both = *net::unix_stream::pair();
  std::array<std::byte, 1> in{};
  ++all->begun;
  static_cast<void>(co_await both.first.read_some(in));
  ADD_FAILURE() << "nobody wrote";
}
task<> reads_of_a_pool(counts* all) {
  const counted here(&all->left);
  auto both = *net::unix_stream::pair();
  ++all->begun;
  static_cast<void>(co_await both.first.read_pooled());
  ADD_FAILURE() << "nobody wrote";
}
task<> waits_for_a_wake(counts* all) {
  const counted here(&all->left);
  ++all->begun;
  co_await futex_wait(all->word, 0u);
  ADD_FAILURE() << "nobody woke it";
}
task<> is_stuck(counts* all, hold* held, way how) {
  const counted here(&all->stuck_left);
  while (all->begun != 3) co_await yield_now();
  co_await sleep_for(1ms);  // so the one worker has waited in its driver, and submitted all that
  EXPECT_TRUE(held->stay(how));
}

/// False: it did not for long.
template <class F>
bool becomes_true(F what) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!what()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST_P(handoff_shutdown, waits_for_a_stuck_job_and_stops_what_its_thread_had_begun) {
  hold held;
  counts all;
  runtime rt({.workers = 1, .io = io(), .report_stuck = false});
  rt.spawn(reads, &all).detach();
  rt.spawn(reads_of_a_pool, &all).detach();
  rt.spawn(waits_for_a_wake, &all).detach();
  rt.spawn(spawn_options{.name = "that is stuck"}, is_stuck, &all, &held, how()).detach();
  ASSERT_TRUE(becomes_true([&] { return held.is_held(); }));
  ::testing::internal::CaptureStderr();
  const bool ended = rt.shutdown(30ms).has_value();
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_FALSE(ended) << "without the job, which holds a thread";
  EXPECT_NE(said.find("that is stuck"), std::string::npos) << said;
  if (!is_told_late()) {
    EXPECT_TRUE(becomes_true([&] { return all.left == 0; })) << "they wait for the stuck one";
  }
  EXPECT_EQ(all.stuck_left, 1);
  held.let_go();
  EXPECT_TRUE(rt.shutdown(limit).has_value());
  EXPECT_EQ(all.left, 0);
  EXPECT_EQ(all.stuck_left, 0);
}

}  // namespace
}  // namespace weft
