#include "weft/queue/local_queue.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

struct item {
  item* next = nullptr;
};

TEST(local_queue, gives_items_in_the_order_in_which_they_came_also_after_it_was_empty) {
  local_queue<item> queue;
  item a, b, c;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.pop(), nullptr);
  for (int round = 0; round < 2; ++round) {
    queue.push_back(&a);
    queue.push_back(&b);
    EXPECT_EQ(queue.pop(), &a);
    queue.push_back(&c);
    queue.push_back(&a);  // an item may come back
    EXPECT_EQ(queue.pop(), &b);
    EXPECT_EQ(queue.pop(), &c);
    EXPECT_EQ(queue.pop(), &a);
    EXPECT_TRUE(queue.empty());
  }
}

}  // namespace
}  // namespace weft
