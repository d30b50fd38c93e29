// What tests of preemption share: kernels in assembly whose result tells whether a register was lost, and a
// thread that asks turns to end.
#pragma once

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "weft/fiber/preempt.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/preempt.hpp"
#include "weft/runtime/worker.hpp"

#define SKIP_WITHOUT_PREEMPTION()                       \
  if (::weft::detail::preemption::why_not() != nullptr) \
  GTEST_SKIP() << ::weft::detail::preemption::why_not()

namespace weft::fiber_test {

/// Computes with many registers of one kind; all state is in registers and below the stack pointer. Its code
/// stands in the section. The same for the same seed and count, and the same modes of rounding.
struct kernel {
  std::string_view name;
  std::uint64_t (*run)(std::uint64_t seed, std::uint64_t count);
  std::uint64_t count;  // some 100 us
};
/// Of those that this processor can run.
std::span<const kernel> kernels();

/// As a monitor does: asks each worker's turn to end that has lasted for a slice. For runtimes with
/// preempt_after = 0 only: beside a monitor, which asks, too, and hands workers over to other threads, while this one
/// goes on to look at the first ones.
class ticker {
 public:
  ticker(runtime& rt, unsigned workers, std::chrono::microseconds slice) : slice_(slice) {
    for (unsigned w = 0; w < workers; ++w) {
      auto here =
          rt.go(spawn_options{.worker = w}, [] { return &detail::current_worker()->current_turn; });
      looked_at_.push_back({rt.block_on(here), ~std::uint64_t{0}});
    }
    thread_ = std::thread([this] { look(); });
  }
  ticker(const ticker&) = delete;
  ~ticker() {
    over_ = true;
    thread_.join();
  }

 private:
  struct looked_at {
    detail::turn_state* turns;
    std::uint64_t seen;
  };
  /// A short time slice, so that it is not long behind the threads that it looks at, where all processors are
  /// busy. Where the system knows no such thing (Linux before 6.12) tests take longer.
  static void come_soon() {
    struct {
      std::uint32_t size = 48, policy = 0;
      std::uint64_t flags = 0;
      std::int32_t nice = ::getpriority(PRIO_PROCESS, 0);
      std::uint32_t priority = 0;
      std::uint64_t runtime = 100'000, deadline = 0, period = 0;
    } wish;
    ::syscall(SYS_sched_setattr, 0, &wish, 0);
  }
  void look() {
    come_soon();
    while (!over_) {
      std::this_thread::sleep_for(slice_);  // what a slice is
      for (looked_at& each : looked_at_) {
        const std::uint64_t now = each.turns->now();
        if (now == each.seen) static_cast<void>(detail::ask_to_yield(*each.turns, now));
        each.seen = now;
      }
    }
  }

  const std::chrono::microseconds slice_;
  std::vector<looked_at> looked_at_;
  std::thread thread_;
  std::atomic<bool> over_{false};
};

}  // namespace weft::fiber_test
