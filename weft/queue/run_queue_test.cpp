// run_queue on one thread, against std::deque as the oracle.
#include "weft/queue/run_queue.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <vector>

#include "weft/base/rng.hpp"

namespace weft {
namespace {

struct item {
  item* next = nullptr;
  int number = 0;
};

struct chain_sink {
  std::vector<int> numbers;
  std::vector<unsigned> batches;
  void push_batch(item* first, item* last, unsigned count) {
    batches.push_back(count);
    for (item* i = first;; i = i->next) {
      numbers.push_back(i->number);
      if (i == last) break;
    }
  }
};

template <class Queue>
std::vector<int> drain(Queue& q) {
  std::vector<int> numbers;
  while (item* i = q.pop()) numbers.push_back(i->number);
  return numbers;
}

template <class Queue>
void fill(Queue& q, std::vector<item>& items, chain_sink& sink) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i].number = static_cast<int>(i);
    q.push_back(&items[i], sink);
  }
}

TEST(run_queue, is_empty_at_first) {
  run_queue<item> q;
  EXPECT_TRUE(q.empty_hint());
  EXPECT_EQ(q.pop(), nullptr);
}

TEST(run_queue, gives_back_in_order) {
  run_queue<item, 8> q;
  std::vector<item> items(8);
  chain_sink sink;
  fill(q, items, sink);
  EXPECT_EQ(q.len_hint(), 8u);
  EXPECT_EQ(drain(q), (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_TRUE(sink.batches.empty());
}

TEST(run_queue, overflow_moves_the_older_half_and_the_new_item_in_one_batch) {
  run_queue<item, 8> q;
  std::vector<item> items(9);
  chain_sink sink;
  fill(q, items, sink);
  EXPECT_EQ(sink.batches, std::vector<unsigned>{5});
  EXPECT_EQ(sink.numbers, (std::vector<int>{0, 1, 2, 3, 8}));
  EXPECT_EQ(drain(q), (std::vector<int>{4, 5, 6, 7}));
}

TEST(run_queue, thief_takes_the_older_half_and_gets_the_newest_of_it) {
  for (int n = 1; n <= 8; ++n) {
    run_queue<item, 8> from, mine;
    std::vector<item> items(static_cast<std::size_t>(n));
    chain_sink sink;
    fill(from, items, sink);
    const int taken = n - n / 2;
    item* got = from.steal_into(mine);
    ASSERT_NE(got, nullptr);
    EXPECT_EQ(got->number, taken - 1);
    EXPECT_EQ(mine.len_hint(), static_cast<unsigned>(taken - 1));
    EXPECT_EQ(from.len_hint(), static_cast<unsigned>(n - taken));
    for (int i = 0; i < taken - 1; ++i) EXPECT_EQ(mine.pop()->number, i);
    for (int i = taken; i < n; ++i) EXPECT_EQ(from.pop()->number, i);
  }
}

TEST(run_queue, thief_leaves_with_nothing_from_an_empty_queue) {
  run_queue<item, 8> from, mine;
  EXPECT_EQ(from.steal_into(mine), nullptr);
}

TEST(run_queue, thief_without_room_for_half_a_queue_takes_nothing) {
  run_queue<item, 8> from, mine;
  std::vector<item> theirs(4), own(5);
  chain_sink sink;
  fill(from, theirs, sink);
  fill(mine, own, sink);
  EXPECT_EQ(from.steal_into(mine), nullptr);
  EXPECT_EQ(drain(from).size(), 4u);
  EXPECT_EQ(drain(mine).size(), 5u);
}

// The index has 8 bits and the ring 16 slots: it wraps every 256 pushes.
TEST(run_queue, agrees_with_a_deque_through_many_turns_of_the_index) {
  using queue = run_queue<item, 16, std::uint8_t>;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    rng random(seed);
    queue a, b;
    std::deque<int> in_a, in_b;
    chain_sink sink;
    std::vector<std::unique_ptr<item>> items;
    int number = 0;
    for (int step = 0; step < 20'000; ++step) {
      switch (random.below(5)) {
        case 0:
        case 1: {
          items.push_back(std::make_unique<item>());
          items.back()->number = number;
          sink.numbers.clear();
          a.push_back(items.back().get(), sink);
          in_a.push_back(number++);
          if (sink.numbers.empty()) break;
          ASSERT_EQ(sink.numbers.size(), 9u);
          for (int i = 0; i < 8; ++i) {
            ASSERT_EQ(sink.numbers[static_cast<std::size_t>(i)], in_a.front());
            in_a.pop_front();
          }
          ASSERT_EQ(sink.numbers.back(), in_a.back());
          in_a.pop_back();
          break;
        }
        case 2:
        case 3: {
          queue& q = random.below(2) ? a : b;
          std::deque<int>& oracle = &q == &a ? in_a : in_b;
          item* i = q.pop();
          ASSERT_EQ(i == nullptr, oracle.empty());
          if (!i) break;
          ASSERT_EQ(i->number, oracle.front());
          oracle.pop_front();
          break;
        }
        default: {
          item* i = a.steal_into(b);
          if (in_a.empty() || in_b.size() > 8) {
            ASSERT_EQ(i, nullptr);
            break;
          }
          for (std::size_t n = in_a.size() - in_a.size() / 2; n > 0; --n) {
            in_b.push_back(in_a.front());
            in_a.pop_front();
          }
          ASSERT_EQ(i->number, in_b.back());
          in_b.pop_back();
        }
      }
      ASSERT_EQ(a.len_hint(), in_a.size());
      ASSERT_EQ(b.len_hint(), in_b.size());
    }
    drain(a);
    drain(b);
  }
}

void destroy_with_work_in_it() {
  run_queue<item, 8> q;
  item i;
  chain_sink sink;
  q.push_back(&i, sink);
}

TEST(run_queue, destruction_with_work_in_it_is_a_bug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(destroy_with_work_in_it(), "drain it first");
}

}  // namespace
}  // namespace weft
