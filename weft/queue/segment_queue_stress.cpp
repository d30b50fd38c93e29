// segment_queue and inbox with real threads. Items are freed as soon as they were popped: whoever
// looks into one that he has not won meets freed memory.
#include "weft/queue/segment_queue.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/queue/inbox.hpp"
#include "weft/queue/parker.hpp"
#include "weft/queue/stress_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

struct item {
  item* next = nullptr;
  std::uint32_t number = 0;
};

// Blocks of three, so that they go round all the time, and the usual ones.
template <unsigned Slots>
void push_and_pop_in_batches() {
  constexpr unsigned pushers = 2, poppers = 2;
  const std::uint32_t each = stress_operations(4'000'000) / pushers;
  segment_queue<item, Slots> q;
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
        item* first = nullptr;
        item* last = nullptr;
        for (unsigned i = 0; i < size; ++i, ++n) {
          item* const one = new item{nullptr, p * each + n};
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
        item* i = random.below(2) ? q.pop() : q.pop_batch(1 + random.below(40)).first;
        if (!i) {
          if (last) return;
          std::this_thread::yield();
        }
        while (i) {
          std::uint32_t& least = next[i->number / each];
          if (i->number % each < least) disorders.fetch_add(1, order::relaxed);
          least = i->number % each + 1;
          all.had(i->number);
          item* const done = i;
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
TEST(segment_queue_stress, every_item_comes_out_once_and_in_order) {
  push_and_pop_in_batches<60>();
}
TEST(segment_queue_stress, every_item_comes_out_once_when_blocks_are_tiny) {
  push_and_pop_in_batches<4>();
}

// The owner sleeps whenever it finds nothing: a lost wake hangs the test.
TEST(inbox_stress, owner_is_woken_for_every_item) {
  constexpr unsigned pushers = 2;
  const std::uint32_t each = stress_operations(2'000'000) / pushers;
  inbox<item> box;
  parker bed;
  const stress_limit limit;
  atomic<std::uint32_t> pushed(0);
  atomic<unsigned> pushing(pushers);
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < pushers; ++p) {
    threads.emplace_back([&, p] {
      std::uint32_t n = 0;
      for (; n < each && (n % 1024 || !limit.reached()); ++n) {
        if (box.push(new item{nullptr, p * each + n})) static_cast<void>(bed.unpark());
        if (n % 64 == 0) std::this_thread::yield();
      }
      pushed.fetch_add(n, order::relaxed);
      if (pushing.fetch_sub(1, order::acq_rel) == 1) static_cast<void>(bed.unpark());
    });
  }
  std::uint32_t had = 0, next[pushers] = {};
  for (;;) {
    const bool last = pushing.load(order::acquire) == 0;
    const auto chain = box.take_all();
    if (!chain.first) {
      if (last) break;
      bed.park();
    }
    for (item* i = chain.first; i;) {
      ASSERT_EQ(i->number % each, next[i->number / each]++) << "two items changed places";
      ++had;
      item* const done = i;
      i = i->next;
      delete done;
    }
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(had, pushed.load(order::relaxed));
}

}  // namespace
}  // namespace weft
