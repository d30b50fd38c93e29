// run_queue and injector with real threads: each item is run exactly once, whoever gets it.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "weft/queue/injector.hpp"
#include "weft/queue/run_queue.hpp"

namespace weft {
namespace {

constexpr std::uint32_t items_max = 4'000'000;
constexpr auto time_max = std::chrono::seconds(4);  // a slow or sanitized build does fewer

struct item {
  item* next = nullptr;
  std::uint32_t number = 0;
  unsigned runs = 0;  // deliberately plain: a second runner is a race for the sanitizer to see
};

// Small, so that it overflows and wraps all the time.
using queue = run_queue<item, 16>;

struct tally {
  alignas(cache_line) std::uint64_t count = 0;
  std::uint64_t sum = 0;
  void run(item* i) {
    ++i->runs;
    ++count;
    sum += i->number;
  }
};

TEST(run_queue_stress, every_item_is_run_once) {
  constexpr unsigned thieves = 3;
  queue own;
  injector<item> overflow;
  const auto items = std::make_unique<item[]>(items_max);
  tally tallies[thieves + 1];
  atomic<bool> done(false);

  std::vector<std::thread> threads;
  for (unsigned t = 0; t < thieves; ++t) {
    threads.emplace_back([&, t] {
      queue mine;
      for (;;) {
        const bool last = done.load(order::acquire);
        item* i = own.steal_into(mine);
        if (!i && t == 0) i = overflow.pop();
        if (i) {
          tallies[t].run(i);
          while (item* j = mine.pop()) tallies[t].run(j);
          continue;
        }
        // The owner drains what is left, and a thief that copies has claimed its share.
        if (last) return;
        std::this_thread::yield();
      }
    });
  }

  const auto end = std::chrono::steady_clock::now() + time_max;
  tally& mine = tallies[thieves];
  std::uint32_t pushed = 0;
  while (pushed < items_max) {
    if (pushed % 4096 == 0 && std::chrono::steady_clock::now() > end) break;
    items[pushed].number = pushed;
    own.push_back(&items[pushed], overflow);
    ++pushed;
    if (pushed % 3 == 0) {
      if (item* i = own.pop()) mine.run(i);
    }
  }
  while (item* i = own.pop()) mine.run(i);
  done.store(true, order::release);
  for (std::thread& t : threads) t.join();
  while (item* i = own.pop()) mine.run(i);
  while (item* i = overflow.pop()) mine.run(i);

  std::uint64_t count = 0, sum = 0;
  for (const tally& t : tallies) {
    count += t.count;
    sum += t.sum;
  }
  EXPECT_EQ(count, pushed);
  EXPECT_EQ(sum, std::uint64_t{pushed} * (pushed - 1) / 2);
  for (std::uint32_t i = 0; i < pushed; ++i) ASSERT_EQ(items[i].runs, 1u) << i;
}

// Thieves that steal from each other: the shape in which a slot of a thief is written and read.
TEST(run_queue_stress, items_that_are_stolen_on_and_on_are_run_once) {
  constexpr unsigned workers = 3;
  queue queues[workers];
  injector<item> source;
  const auto items = std::make_unique<item[]>(items_max);
  tally tallies[workers];
  atomic<bool> done(false);

  std::vector<std::thread> threads;
  for (unsigned w = 0; w < workers; ++w) {
    threads.emplace_back([&, w] {
      queue& own = queues[w];
      for (;;) {
        const bool last = done.load(order::acquire);
        item* i = own.pop();
        if (!i) {
          auto batch = source.pop_batch(8);
          i = batch.first;
          for (item* rest = i ? i->next : nullptr; rest;) {
            item* next = rest->next;
            own.push_back(rest, source);
            rest = next;
          }
        }
        for (unsigned k = 1; !i && k < workers; ++k) i = queues[(w + k) % workers].steal_into(own);
        if (i) {
          tallies[w].run(i);
        } else if (last && source.empty()) {
          return;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  const auto end = std::chrono::steady_clock::now() + time_max;
  std::uint32_t pushed = 0;
  while (pushed < items_max && (pushed % 4096 || std::chrono::steady_clock::now() < end)) {
    items[pushed].number = pushed;
    source.push(&items[pushed]);
    ++pushed;
    while (source.len_hint() > 4096) std::this_thread::yield();
  }
  done.store(true, order::release);
  for (std::thread& t : threads) t.join();
  std::uint64_t count = 0;
  for (const tally& t : tallies) count += t.count;
  EXPECT_EQ(count, pushed);
  for (std::uint32_t i = 0; i < pushed; ++i) ASSERT_EQ(items[i].runs, 1u) << i;
}

}  // namespace
}  // namespace weft
