// run_queue with real threads, its overflow going to an injector: each item is run exactly once,
// whoever gets it, and whoever takes several gets them in their order.
//   WEFT_STRESS_OPERATIONS   how many items each test sends (without it 40 million, for at most 3 s)
#include "weft/queue/run_queue.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <thread>
#include <vector>

#include "weft/queue/injector.hpp"
#include "weft/queue/stress_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

constexpr std::uint32_t items_usual = 40'000'000;

struct item {
  item* next = nullptr;
  std::uint32_t number = 0;
  unsigned runs = 0;  // deliberately plain: a second runner is a race for the sanitizer to see
  atomic<bool> out{false};
};
using items = items_in_use_again<item>;

// Small, so that it overflows and wraps all the time.
using queue = run_queue<item, 16>;

struct tally {
  alignas(cache_line) std::uint64_t count = 0;
  std::uint32_t next = 0;  // the least number that may come in order
  bool twice = false;
  bool disorder = false;

  void run(item* i, register_of_numbers& all) {
    ++i->runs;
    ++count;
    all.had(i->number);
    if (!items::done(i)) twice = true;
  }
  void run_in_order(item* i, register_of_numbers& all) {
    if (i->number < next) disorder = true;
    next = i->number + 1;
    run(i, all);
  }
};

/// Time for thieves to come: without it the owner takes nearly everything itself.
void linger(std::uint32_t number) {
  if (number % 64 != 0) return;
  for (int i = 0; i < 64; ++i) cpu_pause();
}

void check(const std::vector<tally>& tallies, const register_of_numbers& all, std::uint32_t made) {
  std::uint64_t count = 0;
  for (const tally& t : tallies) {
    count += t.count;
    EXPECT_FALSE(t.twice) << "an item was run twice";
    EXPECT_FALSE(t.disorder) << "two items changed places";
  }
  EXPECT_EQ(count, made);
  std::printf("  %u items;", made);
  for (const tally& t : tallies) std::printf(" %llu", static_cast<unsigned long long>(t.count));
  std::printf(" of them by each thread\n");
  for (std::uint32_t i = 0; i < made; ++i) ASSERT_EQ(all.times(i), 1u) << i;
}

TEST(run_queue_stress, every_item_is_run_once) {
  constexpr unsigned thieves = 3;
  const std::uint32_t wanted = stress_operations(items_usual);
  queue own;
  injector<item> overflow;
  items source;
  register_of_numbers all(wanted);
  std::vector<tally> tallies(thieves + 1);
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
          tallies[t].run(i, all);
          while (item* j = mine.pop()) tallies[t].run(j, all);
          continue;
        }
        // The owner drains what is left, and a thief that copies has claimed its share.
        if (last) return;
        std::this_thread::yield();
      }
    });
  }

  const stress_limit limit;
  tally& mine = tallies[thieves];
  while (source.made() < wanted && (source.made() % 4096 || !limit.reached())) {
    item* const fresh = source.fresh();
    if (fresh) {
      linger(source.made());
      own.push_back(fresh, overflow);
    }
    if (!fresh || source.made() % 3 == 0) {
      if (item* i = own.pop()) {
        mine.run(i, all);
      } else if (!fresh) {
        std::this_thread::yield();
      }
    }
  }
  while (item* i = own.pop()) mine.run(i, all);
  done.store(true, order::release);
  for (std::thread& t : threads) t.join();
  while (item* i = own.pop()) mine.run(i, all);
  while (item* i = overflow.pop()) mine.run(i, all);
  check(tallies, all, source.made());
}

// What went round by the overflow has lost its place; all others come to each thread in order.
TEST(run_queue_stress, whoever_takes_items_gets_them_in_order) {
  constexpr unsigned thieves = 2;
  const std::uint32_t wanted = stress_operations(items_usual);
  run_queue<item, 64> own;
  items source;
  register_of_numbers all(wanted);
  std::vector<tally> tallies(thieves + 1);
  atomic<bool> done(false);

  std::vector<std::thread> threads;
  for (unsigned t = 0; t < thieves; ++t) {
    threads.emplace_back([&, t] {
      run_queue<item, 64> mine;
      for (;;) {
        const bool last = done.load(order::acquire);
        item* const newest = own.steal_into(mine);
        while (item* i = mine.pop()) tallies[t].run_in_order(i, all);
        if (newest) {
          tallies[t].run_in_order(newest, all);
        } else if (last) {
          return;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }

  tally& mine = tallies[thieves];
  struct late {
    tally& to;
    register_of_numbers& all;
    void push_batch(item* first, item*, unsigned count) noexcept {
      while (count-- != 0) {
        item* const i = first;
        first = i->next;
        to.run(i, all);
      }
    }
  } overflow{mine, all};
  const stress_limit limit;
  while (source.made() < wanted && (source.made() % 4096 || !limit.reached())) {
    item* const fresh = own.len_hint() < own.capacity / 2 ? source.fresh() : nullptr;
    if (fresh) {
      own.push_back(fresh, overflow);
      linger(source.made());
    }
    if (!fresh || source.made() % 8 == 0) {
      if (item* i = own.pop()) {
        mine.run_in_order(i, all);
      } else if (!fresh) {
        std::this_thread::yield();
      }
    }
  }
  while (item* i = own.pop()) mine.run_in_order(i, all);
  done.store(true, order::release);
  for (std::thread& t : threads) t.join();
  check(tallies, all, source.made());
}

// Thieves that steal from each other: the shape in which a slot of a thief is written and read.
TEST(run_queue_stress, items_that_are_stolen_on_and_on_are_run_once) {
  constexpr unsigned workers = 3;
  const std::uint32_t wanted = stress_operations(items_usual);
  queue queues[workers];
  injector<item> injected;
  items source;
  register_of_numbers all(wanted);
  std::vector<tally> tallies(workers);
  atomic<bool> done(false);

  std::vector<std::thread> threads;
  for (unsigned w = 0; w < workers; ++w) {
    threads.emplace_back([&, w] {
      queue& own = queues[w];
      for (;;) {
        const bool last = done.load(order::acquire);
        item* i = own.pop();
        if (!i) {
          auto batch = injected.pop_batch(8);
          i = batch.first;
          for (item* rest = i ? i->next : nullptr; rest;) {
            item* next = rest->next;
            own.push_back(rest, injected);
            rest = next;
          }
        }
        for (unsigned k = 1; !i && k < workers; ++k) i = queues[(w + k) % workers].steal_into(own);
        if (i) {
          tallies[w].run(i, all);
        } else if (last && injected.empty()) {
          return;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  const stress_limit limit;
  while (source.made() < wanted && (source.made() % 4096 || !limit.reached())) {
    if (item* i = source.fresh()) {
      injected.push(i);
    } else {
      std::this_thread::yield();
    }
    while (injected.len_hint() > 4096) std::this_thread::yield();
  }
  done.store(true, order::release);
  for (std::thread& t : threads) t.join();
  check(tallies, all, source.made());
}

}  // namespace
}  // namespace weft
