// manual_runtime: real sockets on a clock that only the test moves. A test waits for what the
// runtime has done, not for a while; what happens while the clock stands still needed no time-out.
// (testing::virtual_runtime moves its clock by itself, so never while a read or an accept waits.)
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <thread>

#include "weft/runtime/environment.hpp"
#include "weft/runtime/runtime.hpp"

namespace weft::net::test {

/// A bound for a test that has failed, never a guess of how long something takes.
inline constexpr std::chrono::seconds patience{20};

/// For figures (statistics, metrics), which wake nobody: looks again and again, until `true_now()`.
/// Result: whether it came to be.
template <class F>
bool eventually(F true_now) {
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (!true_now()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));  // between two looks
  }
  return true;
}

class manual_runtime {
 public:
  explicit manual_runtime(driver io = driver::automatic)
      : rt_({.workers = 1, .io = io, .name = "manual"}, clock_) {}

  runtime& get() noexcept { return rt_; }
  std::chrono::nanoseconds elapsed() noexcept { return std::chrono::nanoseconds(clock_.now_ns()); }

  /// Afterwards the worker has gone to sleep since the call: jobs that were ready have
  /// run, and timers that were due and bytes that were there have had their effect.
  void settle() {
    const auto count = []() -> task<std::uint64_t> { co_return current_metrics().parks; };
    const std::uint64_t before = rt_.block_on(count());  // read by the worker, so while it is awake
    eventually([&] { return rt_.metrics().parks > before; });
  }
  /// Settles, lets time pass, and settles.
  void advance(std::chrono::nanoseconds by) {
    settle();
    clock_.ns.fetch_add(by.count());
    settle();
  }

 private:
  struct manual_clock final : detail::environment {
    std::atomic<std::int64_t> ns{0};
    std::int64_t now_ns() noexcept override { return ns.load(); }
    bool skip_to(std::int64_t) noexcept override { return false; }
    bool is_virtual() const noexcept override { return true; }
    std::uint64_t seed() noexcept override { return 1; }
    result<std::unique_ptr<io::driver>> make_driver(driver kind,
                                                    std::string_view* why) noexcept override {
      return detail::real_environment().make_driver(kind, why);
    }
  };

  manual_clock clock_;
  runtime rt_;
};

}  // namespace weft::net::test
