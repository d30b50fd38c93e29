// Folders, one by one and as trees.
#include "weft/fs/read_dir.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "weft/fs/fs_test_support.hpp"

namespace weft::fs {
namespace {

namespace files = std::filesystem;

class read_dir_test : public test::on_each_driver {};

TEST_P(read_dir_test, each_name_comes_once_from_a_folder_of_many_pieces) {
  std::set<std::string> expected;
  for (int i = 0; i < 3000; ++i) {
    const std::string name = "a-name-that-is-long-enough-to-fill-pieces-" + std::to_string(i);
    here_.put(name, "");
    expected.insert(name);
  }
  files::create_directory(here_.at("d"));
  files::create_symlink("nowhere", here_.at("l"));
  run([&]() -> task<> {
    std::map<std::string, file_kind> seen;
    auto all = read_dir(here_.path());
    for (;;) {
      auto next = co_await all.next();
      if (!next) break;
      WEFT_REQUIRE(*next);
      EXPECT_TRUE(seen.emplace((*next)->name, (*next)->kind).second) << (*next)->name;
    }
    EXPECT_EQ(seen.size(), 3002u);
    EXPECT_EQ(seen["d"], file_kind::directory);
    EXPECT_EQ(seen["l"], file_kind::symbolic_link);
    for (const std::string& name : expected) EXPECT_TRUE(seen.contains(name)) << name;
  });
}

TEST_P(read_dir_test, an_error_is_the_last_element) {
  here_.put("a", "");
  run([&]() -> task<> {
    for (const auto& [name, why] : {std::pair{"none", std::errc::no_such_file_or_directory},
                                    std::pair{"a", std::errc::not_a_directory}}) {
      auto all = read_dir(here_.at(name));
      auto first = co_await all.next();
      WEFT_REQUIRE(first && !*first);
      EXPECT_EQ(first->error(), why);
      auto end = co_await all.next();
      EXPECT_FALSE(end);
    }
  });
}

task<std::vector<walk_entry>> collect(std::string from, walk_options how = {}) {
  std::vector<walk_entry> seen;
  auto all = walk(std::move(from), how);
  for (;;) {
    auto next = co_await all.next();
    if (!next) break;
    seen.push_back(std::move(*next));
  }
  co_return seen;
}

std::string below(const test::folder& here, const walk_entry& e) {
  return e.path == here.path() ? "" : e.path.substr(here.path().size() + 1);
}

class walk_test : public test::on_each_driver {};

TEST_P(walk_test, folders_come_before_what_is_in_them_and_links_are_not_entered) {
  files::create_directories(here_.at("a/b"));
  here_.put("a/b/f", "");
  here_.put("g", "");
  files::create_directory_symlink("a", here_.at("link"));
  run([&]() -> task<> {
    const auto seen = co_await collect(here_.path());
    std::map<std::string, std::size_t> place;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      EXPECT_FALSE(seen[i].error) << seen[i].path;
      place[below(here_, seen[i])] = i;
    }
    WEFT_REQUIRE(seen.size() == 6u && place.size() == 6u);
    EXPECT_EQ(place[""], 0u);
    EXPECT_EQ(seen[0].depth, 0u);
    EXPECT_LT(place["a"], place["a/b"]);
    EXPECT_LT(place["a/b"], place["a/b/f"]);
    EXPECT_EQ(seen[place["a/b/f"]].depth, 3u);
    EXPECT_EQ(seen[place["link"]].kind, file_kind::symbolic_link);
    EXPECT_EQ(seen[place["g"]].kind, file_kind::regular);

    const auto one = co_await collect(here_.at("g"));
    WEFT_REQUIRE(one.size() == 1u);
    EXPECT_EQ(one[0].kind, file_kind::regular);
    const auto none = co_await collect(here_.at("none"));
    WEFT_REQUIRE(none.size() == 1u);
    EXPECT_EQ(none[0].error, std::errc::no_such_file_or_directory);
  });
}

TEST_P(walk_test, a_cycle_of_links_is_told_of_and_not_walked) {
  files::create_directories(here_.at("a/b"));
  files::create_directory_symlink("../..", here_.at("a/b/top"));
  files::create_symlink("nowhere", here_.at("broken"));
  run([&]() -> task<> {
    const auto seen = co_await collect(here_.path(), {.follow_links = true});
    std::map<std::string, walk_entry> by_name;
    for (const auto& e : seen) by_name[below(here_, e)] = e;
    EXPECT_EQ(seen.size(), 5u);
    EXPECT_EQ(by_name["a/b/top"].error, std::errc::too_many_symbolic_link_levels);
    EXPECT_EQ(by_name["broken"].kind, file_kind::symbolic_link);
    EXPECT_FALSE(by_name["broken"].error);
  });
}

TEST_P(walk_test, what_cannot_be_entered_is_told_of_and_the_walk_goes_on) {
  files::create_directories(here_.at("deep/deeper/deepest"));
  here_.put("z", "");
  run([&]() -> task<> {
    const auto seen = co_await collect(here_.path(), {.depth_max = 2});
    std::map<std::string, walk_entry> by_name;
    for (const auto& e : seen) by_name[below(here_, e)] = e;
    EXPECT_EQ(seen.size(), 4u);
    EXPECT_EQ(by_name["deep/deeper"].error, std::errc::too_many_files_open);
    EXPECT_FALSE(by_name["z"].error);
  });
}

// A consumer that has enough: the folders that are open are closed (the test's main counts them).
TEST_P(walk_test, one_that_is_left_early_leaves_nothing_open) {
  files::create_directories(here_.at("a/b/c"));
  run([&]() -> task<> {
    auto all = walk(here_.path());
    for (int i = 0; i < 3; ++i) {
      auto next = co_await all.next();
      EXPECT_TRUE(next);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(drivers, read_dir_test, test::all_drivers, test::driver_name);
INSTANTIATE_TEST_SUITE_P(drivers, walk_test, test::all_drivers, test::driver_name);

}  // namespace
}  // namespace weft::fs
