// Which number is where in a watched tree, and that what takes the time of all its folders is done in steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "weft/fs/watch_tree.hpp"

namespace weft::fs::detail {
namespace {

/// The numbers that were dropped, in order.
std::vector<int> reaped(watch_tree& t) {
  std::vector<int> all;
  while (!t.reap(1, all)) {
  }
  std::ranges::sort(all);
  return all;
}
std::vector<int> ended_round(watch_tree& t) {
  for (std::size_t at = 0; !t.end_round(at, 1);) {
  }
  return reaped(t);
}

TEST(watch_tree, a_path_follows_the_folders_above_it) {
  watch_tree t;
  t.begin(1, "top");
  t.put(2, 1, "a");
  t.put(3, 2, "b");
  t.put(4, 1, "c");
  EXPECT_EQ(t.path_of(3, "f"), "top/a/b/f");
  EXPECT_EQ(t.path_of(1, ""), "top");
  t.put(2, 4, "z");
  EXPECT_EQ(t.path_of(3, "f"), "top/c/z/b/f");
  EXPECT_FALSE(t.knows(1, "a"));
  EXPECT_TRUE(t.is_called(2, 4, "z"));
  EXPECT_TRUE(t.is_within(3, 4));
  t.drop(4);
  EXPECT_FALSE(t.has(3)) << "at once";
  EXPECT_EQ(reaped(t), (std::vector{2, 3, 4}));
  t.drop(1);
  EXPECT_TRUE(t.has(1)) << "the root stays";
}

TEST(watch_tree, none_is_put_into_itself) {
  watch_tree t;
  t.begin(1, "/");
  t.put(2, 1, "a");
  t.put(3, 2, "b");
  t.put(2, 3, "a");
  EXPECT_EQ(t.path_of(3, ""), "/a/b");
  EXPECT_EQ(t.path_of(2, ""), "/a");
}

TEST(watch_tree, two_may_have_a_name_until_it_is_known_where_one_of_them_went) {
  watch_tree t;
  t.begin(1, "top");
  t.put(2, 1, "a");
  t.put(3, 1, "a");
  EXPECT_TRUE(t.is_called(2, 1, "a"));
  EXPECT_TRUE(t.is_called(3, 1, "a"));
  t.put(2, 1, "b");
  EXPECT_EQ(t.path_of(2, ""), "top/b");
  EXPECT_TRUE(t.is_called(3, 1, "a"));
  t.put(2, 1, "a");
  t.drop(1);
  t.drop(3);
  EXPECT_TRUE(t.is_called(2, 1, "a"));
  EXPECT_EQ(reaped(t), std::vector{3});
}

// Nobody would hear of it otherwise, and its path would be that of nothing.
TEST(watch_tree, one_whose_name_another_has_goes_with_what_it_is_in) {
  watch_tree t;
  t.begin(1, "top");
  t.put(2, 1, "a");
  t.put(3, 2, "b");
  t.put(4, 2, "b");
  t.put(5, 3, "c");
  t.drop(2);
  EXPECT_FALSE(t.has(3) || t.has(4) || t.has(5));
  EXPECT_EQ(reaped(t), (std::vector{2, 3, 4, 5}));
}

TEST(watch_tree, a_round_keeps_what_was_seen_in_it) {
  watch_tree t;
  t.begin(1, "top");
  t.put(2, 1, "a");
  t.put(3, 2, "b");
  t.put(4, 2, "c");
  t.begin_round();
  t.put(3, 1, "b");
  EXPECT_EQ(ended_round(t), (std::vector{2, 4}));
  EXPECT_EQ(t.path_of(3, ""), "top/b");
  EXPECT_FALSE(t.has(2) || t.has(4));
}

TEST(watch_tree, a_round_keeps_what_could_not_be_seen_in_it) {
  watch_tree t;
  t.begin(1, "top");
  t.put(2, 1, "a");
  t.put(3, 2, "b");
  t.put(5, 1, "a");  // which of the two that is is not known either
  t.put(4, 1, "c");
  t.begin_round();
  t.confirm(1, "a");
  t.confirm(watch_tree::none);
  EXPECT_EQ(ended_round(t), std::vector{4});
  EXPECT_EQ(t.path_of(3, ""), "top/a/b");
  EXPECT_TRUE(t.has(5));
}

TEST(watch_tree, what_was_confirmed_goes_with_what_it_is_in_if_that_was_not_seen) {
  watch_tree t;
  t.begin(1, "top");
  t.put(2, 1, "a");
  t.put(3, 2, "b");
  t.put(4, 3, "c");
  t.begin_round();
  t.confirm(3);
  EXPECT_EQ(ended_round(t), (std::vector{2, 3, 4}));
  EXPECT_FALSE(t.has(3) || t.has(4));
}

TEST(watch_tree, what_was_dropped_goes_in_steps) {
  watch_tree t;
  t.begin(0, "top");
  constexpr int many = 1000;
  for (int i = 1; i <= many; ++i) t.put(i, i % 2 == 0 ? i - 1 : 0, std::to_string(i));
  t.begin_round();
  std::size_t at = 0;
  int ends = 0, reaps = 0;
  while (!t.end_round(at, 10)) ++ends;
  std::vector<int> all;
  for (std::size_t before = 0; !t.reap(10, all); before = all.size(), ++reaps) {
    EXPECT_LE(all.size() - before, 10u);
  }
  EXPECT_GE(ends, many / 10);
  EXPECT_GE(reaps, many / 10 - 1);
  EXPECT_EQ(all.size(), std::size_t{many});
  EXPECT_TRUE(t.has(0));
}

TEST(watch_tree, seen_names_are_forgotten_in_steps) {
  watch_tree t;
  t.begin(1, "top");
  EXPECT_TRUE(t.saw(1, "a"));
  EXPECT_FALSE(t.saw(1, "a"));
  EXPECT_TRUE(t.was_seen(1, "a"));
  EXPECT_FALSE(t.was_seen(1, "a"));
  EXPECT_FALSE(t.saw(2, "a")) << "nobody knows it";
  for (int i = 0; i < 25; ++i) t.saw(1, std::to_string(i));
  EXPECT_FALSE(t.forget_seen(10));
  EXPECT_FALSE(t.forget_seen(10));
  EXPECT_TRUE(t.forget_seen(10));
  EXPECT_FALSE(t.was_seen(1, "7"));
}

}  // namespace
}  // namespace weft::fs::detail
