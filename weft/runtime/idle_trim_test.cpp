// What an idle worker gives back, on a clock that the test moves on.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

#include "weft/base/atomic.hpp"
#include "weft/os/clock.hpp"
#include "weft/runtime/environment.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/task/frame_trim.hpp"
#include "weft/task/join_handle.hpp"

namespace weft {
namespace {

/// The machine, later than it is.
class shifted_machine final : public detail::environment {
 public:
  atomic<std::int64_t> shift_ns{0};
  std::int64_t now_ns() noexcept override {
    return os::monotonic_ns() + shift_ns.load(order::relaxed);
  }
  bool skip_to(std::int64_t) noexcept override { return false; }
  bool is_virtual() const noexcept override { return false; }
  std::uint64_t seed() noexcept override { return 1; }
  result<std::unique_ptr<io::driver>> make_driver(driver kind,
                                                  std::string_view* why) noexcept override {
    return detail::real_environment().make_driver(kind, why);
  }
};

task<> nothing() { co_return; }

task<> burst(std::size_t n) {
  std::vector<join_handle<>> jobs;
  jobs.reserve(n);
  for (std::size_t i = 0; i < n; ++i) jobs.push_back(spawn(nothing));
  for (auto& j : jobs) co_await j;
}

TEST(idle_worker, gives_the_memory_of_a_burst_back_second_by_second) {
  if (const char* s = std::getenv("WEFT_FRAME_POOL"); s && std::string_view(s) == "off") {
    GTEST_SKIP() << "the pool is switched off";
  }
  shifted_machine machine;
  runtime rt({.workers = 1}, machine);
  rt.block_on(rt.spawn(burst, std::size_t{100'000}));
  constexpr std::size_t one_mib = std::size_t{1} << 20;
  const std::size_t at_first = frame_pool_now().empty_bytes;
  EXPECT_GE(at_first, 8 * one_mib);
  // Nothing of it is needed again, so each second that the worker finds no work takes its part. Until
  // all have passed that it needs; the worker may be called while it is about to give something back.
  while (frame_pool_now().empty_bytes > frame_bytes_kept) {
    machine.shift_ns.fetch_add(ns_per_s, order::relaxed);
    rt.block_on(rt.spawn(nothing));
    for (int i = 0; i < 100; ++i) std::this_thread::yield();
  }
}

}  // namespace
}  // namespace weft
