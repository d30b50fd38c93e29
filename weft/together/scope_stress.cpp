// scope under real threads: children that spawn, wait, fail and end, while stops come from three sides.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <stdexcept>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/together/join_set.hpp"
#include "weft/together/scope.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

struct tally {
  atomic<long> alive{0};
  atomic<long> ended{0};
};
class counted {
 public:
  explicit counted(tally& of) noexcept : of_(of) { of_.alive.fetch_add(1, order::relaxed); }
  ~counted() {
    of_.alive.fetch_sub(1, order::relaxed);
    of_.ended.fetch_add(1, order::relaxed);
  }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;

 private:
  tally& of_;
};

task<> child(scope_ref s, std::uint64_t seed, int depth, tally& of) {
  const counted mine(of);
  rng random(seed);
  for (unsigned i = 0; i < 4; ++i) {
    const auto what = random.below(100);
    if (what < 40 && depth > 0) s.spawn(child, s, random.next(), depth - 1, std::ref(of));
    if (what < 70) co_await yield_now();
    if (what >= 70 && what < 95) co_await sleep_for(std::chrono::microseconds(random.below(20)));
    if (what == 98) s.stop();
    if (what == 99 && random.below(4) == 0) throw std::runtime_error("child");
  }
}

task<> one_round(std::uint64_t seed) {
  tally of;
  rng random(seed);
  try {
    const auto limit = std::chrono::microseconds(random.below(1500));
    const std::uint64_t inner = random.next();
    static_cast<void>(co_await scope(scope_options{.timeout = limit}, [&](scope_ref s) -> task<> {
      for (std::uint64_t i = 0; i < 8; ++i) s.spawn(child, s, inner + i, 6, std::ref(of));
      co_await child(s, inner, 6, of);
    }));
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(of.alive.load(order::relaxed), 0) << seed;
}

unsigned rounds() {
  const char* const asked = std::getenv("WEFT_STRESS_OPERATIONS");
  return asked != nullptr ? static_cast<unsigned>(std::strtoul(asked, nullptr, 10) / 1000) + 1
                          : 600;
}

TEST(scope_stress, nothing_is_alive_after_the_end) {
  rng seeds(test_support::seed());
  for (const unsigned workers : {2u, 4u, 8u}) {
    runtime rt({.workers = workers});
    for (unsigned i = 0; i < rounds() / 3; ++i) {
      auto a = rt.spawn(one_round, seeds.next());
      auto b = rt.spawn(one_round, seeds.next());
      if (i % 4 == 0) a.stop();  // from a foreign thread
      static_cast<void>(rt.block_on(a.outcome()));
      static_cast<void>(rt.block_on(b.outcome()));
    }
  }
}

task<long> set_round(std::uint64_t seed) {
  co_return co_await with_join_set<int>([seed](join_set<int>& set) -> task<long> {
    rng random(seed);
    long spawned = 0, given = 0;
    for (int i = 0; i < 60; ++i) {
      set.spawn(
          [](std::uint64_t us) -> task<int> {
            if (us % 2 == 0) co_await sleep_for(std::chrono::microseconds(us));
            co_return 1;
          },
          random.below(30));
      ++spawned;
      if (random.below(3) == 0) {
        const auto ended = co_await set.next();
        given += ended.has_value() ? 1 : 0;
      }
      if (random.below(20) == 0) set.stop_all();
    }
    for (;;) {
      const auto ended = co_await set.next();
      if (!ended) break;
      ++given;
    }
    co_return spawned - given;
  });
}
TEST(scope_stress, a_join_set_gives_each_outcome_once) {
  rng seeds(test_support::seed());
  for (const unsigned workers : {2u, 4u}) {
    runtime rt({.workers = workers});
    for (unsigned i = 0; i < rounds() / 3; ++i) {
      auto job = rt.spawn(set_round, seeds.next());
      EXPECT_EQ(rt.block_on(job), 0);
    }
  }
}

}  // namespace
}  // namespace weft
