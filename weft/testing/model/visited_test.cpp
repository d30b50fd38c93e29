#include "weft/testing/model/visited.hpp"

#include <gtest/gtest.h>

#include "weft/testing/model/fingerprint.hpp"

namespace weft::model {
namespace {

fingerprint of(std::initializer_list<std::uint64_t> sequence) {
  fingerprint f;
  for (const std::uint64_t i : sequence) f.add(i);
  return f;
}

TEST(fingerprint, tells_sequences_apart) {
  EXPECT_EQ(of({1, 2}), of({1, 2}));
  EXPECT_NE(of({1, 2}), of({2, 1}));
  EXPECT_NE(of({1}), of({1, 1}));
  EXPECT_NE(of({}), of({0}));
  EXPECT_NE(of({0}), of({0, 0}));
}
TEST(fingerprint, of_a_set_does_not_show_the_order) {
  fingerprint a, b, twice;
  a.add_in_any_order(of({1}));
  a.add_in_any_order(of({2}));
  b.add_in_any_order(of({2}));
  b.add_in_any_order(of({1}));
  EXPECT_EQ(a, b);
  twice = a;
  twice.add_in_any_order(of({1}));
  EXPECT_NE(twice, a);
  twice.remove(of({1}));
  EXPECT_EQ(twice, a);
}
TEST(fingerprint, of_a_sequence_in_a_sequence_is_not_that_of_its_parts) {
  fingerprint nested;
  nested.add(of({1, 2}));
  EXPECT_NE(nested, of({1, 2}));
}

TEST(visited, knows_a_point_with_as_much_left) {
  visited v;
  const used some{1, 1, 1, 0};
  EXPECT_FALSE(v.been_at(of({1}), some));
  EXPECT_TRUE(v.been_at(of({1}), some));
  EXPECT_TRUE(v.been_at(of({1}), {2, 1, 1, 0}));
  EXPECT_TRUE(v.been_at(of({1}), {1, 1, 2, 0}));
  EXPECT_FALSE(v.been_at(of({2}), some));
}
TEST(visited, does_not_know_a_point_with_less_left_of_anything) {
  visited v;
  EXPECT_FALSE(v.been_at(of({1}), {1, 1, 1, 0}));
  EXPECT_FALSE(v.been_at(of({1}), {0, 3, 3, 0}));
  EXPECT_FALSE(v.been_at(of({1}), {3, 0, 3, 0}));
  EXPECT_FALSE(v.been_at(of({1}), {3, 3, 0, 0}));
  EXPECT_TRUE(v.been_at(of({1}), {3, 3, 0, 0})) << "each of them was noted";
}
TEST(visited, another_mover_costs_a_preemption) {
  constexpr std::uint8_t first = 1, second = 2;
  visited v;
  EXPECT_FALSE(v.been_at(of({1}), {1, 0, 0, first}));
  EXPECT_TRUE(v.been_at(of({1}), {1, 0, 0, first}));
  EXPECT_FALSE(v.been_at(of({1}), {1, 0, 0, second}));
  EXPECT_TRUE(v.been_at(of({1}), {2, 0, 0, 3}));
  EXPECT_TRUE(v.been_at(of({1}), {2, 0, 0, used::nobody}));
  EXPECT_FALSE(v.been_at(of({1}), {1, 0, 0, used::nobody}));
  EXPECT_TRUE(v.been_at(of({1}), {1, 0, 0, 3})) << "where none was asked, any could move";
}
TEST(visited, keeps_all_while_it_grows_and_notes_no_more_when_full) {
  constexpr std::uint64_t room = 4096;
  visited v(room);
  for (std::uint64_t i = 0; i < room; ++i) EXPECT_FALSE(v.been_at(of({i}), {}));
  EXPECT_EQ(v.size(), room);
  EXPECT_FALSE(v.been_at(of({room}), {}));
  EXPECT_FALSE(v.been_at(of({room}), {})) << "there was room for one more";
  for (std::uint64_t i = 0; i < room; ++i) EXPECT_TRUE(v.been_at(of({i}), {}));
  v.clear();
  EXPECT_FALSE(v.been_at(of({0}), {}));
}

}  // namespace
}  // namespace weft::model
