// Processors that change hands all the time: nothing is lost, and nothing runs twice. And the pair
// of stores and loads that it stands on, with its fence and without.
//
//   WEFT_STRESS_OPERATIONS   how many handoffs there are with each driver (without it: as many as come in 2 s)
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/net/unix.hpp"
#include "weft/os/affinity.hpp"
#include "weft/os/membarrier.hpp"
#include "weft/runtime/blocking_in_place.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/runtime/yield_if_due.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/task/pin.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

void burn(std::chrono::microseconds d) {
  const auto end = std::chrono::steady_clock::now() + d;
  while (std::chrono::steady_clock::now() < end) {
  }
}

struct totals {
  std::atomic<long> spawned{0};
  std::atomic<long> finished{0};
};

task<long> add(long a, long b) {
  burn(std::chrono::microseconds(a % 200));
  co_return a + b;
}
task<long> sum(long n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await fork_join([n] { return sum(n / 2); }, [n] { return sum(n - n / 2); });
  const long both = co_await add(a, b);
  co_return both;
}

task<> ping(net::unix_stream* s, int times) {
  std::array<std::byte, 1> in{};
  for (int i = 0; i < times; ++i) {
    const auto n = co_await s->read_some(in);
    EXPECT_TRUE(n.has_value() && *n == 1);
    const auto m = co_await s->write_some(in);
    EXPECT_TRUE(m.has_value());
  }
}

task<> one(rng random, totals* all, semaphore* few, int depth) {
  std::vector<join_handle<>> children;
  for (int i = 0; i < 6; ++i) {
    switch (random.below(10)) {
      case 0:
        burn(std::chrono::microseconds(random.below(400)));
        break;
      case 1:
        co_await sleep_for(std::chrono::microseconds(random.below(300)));
        break;
      case 2: {
        std::vector<std::unique_ptr<int>> some;
        for (int k = 0; k < 200; ++k) some.push_back(std::make_unique<int>(k));
        break;
      }
      case 3:
        co_await yield_if_due();
        break;
      case 4: {
        const long n = co_await sum(12);
        EXPECT_EQ(n, 12);
        break;
      }
      case 5: {
        const auto how =
            co_await timeout(100us, sleep_for(std::chrono::microseconds(random.below(200))));
        static_cast<void>(how);
        break;
      }
      case 6: {
        co_await few->acquire();
        burn(std::chrono::microseconds(random.below(100)));
        few->release();
        break;
      }
      case 7:
        weft::blocking([&random] {
          std::this_thread::sleep_for(std::chrono::microseconds(random.below(300)));
        });
        break;
      case 8: {
        auto both = net::unix_stream::pair();
        EXPECT_TRUE(both.has_value());
        auto other = spawn(ping, &both->second, 3);
        std::array<std::byte, 1> c{};
        for (int k = 0; k < 3; ++k) {
          const auto n = co_await both->first.write_some(c);
          EXPECT_TRUE(n.has_value());
          burn(50us);
          const auto m = co_await both->first.read_some(c);
          EXPECT_TRUE(m.has_value());
        }
        co_await other;
        break;
      }
      default:
        if (depth > 0) {
          all->spawned++;
          children.push_back(spawn(spawn_options{.worker = random.below(3) == 0 ? 0 : any_worker},
                                   one, rng(random.next()), all, few, depth - 1));
        }
    }
  }
  for (auto& c : children) co_await c;
  all->finished++;
}

class handoff_stress : public ::testing::TestWithParam<driver> {};
INSTANTIATE_TEST_SUITE_P(drivers, handoff_stress,
                         ::testing::Values(driver::epoll, driver::io_uring, driver::poll));

TEST_P(handoff_stress, all_that_is_spawned_ends) {
  rng random(test_support::seed());
  totals all;
  std::uint64_t handoffs = 0;
  const char* const asked = std::getenv("WEFT_STRESS_OPERATIONS");
  const std::uint64_t least = asked != nullptr ? std::strtoull(asked, nullptr, 10) : 0;
  const auto until = std::chrono::steady_clock::now() + 2s;
  do {
    std::unique_ptr<runtime> rt;
    try {
      rt = std::make_unique<runtime>(runtime_options{
          .workers = 3, .io = GetParam(), .preempt_after = 50us, .report_stuck = false});
    } catch (const error&) {
      GTEST_SKIP() << "the system has no such driver";
    }
    semaphore few(2);
    std::vector<join_handle<>> roots;
    for (int i = 0; i < 40; ++i) {
      all.spawned++;
      roots.push_back(rt->spawn(one, rng(random.next()), &all, &few, 3));
    }
    for (auto& r : roots) rt->block_on(r);
    handoffs += rt->metrics().handoffs;
    EXPECT_EQ(all.spawned.load(), all.finished.load());
  } while (std::chrono::steady_clock::now() < until || handoffs < least);
  EXPECT_GT(handoffs, 100u) << "it was about nothing";
  RecordProperty("handoffs", static_cast<int>(handoffs));
  std::printf("%llu handoffs, %ld jobs\n", static_cast<unsigned long long>(handoffs),
              all.finished.load());
}

// Two threads that each think to own the counter lose counts: what the claim's heavy fence
// prevents. Without it some are lost, or the test would be blind.
struct trial {
  long twice = 0;
  long claims = 0;
};
template <class Heavy>
trial claim_all_the_time(Heavy heavy, std::chrono::milliseconds how_long, long enough) {
  struct shared {
    pin_state pin{true};
    alignas(64) std::atomic<int> inside{0};
    alignas(64) std::atomic<bool> over{false};
    alignas(64) std::atomic<bool> given_back{false};
  };
  auto s = std::make_unique<shared>();
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
  const trial with = claim_all_the_time([] { os::heavy_fence(); }, 1s, 1);
  EXPECT_EQ(with.twice, 0);
  EXPECT_GT(with.claims, 0) << "it was about nothing";
}

TEST(pin_litmus, without_it_it_has_two) {
#if WEFT_TSAN
  GTEST_SKIP() << "the sanitizer's own steps are fences";
#endif
  if (os::cpus_available() < 2) GTEST_SKIP() << "it takes two CPUs";
  const trial without = claim_all_the_time([] { compiler_fence(); }, 60s, 1);
  EXPECT_GT(without.twice, 0) << "the test above sees nothing, after " << without.claims
                              << " claims";
}

}  // namespace
}  // namespace weft
