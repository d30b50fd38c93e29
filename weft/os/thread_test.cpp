// thread, futex, clock, membarrier, affinity, cgroup.
#include "weft/os/thread.hpp"

#include <gtest/gtest.h>

#include <thread>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "weft/base/census.hpp"
#include "weft/os/affinity.hpp"
#include "weft/os/cgroup.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/futex.hpp"
#include "weft/os/membarrier.hpp"

namespace weft::os {
namespace {

TEST(os_thread, runs_with_its_argument_and_counts_until_joined) {
  const long before = live_census().threads;
  struct seen {
    std::uint64_t id = 0;
    int number = 0;
  } s;
  auto started = thread::start(
      "a name of more than fifteen bytes", 1,
      [](void* raw) {
        auto& out = *static_cast<seen*>(raw);
        out.id = current_thread_id();
        out.number = 42;
      },
      &s);
  ASSERT_TRUE(started);
  EXPECT_EQ(live_census().threads, before + WEFT_CENSUS);
  thread moved = std::move(*started);
  EXPECT_FALSE(started->joinable());
  moved.join();
  EXPECT_FALSE(moved.joinable());
  EXPECT_EQ(live_census().threads, before);
  EXPECT_EQ(s.number, 42);
  EXPECT_NE(s.id, current_thread_id());
}

TEST(os_thread, impossible_thread_is_an_error_value_that_says_what_to_do) {
  constexpr std::size_t too_much = std::size_t{1} << 60;  // no address space has it
  auto started = thread::start("no", too_much, [](void*) {}, nullptr);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error(), std::errc::resource_unavailable_try_again);
  EXPECT_NE(started.error().message().find("ulimit"), std::string::npos);
}

TEST(os_thread, is_not_destroyed_while_it_runs) {
  EXPECT_DEATH(
      {
        auto started = thread::start("x", 0, [](void*) {}, nullptr);
        static_cast<void>(started);
      },
      "without being joined");
}

TEST(os_thread, time_slice_is_set_and_given_back) {
  const std::uint64_t me = os::current_thread_id();
  const std::int64_t before = os::time_slice(me);
  os::set_time_slice(me, 20'000'000);
  const std::int64_t changed = os::time_slice(me);
  os::set_time_slice(me, 0);
  if (before == 0 || changed == before) GTEST_SKIP() << "this system has no time slices to set";
  EXPECT_EQ(changed, 20'000'000);
  EXPECT_EQ(os::time_slice(me), before);
}

TEST(os_thread, what_a_thread_starts_has_the_usual_time_slice) {
  const std::uint64_t me = os::current_thread_id();
  const std::int64_t before = os::time_slice(me);
  std::int64_t changed = 0, inherited = 0;
  std::thread([&] {
    os::set_time_slice(os::current_thread_id(), 200'000);
    changed = os::time_slice(os::current_thread_id());
    std::thread([&] { inherited = os::time_slice(os::current_thread_id()); }).join();
  }).join();
  if (before == 0 || changed == before) GTEST_SKIP() << "this system has no time slices to set";
  EXPECT_EQ(changed, 200'000);
  EXPECT_EQ(inherited, before);
}

TEST(os_futex, other_value_returns_at_once) {
  atomic<std::uint32_t> word{1};
  EXPECT_TRUE(futex_wait(word, 0, never_ns));
}

TEST(os_futex, deadline_in_the_past_times_out) {
  atomic<std::uint32_t> word{0};
  for (const std::int64_t deadline :
       {INT64_MIN, std::int64_t{-1}, std::int64_t{0}, monotonic_ns()}) {
    EXPECT_FALSE(futex_wait(word, 0, deadline));
  }
}

TEST(os_futex, deadline_is_not_early) {
  atomic<std::uint32_t> word{0};
  const std::int64_t deadline = monotonic_ns() + 3 * ns_per_ms;
  while (futex_wait(word, 0, deadline)) {
  }
  EXPECT_GE(monotonic_ns(), deadline);
}

TEST(os_futex, wake_ends_the_sleep) {
  atomic<std::uint32_t> word{0};
  auto waker = thread::start(
      "waker", 0,
      [](void* raw) {
        auto& w = *static_cast<atomic<std::uint32_t>*>(raw);
        w.store(1, order::release);
        futex_wake(w, 1);
      },
      &word);
  while (word.load(order::acquire) == 0) static_cast<void>(futex_wait(word, 0, never_ns));
  waker->join();
}

TEST(os_clock, goes_forward) {
  std::int64_t last = monotonic_ns();
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t now = monotonic_ns();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_GT(realtime_ns(), std::int64_t{1'500'000'000} * ns_per_s);
}

TEST(os_membarrier, registers_once_and_fences) {
  const bool works = register_heavy_fence();
  EXPECT_EQ(register_heavy_fence(), works);
  heavy_fence();
}

TEST(os_affinity, there_is_a_cpu_and_one_can_be_pinned_to_it) {
  EXPECT_GE(cpus_available(), 1u);
  // On a thread of its own, for the mask stays.
  auto t = thread::start(
      "pinned", 0,
      [](void*) {
        unsigned cpu = 0;
        while (cpu < 4096 && !pin_current_thread(cpu)) ++cpu;
        EXPECT_LT(cpu, 4096u);
        EXPECT_EQ(cpus_available(), 1u);
        EXPECT_FALSE(pin_current_thread(1u << 19));
      },
      nullptr);
  t->join();
}

class os_cgroup : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "weft_cgroup_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void file(const std::string& path, const std::string& text) {
    const std::filesystem::path p(root_ + path);
    std::filesystem::create_directories(p.parent_path());
    std::ofstream(p) << text << "\n";
  }
  unsigned limit() { return cgroup_cpu_limit(root_.c_str()); }
  std::string root_;
};

TEST_F(os_cgroup, nothing_to_read_is_no_limit) { EXPECT_EQ(limit(), 0u); }

TEST_F(os_cgroup, version_2_takes_the_tightest_on_the_way_up) {
  file("/proc/self/cgroup", "0::/a/b");
  file("/sys/fs/cgroup/a/b/cpu.max", "max 100000");
  EXPECT_EQ(limit(), 0u);
  file("/sys/fs/cgroup/a/cpu.max", "250000 100000");
  EXPECT_EQ(limit(), 3u);
  file("/sys/fs/cgroup/a/b/cpu.max", "50000 100000");
  EXPECT_EQ(limit(), 1u);
  file("/sys/fs/cgroup/a/b/cpu.max", "800000 100000");
  EXPECT_EQ(limit(), 3u);
}

TEST_F(os_cgroup, version_2_limit_of_a_container_is_at_the_mount) {
  file("/proc/self/cgroup", "0::/docker/0123");  // a name of the host, not found inside
  file("/sys/fs/cgroup/cpu.max", "200000 100000");
  EXPECT_EQ(limit(), 2u);
}

TEST_F(os_cgroup, version_1_quota) {
  file("/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/x/y\n1:name=systemd:/x");
  file("/sys/fs/cgroup/cpu/x/y/cpu.cfs_quota_us", "-1");
  file("/sys/fs/cgroup/cpu/x/y/cpu.cfs_period_us", "100000");
  EXPECT_EQ(limit(), 0u);
  file("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "150000");
  file("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000");
  EXPECT_EQ(limit(), 2u);
}

TEST_F(os_cgroup, both_versions_together) {
  file("/proc/self/cgroup", "4:cpu:/x\n0::/x");
  file("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "400000");
  file("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000");
  file("/sys/fs/cgroup/unified/x/cpu.max", "300000 100000");
  EXPECT_EQ(limit(), 3u);
}

TEST_F(os_cgroup, nonsense_is_no_limit) {
  file("/proc/self/cgroup", "nonsense\n::\n0::/a");
  for (const char* text : {"", "x y", "100000", "100000 0", "-5 100000", "0 100000", "1e300 1"}) {
    file("/sys/fs/cgroup/a/cpu.max", text);
    EXPECT_EQ(limit(), 0u) << text;
  }
}

}  // namespace
}  // namespace weft::os
