// The stress of queues of linked items: two push, two pop, singly and in batches of up to 150. Items are
// freed as soon as they were popped: whoever looks into one that he has not won meets freed memory.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/queue/stress_test_support.hpp"

namespace weft::test_support {

struct linked {
  linked* next = nullptr;
  std::uint32_t number = 0;
};

/// Queue: push, push_batch, pop, pop_batch, len_hint and empty, as the injector has them.
template <class Queue>
void push_and_pop_in_batches(Queue& q) {
  constexpr unsigned pushers = 2, poppers = 2;
  const std::uint32_t each = stress_operations(4'000'000) / pushers;
  register_of_numbers all(each * pushers);
  const stress_limit limit;
  atomic<std::uint32_t> pushed[pushers];
  atomic<unsigned> pushing(pushers), disorders(0);
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < pushers; ++p) {
    threads.emplace_back([&, p] {
      rng random(seed() + p);
      std::uint32_t n = 0;
      for (unsigned turn = 0; n < each && (turn % 256 || !limit.reached()); ++turn) {
        unsigned size = 1 + random.below(random.below(4) ? 3 : 150);
        if (size > each - n) size = each - n;
        linked* first = nullptr;
        linked* last = nullptr;
        for (unsigned i = 0; i < size; ++i, ++n) {
          linked* const one = new linked{nullptr, p * each + n};
          (last ? last->next : first) = one;
          last = one;
        }
        if (size == 1) {
          q.push(first);
        } else {
          q.push_batch(first, last, size);
        }
        while (q.len_hint() > 1000 && !q.empty()) std::this_thread::yield();
      }
      pushed[p].store(n, order::relaxed);
      pushing.fetch_sub(1, order::release);
    });
  }
  for (unsigned c = 0; c < poppers; ++c) {
    threads.emplace_back([&, c] {
      rng random(seed() + pushers + c);
      std::uint32_t next[pushers] = {};
      for (;;) {
        const bool last = pushing.load(order::acquire) == 0;
        linked* i = random.below(2) ? q.pop() : q.pop_batch(1 + random.below(40)).first;
        if (!i) {
          if (last) return;
          std::this_thread::yield();
        }
        while (i) {
          std::uint32_t& least = next[i->number / each];
          if (i->number % each < least) disorders.fetch_add(1, order::relaxed);
          least = i->number % each + 1;
          all.had(i->number);
          linked* const done = i;
          i = i->next;
          delete done;
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_TRUE(q.empty());
  EXPECT_EQ(q.len_hint(), 0u);
  EXPECT_EQ(disorders.load(order::relaxed), 0u);
  for (unsigned p = 0; p < pushers; ++p) {
    for (std::uint32_t n = 0; n < each; ++n) {
      ASSERT_EQ(all.times(p * each + n), n < pushed[p].load(order::relaxed) ? 1u : 0u) << p << n;
    }
  }
}

}  // namespace weft::test_support
