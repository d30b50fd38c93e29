// mpmc_queue on one thread, against std::deque as the oracle.
#include "weft/queue/mpmc_queue.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <utility>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"

namespace weft {
namespace {

using pointer = std::unique_ptr<int>;

TEST(mpmc_queue, refuses_what_has_no_room_and_leaves_it_alone) {
  mpmc_queue<pointer> q(2);
  EXPECT_EQ(q.capacity(), 2u);
  EXPECT_TRUE(q.try_push(std::make_unique<int>(1)));
  EXPECT_TRUE(q.try_push(std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  EXPECT_FALSE(q.try_push(std::move(third)));
  ASSERT_NE(third, nullptr);
  EXPECT_EQ(*third, 3);
  EXPECT_EQ(q.len_hint(), 2u);
}

TEST(mpmc_queue, leaves_the_target_alone_when_there_is_nothing) {
  mpmc_queue<int> q(4);
  int out = 7;
  EXPECT_FALSE(q.try_pop(out));
  EXPECT_EQ(out, 7);
}

TEST(mpmc_queue, destroys_what_was_left_in_it) {
  auto watched = std::make_shared<int>(1);
  {
    mpmc_queue<std::shared_ptr<int>> q(4);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(q.try_push(std::shared_ptr<int>(watched)));
    std::shared_ptr<int> out;
    EXPECT_TRUE(q.try_pop(out));
    EXPECT_EQ(watched.use_count(), 4);
  }
  EXPECT_EQ(watched.use_count(), 1);
}

// The small index goes round many times.
template <class Queue>
void agree_with_a_deque(Queue& q) {
  rng random(test_support::seed());
  std::deque<int> oracle;
  int number = 0;
  for (int step = 0; step < 200'000; ++step) {
    if (random.below(2)) {
      auto value = std::make_unique<int>(number);
      const bool room = q.try_push(std::move(value));
      ASSERT_EQ(room, oracle.size() < q.capacity());
      ASSERT_EQ(room, value == nullptr);
      if (room) oracle.push_back(number++);
    } else {
      pointer out;
      ASSERT_EQ(q.try_pop(out), !oracle.empty());
      if (!out) continue;
      ASSERT_EQ(*out, oracle.front());
      oracle.pop_front();
    }
    ASSERT_EQ(q.len_hint(), oracle.size());
  }
}
TEST(mpmc_queue, agrees_with_a_deque) {
  mpmc_queue<pointer> q(8);
  agree_with_a_deque(q);
}
TEST(mpmc_queue, agrees_with_a_deque_when_the_index_goes_round) {
  mpmc_queue<pointer, std::uint8_t> q(8);
  agree_with_a_deque(q);
}

}  // namespace
}  // namespace weft
