// quota_world: the machine, with a CPU quota and a clock of the test's own.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>

#include "weft/os/clock.hpp"
#include "weft/runtime/environment.hpp"
#include "weft/runtime/runtime.hpp"

namespace weft::test {

class quota_world final : public detail::environment {
 public:
  quota_world(unsigned cpus, unsigned granted) : granted(granted), cpus_(cpus) {}

  std::atomic<unsigned> granted;
  std::atomic<int> asked{0};
  std::int64_t look_every_ns = 0;                                  // whoever looks around asks
  std::atomic<int> one_from_ask{std::numeric_limits<int>::max()};  // asked so often: one CPU

  /// From now on the clock crawls: it moves on a little at each look, so that spinning ends, but takes a
  /// million looks for 10 ms.
  void hold_time() { held_at_ns_ = os::monotonic_ns(); }
  void let_time_go() { held_at_ns_ = 0; }

  /// Workers that take part and look at the clock stay there: those that search, before they look again.
  void stop_whoever_looks() { gate_closed_ = true; }
  void let_go() {
    gate_closed_ = false;
    gate_closed_.notify_all();
  }

  std::int64_t now_ns() noexcept override {
    if (gate_closed_ && this_task::worker() < granted) gate_closed_.wait(true);
    const std::int64_t held = held_at_ns_;
    return held != 0 ? held + 10 * looks_++ : os::monotonic_ns();
  }
  bool skip_to(std::int64_t) noexcept override { return false; }
  bool is_virtual() const noexcept override { return false; }
  std::uint64_t seed() noexcept override { return 1; }
  result<std::unique_ptr<io::driver>> make_driver(driver kind,
                                                  std::string_view* why) noexcept override {
    return detail::real_environment().make_driver(kind, why);
  }
  unsigned cpus_allowed() noexcept override { return cpus_; }
  unsigned cpus_available() noexcept override {
    return ++asked < one_from_ask ? granted.load() : 1u;
  }
  std::int64_t cpus_look_every_ns() noexcept override { return look_every_ns; }

 private:
  const unsigned cpus_;
  std::atomic<std::int64_t> held_at_ns_{0};
  std::atomic<std::int64_t> looks_{0};
  std::atomic<bool> gate_closed_{false};
};

inline task<> nothing() { co_return; }

/// Changes the quota, and sees to it that a worker looks around until all workers know.
inline void grant(quota_world& world, runtime& rt, unsigned cpus) {
  world.granted = cpus;
  const auto known = [&] {
    const auto m = rt.metrics();
    return m.workers_active == cpus && m.workers_benched == m.workers - cpus;
  };
  while (!known()) rt.block_on(nothing());
}

}  // namespace weft::test
