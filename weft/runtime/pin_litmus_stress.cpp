// The pair of stores and loads that the handing over of processors stands on, with its fence and without.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "weft/base/config.hpp"
#include "weft/os/affinity.hpp"
#include "weft/os/membarrier.hpp"
#include "weft/task/pin.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

// Two threads that each think to own the counter lose counts: what the claim's heavy fence
// prevents. Without it some are lost, or the test would be blind.
struct trial {
  long twice = 0;
  long claims = 0;
};
/// `asymmetric`: as it is of the pin.
template <class Heavy>
trial claim_all_the_time(bool asymmetric, Heavy heavy, std::chrono::milliseconds how_long,
                         long enough) {
  struct shared {
    explicit shared(bool light) : pin(light) {}
    pin_state pin;
    alignas(64) std::atomic<int> inside{0};
    alignas(64) std::atomic<bool> over{false};
    alignas(64) std::atomic<bool> given_back{false};
  };
  auto s = std::make_unique<shared>(asymmetric);
  trial seen;
  std::atomic<long> twice{0};
  s->pin.unpin();
  std::thread owner([&] {
    while (!s->over.load(std::memory_order_relaxed)) {
      if (s->pin.pin() == pin_state::pin_result::owned) {
        bool other = false;
        for (int i = 0; i < 20; ++i) other |= s->inside.load(std::memory_order_relaxed) != 0;
        if (other) ++twice;
        s->pin.unpin();
      } else {
        while (!s->given_back.load() && !s->over.load()) cpu_pause();
        s->given_back = false;
        s->pin.become_owner();
        s->pin.unpin();
      }
    }
  });
  const auto end = std::chrono::steady_clock::now() + how_long;
  while (std::chrono::steady_clock::now() < end && twice.load() < enough) {
    if (s->pin.try_claim(heavy) != pin_state::claim_result::taken) continue;
    ++seen.claims;
    s->inside.store(1, std::memory_order_relaxed);
    for (int i = 0; i < 200; ++i) cpu_pause();
    s->inside.store(0, std::memory_order_release);
    s->given_back = true;
    while (s->given_back.load()) cpu_pause();
  }
  s->over = true;
  owner.join();
  seen.twice = twice;
  return seen;
}

TEST(pin_litmus, with_its_fence_a_processor_has_one_owner) {
  if (!os::register_heavy_fence()) GTEST_SKIP() << "membarrier is refused here";
  const trial with = claim_all_the_time(true, [] { os::heavy_fence(); }, 1s, 1);
  EXPECT_EQ(with.twice, 0);
  EXPECT_GT(with.claims, 0) << "it was about nothing";
}

TEST(pin_litmus, without_it_it_has_two) {
#if WEFT_TSAN
  GTEST_SKIP() << "the sanitizer's own steps are fences";
#endif
  if (os::cpus_available() < 2) GTEST_SKIP() << "it takes two CPUs";
  const trial without = claim_all_the_time(true, [] { compiler_fence(); }, 180s, 1);
  EXPECT_GT(without.twice, 0) << "the test above sees nothing, after " << without.claims
                              << " claims";
}

// Where membarrier is refused: both sides have a fence of their own.
TEST(pin_litmus, with_full_fences_a_processor_has_one_owner) {
  const trial with = claim_all_the_time(false, [] { fence(order::seq_cst); }, 2s, 1);
  EXPECT_EQ(with.twice, 0);
  EXPECT_GT(with.claims, 0) << "it was about nothing";
}

}  // namespace
}  // namespace weft
