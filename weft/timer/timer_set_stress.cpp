// timer_set: the long walk beside the oracle, and real threads that arm and cancel while the owner
// fires. Each timer must end exactly once; the sanitizers watch its memory.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/os/clock.hpp"
#include "weft/timer/oracle_test_support.hpp"
#include "weft/timer/timer_set.hpp"

namespace weft {
namespace {

constexpr std::int64_t walk_time_max_ns = 30 * ns_per_s;  // sanitizers do not come to the end
constexpr std::int64_t race_time_max_ns = 2 * ns_per_s;

TEST(timer_set_stress, agrees_with_the_oracle_for_a_hundred_million_operations) {
  rng random(test_support::seed());
  test_support::timer_oracle oracle(2000);
  oracle.disturb(&random);
  const std::int64_t end = os::monotonic_ns() + walk_time_max_ns;
  for (int i = 0; i < 100'000'000; ++i) {
    oracle.step(random);
    if (i % 65536 == 0 && os::monotonic_ns() > end) {
      std::printf("stopped after %d operations\n", i);
      break;
    }
  }
}

struct racing final : timer_entry {
  racing() noexcept : timer_entry(&fire) {}
  static void fire(timer_entry& e) noexcept {
    // The last access: whoever waits for it frees the entry.
    static_cast<racing&>(e).done.store(true, order::release);
  }
  atomic<bool> done{false};
};

TEST(timer_set_stress, each_timer_is_fired_or_cancelled_and_never_both) {
  timer_set set;
  atomic<std::int64_t> now{0};
  atomic<bool> over{false};
  atomic<std::uint64_t> armed{0}, cancelled{0}, waited{0};
  std::uint64_t fired = 0;

  std::thread owner([&] {
    while (!over.load(order::acquire)) {
      fired += set.advance(now.fetch_add(ns_per_ms / 2, order::relaxed));
    }
  });
  std::vector<std::thread> users;
  for (unsigned u = 0; u < 3; ++u) {
    users.emplace_back([&, u] {
      rng random(test_support::seed() + u);
      const std::int64_t end = os::monotonic_ns() + race_time_max_ns;
      std::vector<std::unique_ptr<racing>> mine(16);
      for (unsigned round = 0; round % 64 != 0 || os::monotonic_ns() < end; ++round) {
        auto& slot = mine[random.below(16)];
        if (!slot) {
          slot = std::make_unique<racing>();
          const std::int64_t in = random.below(random.below(8) == 0 ? 1'000'000'000 : 3'000'000);
          ASSERT_TRUE(set.arm(*slot, now.load(order::relaxed) + in));
          armed.fetch_add(1, order::relaxed);
          continue;
        }
        if (set.cancel(*slot)) {
          ASSERT_FALSE(slot->done.load(order::acquire));
          cancelled.fetch_add(1, order::relaxed);
        } else {
          while (!slot->done.load(order::acquire)) spin_wait_yield();
          waited.fetch_add(1, order::relaxed);
        }
        slot.reset();
      }
      for (auto& slot : mine) {
        if (!slot) continue;
        if (set.cancel(*slot)) {
          cancelled.fetch_add(1, order::relaxed);
        } else {
          while (!slot->done.load(order::acquire)) spin_wait_yield();
          waited.fetch_add(1, order::relaxed);
        }
      }
    });
  }
  for (std::thread& t : users) t.join();
  over.store(true, order::release);
  owner.join();
  EXPECT_EQ(armed.load(order::relaxed),
            cancelled.load(order::relaxed) + waited.load(order::relaxed));
  EXPECT_EQ(fired, waited.load(order::relaxed));
  EXPECT_EQ(set.size(), 0u);
  EXPECT_GT(fired, 0u);
  EXPECT_GT(cancelled.load(order::relaxed), 0u);
}

}  // namespace
}  // namespace weft
