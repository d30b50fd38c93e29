// work_deque with real threads: each item is taken once, by its owner or by a thief, and what was
// written into it before the push is seen by whoever takes it.
//   WEFT_STRESS_OPERATIONS   how many operations of the owner in each test, however long they take
//                            (without it 20 million, and at most 2 s)
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/os/membarrier.hpp"
#include "weft/queue/work_deque.hpp"

namespace weft {
namespace {

constexpr std::uint64_t operations_default = 20'000'000;
constexpr auto time_max = std::chrono::seconds(2);  // a slow or sanitized build does fewer

struct item {
  atomic<bool> out{false};    // pushed and not yet taken
  std::uint64_t payload = 0;  // deliberately plain: whoever takes it reads what the owner wrote
};

struct tally {
  alignas(cache_line) std::uint64_t count = 0;
  std::uint64_t sum = 0;
  bool twice = false;
  bool garbage = false;
  void take(item* i) {
    if (i == nullptr) {
      garbage = true;
      return;
    }
    ++count;
    sum += i->payload;
    // Last: from here on the owner may push it again.
    if (!i->out.exchange(false, order::acq_rel)) twice = true;
  }
};

/// The owner's side: items in use again as soon as they were taken.
class items {
 public:
  item* fresh() {
    item* const i = &all_[next_ % count];
    if (i->out.load(order::acquire)) return nullptr;
    ++next_;
    i->payload = ++pushed_;
    i->out.store(true, order::relaxed);
    return i;
  }
  std::uint64_t pushed() const { return pushed_; }

 private:
  static constexpr std::size_t count = 1 << 12;
  std::unique_ptr<item[]> all_ = std::make_unique<item[]>(count);
  std::size_t next_ = 0;
  std::uint64_t pushed_ = 0;
};

struct limit {
  std::uint64_t operations = operations_default;
  bool timed = true;
  limit() {
    if (const char* s = std::getenv("WEFT_STRESS_OPERATIONS")) {
      operations = std::strtoull(s, nullptr, 0);
      timed = false;
    }
  }
};

/// The owner's part; `len_max` decides how often it comes down to the last item, `pause_ns` how long
/// it does nothing now and then.
template <class Deque>
void own(Deque& d, items& all, tally& mine, unsigned len_max, std::uint32_t pause_ns,
         std::uint64_t seed) {
  const limit until;
  const auto end = std::chrono::steady_clock::now() + time_max;
  rng random(seed);
  unsigned len = 0;  // at most so many are left
  for (std::uint64_t n = 0; n < until.operations; ++n) {
    if (until.timed && n % 4096 == 0 && std::chrono::steady_clock::now() > end) break;
    const unsigned what = random.below(8);
    if (random.below(128) == 0) {  // time to be stolen from
      const auto until_then =
          std::chrono::steady_clock::now() + std::chrono::nanoseconds(random.below(pause_ns));
      while (std::chrono::steady_clock::now() < until_then) cpu_pause();
    }
    if (what < 3 && len < len_max) {
      if (item* i = all.fresh()) d.push(i), ++len;
    } else if (what == 3 && len + 4 <= len_max) {
      item* batch[4];
      unsigned m = 0;
      while (m < 4 && (batch[m] = all.fresh()) != nullptr) ++m;
      d.push_batch({batch, m});
      len += m;
    } else if (what < 6) {
      if (item* i = d.pop()) {
        mine.take(i);
        --len;
      } else {
        len = 0;
      }
    } else if (item* i = all.fresh()) {  // as fork_join: push, a little, pop_if
      d.push(i);
      if (d.pop_if(i)) {
        mine.take(i);
      } else {
        if (d.pop() != nullptr) mine.garbage = true;  // it was the youngest, and the oldest
        len = 0;
      }
    }
  }
}

void run(bool asymmetric, unsigned thieves, unsigned len_max) {
  work_deque<item> d(asymmetric, 2);
  items all;
  std::vector<tally> tallies(thieves + 1);
  atomic<bool> done(false);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < thieves; ++t) {
    threads.emplace_back([&, t] {
      item* batch[16];
      rng random(test_support::seed() + t + 1);
      for (unsigned idle = 0; !done.load(order::acquire);) {
        const unsigned n = d.steal_batch([] { os::heavy_fence(); }, batch, 1 + random.below(16));
        for (unsigned i = 0; i < n; ++i) tallies[t].take(batch[i]);
        idle = n == 0 ? idle + 1 : 0;
        if (idle % 256 == 255) std::this_thread::yield();  // there may be fewer cores than threads
      }
    });
  }
  // A thief that sees an item takes it a heavy fence later: microseconds, more in a virtual machine.
  const std::uint32_t pause_ns = asymmetric ? 20'000 : 1'000;
  own(d, all, tallies[thieves], len_max, pause_ns, test_support::seed());
  while (item* i = d.pop()) tallies[thieves].take(i);
  done.store(true, order::release);
  for (std::thread& t : threads) t.join();

