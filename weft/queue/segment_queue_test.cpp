// segment_queue on one thread, against std::deque as the oracle.
#include "weft/queue/segment_queue.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"

namespace weft {
namespace {

struct item {
  item* next = nullptr;
  int number = 0;
};

TEST(segment_queue, is_empty_at_first) {
  segment_queue<item> q;
  EXPECT_TRUE(q.empty());
  EXPECT_EQ(q.pop(), nullptr);
  EXPECT_EQ(q.pop_batch(8).count, 0u);
}

TEST(segment_queue, a_batch_of_nothing_takes_nothing) {
  segment_queue<item> q;
  item i;
  q.push(&i);
  EXPECT_EQ(q.pop_batch(0).first, nullptr);
  EXPECT_EQ(q.len_hint(), 1u);
  EXPECT_EQ(q.pop(), &i);
}

TEST(segment_queue, popped_items_carry_no_link) {
  segment_queue<item> q;
  item a, b;
  q.push(&a);
  q.push(&b);
  EXPECT_EQ(q.pop(), &a);
  EXPECT_EQ(a.next, nullptr);
  EXPECT_EQ(q.pop(), &b);
}

TEST(segment_queue, agrees_with_a_deque) {
  rng random(test_support::seed());
  segment_queue<item> q;
  std::deque<int> oracle;
  std::vector<item> items(600);
  std::vector<item*> free_items;
  for (item& i : items) free_items.push_back(&i);
  int number = 0;
  for (int step = 0; step < 200'000; ++step) {
    const unsigned n = 1 + random.below(random.below(8) ? 5 : 200);  // also over several blocks
    if (random.below(2) && free_items.size() >= n) {
      item* first = nullptr;
      item* last = nullptr;
      for (unsigned i = 0; i < n; ++i) {
        item* one = free_items.back();
        free_items.pop_back();
        one->number = number;
        oracle.push_back(number++);
        (last ? last->next : first) = one;
        last = one;
      }
      q.push_batch(first, last, n);
    } else {
      auto got = q.pop_batch(n);
      unsigned count = 0;
      for (item* i = got.first; i; ++count) {
        ASSERT_EQ(i->number, oracle.front());
        oracle.pop_front();
        item* next = i->next;
        i->next = nullptr;
        free_items.push_back(i);
        i = next;
      }
      ASSERT_EQ(count, got.count);
      ASSERT_TRUE(count == n || oracle.empty());
    }
    ASSERT_EQ(q.len_hint(), oracle.size());
  }
  while (q.pop()) {
  }
}

}  // namespace
}  // namespace weft
