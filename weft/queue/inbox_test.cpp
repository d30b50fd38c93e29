// inbox on one thread, against std::deque as the oracle.
#include "weft/queue/inbox.hpp"

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

TEST(inbox, only_the_first_push_wakes) {
  inbox<item> box;
  item a, b;
  EXPECT_TRUE(box.empty());
  EXPECT_TRUE(box.push(&a));
  EXPECT_FALSE(box.push(&b));
  EXPECT_FALSE(box.empty());
  const auto chain = box.take_all();
  EXPECT_EQ(chain.first, &a);
  EXPECT_EQ(a.next, &b);
  EXPECT_EQ(b.next, nullptr);
  EXPECT_EQ(chain.count, 2u);
  EXPECT_TRUE(box.push(&a));
  EXPECT_EQ(box.take_all().count, 1u);
  EXPECT_EQ(box.take_all().first, nullptr);
}

TEST(inbox, agrees_with_a_deque) {
  rng random(test_support::seed());
  inbox<item> box;
  std::deque<int> oracle;
  std::vector<item> items(16);
  std::size_t used = 0;
  int number = 0;
  for (int step = 0; step < 100'000; ++step) {
    if (used < items.size() && random.below(6)) {
      items[used].number = number;
      ASSERT_EQ(box.push(&items[used++]), oracle.empty());
      oracle.push_back(number++);
    } else {
      const auto chain = box.take_all();
      ASSERT_EQ(chain.count, oracle.size());
      for (item* i = chain.first; i; i = i->next) {
        ASSERT_EQ(i->number, oracle.front());
        oracle.pop_front();
      }
      ASSERT_TRUE(oracle.empty());
      used = 0;
    }
  }
  static_cast<void>(box.take_all());
}

}  // namespace
}  // namespace weft
