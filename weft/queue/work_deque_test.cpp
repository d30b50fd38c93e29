// work_deque on one thread, against std::deque as the oracle.
#include "weft/queue/work_deque.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"

namespace weft {
namespace {

constexpr auto no_fence = [] {};

struct work_deque_modes : ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(queue, work_deque_modes, ::testing::Bool(),
                         [](const auto& mode) { return mode.param ? "asymmetric" : "symmetric"; });

template <class Deque>
std::vector<int> drain(Deque& d) {
  std::vector<int> numbers;
  while (int* i = d.pop()) numbers.push_back(*i);
  return numbers;
}

TEST_P(work_deque_modes, is_empty_at_first) {
  work_deque<int> d(GetParam());
  int item = 0;
  EXPECT_TRUE(d.empty_hint());
  EXPECT_EQ(d.pop(), nullptr);
  EXPECT_FALSE(d.pop_if(&item));
  EXPECT_EQ(d.steal(no_fence), nullptr);
  EXPECT_TRUE(d.empty_hint());
}

TEST_P(work_deque_modes, owner_gets_the_youngest_and_a_thief_the_oldest) {
  work_deque<int> d(GetParam(), 4);
  int items[4] = {0, 1, 2, 3};
  for (int& i : items) d.push(&i);
  EXPECT_EQ(d.len_hint(), 4u);
  EXPECT_EQ(d.steal(no_fence), &items[0]);
  EXPECT_EQ(d.pop(), &items[3]);
  EXPECT_EQ(d.steal(no_fence), &items[1]);
  EXPECT_EQ(d.pop(), &items[2]);
  EXPECT_EQ(d.pop(), nullptr);
  EXPECT_EQ(d.steal(no_fence), nullptr);
}

TEST_P(work_deque_modes, pop_if_takes_only_the_youngest) {
  work_deque<int> d(GetParam(), 4);
  int items[2] = {0, 1};
  for (int& i : items) d.push(&i);
  EXPECT_FALSE(d.pop_if(&items[0]));
  EXPECT_EQ(d.len_hint(), 2u);
  EXPECT_TRUE(d.pop_if(&items[1]));
  EXPECT_TRUE(d.pop_if(&items[0]));
  EXPECT_FALSE(d.pop_if(&items[0]));
  EXPECT_TRUE(d.empty_hint());
}

TEST_P(work_deque_modes, pop_if_is_not_fooled_by_the_slot_of_a_stolen_item) {
  work_deque<int> d(GetParam(), 4);
  int item = 0;
  d.push(&item);
  EXPECT_EQ(d.steal(no_fence), &item);
  EXPECT_FALSE(d.pop_if(&item));
  EXPECT_FALSE(d.pop_if(&item));
  d.push(&item);
  EXPECT_TRUE(d.pop_if(&item));
}

TEST_P(work_deque_modes, batch_is_pushed_in_order_and_grows_the_deque_at_once) {
  work_deque<int> d(GetParam(), 2);
  std::vector<int> items(100);
  std::vector<int*> pointers;
  for (int i = 0; i < 100; ++i) {
    items[static_cast<std::size_t>(i)] = i;
    pointers.push_back(&items[static_cast<std::size_t>(i)]);
  }
  d.push_batch({});
  EXPECT_TRUE(d.empty_hint());
  d.push_batch(pointers);
  EXPECT_EQ(d.len_hint(), 100u);
  EXPECT_EQ(d.steal(no_fence), pointers[0]);
  for (int i = 99; i > 0; --i) EXPECT_EQ(*d.pop(), i);
  EXPECT_EQ(d.pop(), nullptr);
}

TEST_P(work_deque_modes, thief_takes_half_rounded_up_oldest_first) {
  for (unsigned n = 1; n <= 8; ++n) {
    work_deque<int> d(GetParam(), 8);
    int items[8] = {};
    for (unsigned i = 0; i < n; ++i) d.push(&items[i]);
    int* taken[8];
    const unsigned half = n - n / 2;
    EXPECT_EQ(d.steal_batch(no_fence, taken, 8), half);
    for (unsigned i = 0; i < half; ++i) EXPECT_EQ(taken[i], &items[i]);
    for (unsigned i = n; i > half; --i) EXPECT_EQ(d.pop(), &items[i - 1]);
    EXPECT_TRUE(d.empty_hint());
  }
}

TEST_P(work_deque_modes, thief_takes_no_more_than_it_asks_for_or_batch_max) {
  work_deque<int> d(GetParam());
  std::vector<int> items(1000);
  for (int& i : items) d.push(&i);
  std::vector<int*> taken(1000);
  EXPECT_EQ(d.steal_batch(no_fence, taken.data(), 0), 0u);
  EXPECT_EQ(d.steal_batch(no_fence, taken.data(), 3), 3u);
  EXPECT_EQ(d.steal_batch(no_fence, taken.data(), 1000), d.batch_max);
  EXPECT_EQ(taken[0], &items[3]);
  EXPECT_EQ(drain(d).size(), 1000u - 3 - d.batch_max);
}

// The owner's whole turn falls into the thief's heavy fence (which a symmetric deque does not call).
TEST(work_deque, owner_takes_all_from_under_a_claim) {
  work_deque<int> d(true, 4);
  int items[4] = {0, 1, 2, 3};
  for (int& i : items) d.push(&i);
  int* taken[4];
  const auto drain_it = [&] { EXPECT_EQ(drain(d), (std::vector<int>{3, 2, 1, 0})); };
  EXPECT_EQ(d.steal_batch(drain_it, taken, 4), 0u);
  d.push(&items[0]);
  EXPECT_EQ(d.steal(no_fence), &items[0]);
}

TEST(work_deque, owner_cuts_a_claim_and_pushes_anew) {
  work_deque<int> d(true, 4);
  int items[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  for (int i = 0; i < 4; ++i) d.push(&items[i]);
  int* taken[4];
  const auto meanwhile = [&] {
    for (int i = 3; i > 0; --i) EXPECT_EQ(d.pop(), &items[i]);
    for (int i = 4; i < 8; ++i) d.push(&items[i]);  // grows
    EXPECT_EQ(d.steal(no_fence), nullptr) << "another thief is at it";
    EXPECT_EQ(d.len_hint(), 5u);
  };
  EXPECT_EQ(d.steal_batch(meanwhile, taken, 4), 1u) << "what was left of the claim";
  EXPECT_EQ(taken[0], &items[0]);
  EXPECT_EQ(drain(d), (std::vector<int>{7, 6, 5, 4}));
}

TEST_P(work_deque_modes, thief_without_anything_to_see_pays_no_fence) {
  work_deque<int> d(GetParam(), 4);
  int item = 0;
  unsigned fences = 0;
  EXPECT_EQ(d.steal([&] { ++fences; }), nullptr);
  EXPECT_EQ(fences, 0u);
  d.push(&item);
  EXPECT_EQ(d.steal([&] { ++fences; }), &item);
  EXPECT_EQ(fences, GetParam() ? 1u : 0u);
}

template <class Deque>
void agree_with_a_deque(Deque& d, std::size_t len_max, std::uint64_t seed, int steps) {
  rng random(seed);
  std::deque<int*> oracle;
  std::vector<int> items(1024);
  unsigned next = 0;
  const auto fresh = [&] { return &items[next++ % items.size()]; };
  unsigned bias = 0;  // now mostly pushes, now mostly pops
  for (int step = 0; step < steps; ++step) {
    if (step % 1000 == 0) bias = random.below(5);
    const unsigned what = random.below(12);
    if (what < 2 + bias) {
      if (oracle.size() >= len_max) continue;
      int* const i = fresh();
      d.push(i);
      oracle.push_back(i);
    } else if (what < 7) {
      int* const i = d.pop();
      ASSERT_EQ(i, oracle.empty() ? nullptr : oracle.back()) << "step " << step;
      if (i) oracle.pop_back();
    } else if (what < 9) {
      // The youngest, the oldest, one that is not there.
      int* const expected = oracle.empty() || random.below(4) == 0 ? &items[random.below(1024)]
                            : random.below(4) == 0                 ? oracle.front()
                                                                   : oracle.back();
      const bool is = !oracle.empty() && oracle.back() == expected;
      ASSERT_EQ(d.pop_if(expected), is) << "step " << step;
      if (is) oracle.pop_back();
    } else if (what < 10) {
      std::vector<int*> batch(random.below(9));
      if (oracle.size() + batch.size() > len_max) continue;
      for (int*& i : batch) i = fresh();
      d.push_batch(batch);
      oracle.insert(oracle.end(), batch.begin(), batch.end());
    } else if (what < 11) {
      int* const i = d.steal(no_fence);
      ASSERT_EQ(i, oracle.empty() ? nullptr : oracle.front()) << "step " << step;
      if (i) oracle.pop_front();
    } else {
      int* taken[Deque::batch_max];
      const unsigned max = random.below(Deque::batch_max + 1);
      const unsigned n = d.steal_batch(no_fence, taken, max);
      const auto half = static_cast<unsigned>(oracle.size() - oracle.size() / 2);
      ASSERT_EQ(n, std::min(max, half)) << "step " << step;
      for (unsigned i = 0; i < n; ++i) {
        ASSERT_EQ(taken[i], oracle.front()) << "step " << step;
        oracle.pop_front();
      }
    }
    ASSERT_EQ(d.len_hint(), oracle.size()) << "step " << step;
  }
  while (d.pop()) oracle.pop_back();
  ASSERT_TRUE(oracle.empty());
}

TEST_P(work_deque_modes, agrees_with_a_deque) {
  work_deque<int> d(GetParam(), 2);
  agree_with_a_deque(d, 100'000, test_support::seed(), 1'000'000);
}
// 5 bits of index: it wraps every 32 items that are stolen.
TEST_P(work_deque_modes, agrees_with_a_deque_through_many_turns_of_the_index) {
  work_deque<int, std::uint8_t, 3> d(GetParam(), 2);
  agree_with_a_deque(d, 8, test_support::seed(), 1'000'000);
}

void destroy_with_work_in_it() {
  work_deque<int> d(true);
  int i = 0;
  d.push(&i);
}
void outgrow_its_index() {
  work_deque<int, std::uint8_t, 3> d(true, 2);
  int i = 0;
  for (int n = 0; n < 9; ++n) d.push(&i);
}
void start_with_an_odd_capacity() { work_deque<int> d(true, 3); }

TEST(work_deque, misuse_is_reported) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(destroy_with_work_in_it(), "drain it first");
  EXPECT_DEATH(outgrow_its_index(), "more than its index can count");
  EXPECT_DEATH(start_with_an_odd_capacity(), "a power of two");
}

}  // namespace
}  // namespace weft
