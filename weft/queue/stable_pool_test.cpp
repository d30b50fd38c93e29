// stable_pool on one thread: numbers are unique while taken, addresses never change.
#include "weft/queue/stable_pool.hpp"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"

namespace weft {
namespace {

struct node {
  atomic<std::uint32_t> next_free{0};
};

TEST(stable_pool, gives_the_last_number_and_then_none) {
  stable_pool<node, 1, 3> pool;
  for (std::uint32_t i = 1; i < 8; ++i) EXPECT_EQ(pool.take(), i);
  EXPECT_EQ(pool.take(), 0u);
  pool.give(5);
  EXPECT_EQ(pool.take(), 5u);
  EXPECT_EQ(pool.take(), 0u);
}

TEST(stable_pool, keeps_addresses_while_it_grows_and_nodes_go_round) {
  rng random(test_support::seed());
  stable_pool<node> pool;
  std::map<std::uint32_t, node*> known;
  std::map<node*, std::uint32_t> names;
  std::vector<std::uint32_t> taken;
  for (int step = 0; step < 100'000; ++step) {
    if (random.below(8) < (step / 5000 % 2 ? 3u : 5u) || taken.empty()) {
      const std::uint32_t id = pool.take();
      ASSERT_NE(id, 0u);
      ASSERT_EQ(known.try_emplace(id, &pool[id]).first->second, &pool[id]);
      ASSERT_EQ(names.try_emplace(&pool[id], id).first->second, id);
      taken.push_back(id);
    } else {
      const auto at = random.below(static_cast<std::uint32_t>(taken.size()));
      pool.give(taken[at]);
      taken[at] = taken.back();
      taken.pop_back();
    }
  }
  ASSERT_LE(known.size(), 100'000u);
}

}  // namespace
}  // namespace weft