  std::uint64_t count = 0, sum = 0, stolen = 0;
  for (unsigned t = 0; t <= thieves; ++t) {
    count += tallies[t].count;
    sum += tallies[t].sum;
    if (t < thieves) stolen += tallies[t].count;
    EXPECT_FALSE(tallies[t].twice) << "an item was taken twice";
    EXPECT_FALSE(tallies[t].garbage) << "what was taken is no item, or not that item";
  }
  EXPECT_EQ(count, all.pushed());
  EXPECT_EQ(sum, all.pushed() * (all.pushed() + 1) / 2);
  std::printf("  %llu pushed, %llu of them stolen\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(stolen));
}

// Mostly one or two items: owner and thief meet at the last one.
TEST(work_deque_stress, last_item_is_taken_once) {
  if (!os::register_heavy_fence()) GTEST_SKIP() << "no membarrier here";
  run(true, 1, 2);
}
TEST(work_deque_stress, items_are_taken_once_by_owner_and_three_thieves) {
  if (!os::register_heavy_fence()) GTEST_SKIP() << "no membarrier here";
  run(true, 3, 64);
}
TEST(work_deque_stress, last_item_is_taken_once_without_membarrier) { run(false, 1, 2); }
TEST(work_deque_stress, items_are_taken_once_without_membarrier) { run(false, 3, 64); }

// The owner's role goes round; whoever does not have it steals.
TEST(work_deque_stress, owner_changes_threads) {
  const bool asymmetric = os::register_heavy_fence();
  constexpr unsigned workers = 3;
  constexpr int operations_a_round = 2000;
  const limit until;
  const int rounds = until.timed ? 300 : static_cast<int>(until.operations / operations_a_round);
  work_deque<item> d(asymmetric, 2);
  items all;
  tally tallies[workers];
  atomic<int> round(0);
  std::vector<std::thread> threads;
  const auto end = std::chrono::steady_clock::now() + time_max;
  for (unsigned w = 0; w < workers; ++w) {
    threads.emplace_back([&, w] {
      item* batch[16];
      rng random(test_support::seed() + w);
      for (;;) {
        const int now = round.load(order::acquire);
        if (now >= rounds) return;
        if (now % workers != w) {
          const unsigned n = d.steal_batch([] { os::heavy_fence(); }, batch, 16);
          for (unsigned i = 0; i < n; ++i) tallies[w].take(batch[i]);
          if (n == 0) std::this_thread::yield();
          continue;
        }
        for (int k = 0; k < operations_a_round; ++k) {
          if (random.below(2) != 0) {
            if (item* i = all.fresh()) d.push(i);
          } else if (item* i = d.pop()) {
            tallies[w].take(i);
          }
        }
        const bool last =
            now + 1 >= rounds || (until.timed && std::chrono::steady_clock::now() > end);
        if (last) {
          while (item* i = d.pop()) tallies[w].take(i);
        }
        round.store(last ? rounds : now + 1, order::release);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  std::uint64_t count = 0;
  for (const tally& t : tallies) {
    count += t.count;
    EXPECT_FALSE(t.twice || t.garbage);
  }
  EXPECT_EQ(count, all.pushed());
}

}  // namespace
}  // namespace weft
