// ms_queue on one thread, against std::deque as the oracle.
#include "weft/queue/ms_queue.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <utility>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"

namespace weft {
namespace {

TEST(ms_queue, leaves_the_target_alone_when_there_is_nothing) {
  ms_queue<int> q;
  int out = 7;
  EXPECT_TRUE(q.empty());
  EXPECT_FALSE(q.try_pop(out));
  EXPECT_EQ(out, 7);
}

TEST(ms_queue, destroys_what_was_left_in_it) {
  auto watched = std::make_shared<int>(1);
  {
    ms_queue<std::shared_ptr<int>> q;
    for (int i = 0; i < 100; ++i) q.push(std::shared_ptr<int>(watched));
    std::shared_ptr<int> out;
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(q.try_pop(out));
    EXPECT_EQ(watched.use_count(), 62);
  }
  EXPECT_EQ(watched.use_count(), 1);
}

TEST(ms_queue, agrees_with_a_deque) {
  rng random(test_support::seed());
  ms_queue<std::unique_ptr<int>> q;
  std::deque<int> oracle;
  int number = 0;
  for (int step = 0; step < 200'000; ++step) {
    // Long phases of growth and of decline: the pool grows, and its nodes go round.
    if (random.below(8) < (step / 1000 % 2 ? 3u : 5u)) {
      q.push(std::make_unique<int>(number));
      oracle.push_back(number++);
    } else {
      std::unique_ptr<int> out;
      ASSERT_EQ(q.try_pop(out), !oracle.empty());
      if (!out) continue;
      ASSERT_EQ(*out, oracle.front());
      oracle.pop_front();
    }
    ASSERT_EQ(q.empty(), oracle.empty());
  }
}

}  // namespace
}  // namespace weft
