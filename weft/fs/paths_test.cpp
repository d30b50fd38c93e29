// What is done to names.
#include "weft/fs/paths.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <limits>

#include "weft/fs/fs_test_support.hpp"
#include "weft/os/file_tree.hpp"

namespace weft::fs {
namespace {

namespace files = std::filesystem;

class paths : public test::on_each_driver {};

TEST_P(paths, names_are_looked_at_made_renamed_and_removed) {
  here_.put("a", "hello");
  files::create_symlink("a", here_.at("link"));
  files::create_symlink("nowhere", here_.at("broken"));
  run([&]() -> task<> {
    const auto seen = co_await metadata(here_.at("link"));
    WEFT_REQUIRE(seen);
    EXPECT_EQ(seen->kind, file_kind::regular);
    EXPECT_EQ(seen->size, 5u);
    EXPECT_GT(seen->modified_ns, 0);
    const auto link = co_await link_metadata(here_.at("link"));
    WEFT_REQUIRE(link);
    EXPECT_EQ(link->kind, file_kind::symbolic_link);
    const auto there = co_await exists(here_.at("a"));
    const auto broken = co_await exists(here_.at("broken"));
    const auto below_a_file = co_await exists(here_.at("a/b"));
    EXPECT_TRUE(there && *there);
    EXPECT_TRUE(broken && !*broken);
    EXPECT_TRUE(below_a_file && !*below_a_file);
    const auto empty = co_await metadata("");
    EXPECT_EQ(empty.error(), std::errc::no_such_file_or_directory);

    const auto made = co_await create_directory(here_.at("d"));
    const auto again = co_await create_directory(here_.at("d"));
    EXPECT_TRUE(made);
    EXPECT_EQ(again.error(), std::errc::file_exists);
    const auto deep = co_await create_directories(here_.at("d/e//f/"));
    const auto deep_again = co_await create_directories(here_.at("d/e/f"));
    const auto through_a_file = co_await create_directories(here_.at("a/b"));
    EXPECT_TRUE(deep && deep_again);
    EXPECT_EQ(through_a_file.error(), std::errc::not_a_directory);
    EXPECT_TRUE(here_.has("d/e/f"));

    const auto taken = co_await rename_new(here_.at("a"), here_.at("link"));
    EXPECT_EQ(taken.error(), std::errc::file_exists);
    const auto moved = co_await rename(here_.at("a"), here_.at("link"));
    EXPECT_TRUE(moved);
    EXPECT_EQ(here_.get("link"), "hello");
    const auto fresh = co_await rename_new(here_.at("link"), here_.at("b"));
    EXPECT_TRUE(fresh);

    const auto full = co_await remove(here_.at("d"));
    EXPECT_EQ(full.error(), std::errc::directory_not_empty);
    const auto leaf = co_await remove(here_.at("d/e/f"));
    const auto file_gone = co_await remove(here_.at("b"));
    const auto link_gone = co_await remove(here_.at("broken"));
    const auto none = co_await remove(here_.at("b"));
    EXPECT_TRUE(leaf && file_gone && link_gone);
    EXPECT_EQ(none.error(), std::errc::no_such_file_or_directory);
  });
  EXPECT_EQ(here_.count(), 1u);
}

TEST_P(paths, remove_all_takes_the_tree_and_nothing_that_a_link_leads_to) {
  files::create_directories(here_.at("outside"));
  here_.put("outside/kept", "kept");
  files::create_directories(here_.at("tree/a/b/c"));
  files::create_directories(here_.at("tree/empty"));
  for (int i = 0; i < 2000; ++i) here_.put("tree/a/file" + std::to_string(i), "");
  here_.put("tree/a/b/c/x", "x");
  files::create_directory_symlink("../../outside", here_.at("tree/a/out"));
  files::create_directory_symlink("tree", here_.at("way"));
  run([&]() -> task<> {
    const auto by_link = co_await remove_all(here_.at("way"));
    WEFT_REQUIRE(by_link);
    EXPECT_EQ(*by_link, 1u) << "the link itself";
    const auto gone = co_await remove_all(here_.at("tree"));
    WEFT_REQUIRE(gone);
    EXPECT_EQ(*gone, 2000u + 1 + 1 + 5);  // files, x, the link, the folders
    const auto nothing = co_await remove_all(here_.at("tree"));
    WEFT_REQUIRE(nothing);
    EXPECT_EQ(*nothing, 0u);
  });
  EXPECT_FALSE(here_.has("tree"));
  EXPECT_EQ(here_.get("outside/kept"), "kept");
}

// A slash at the end would have the system go through the link, whatever it was told.
TEST_P(paths, remove_all_of_a_link_with_a_slash_behind_it_takes_the_link) {
  files::create_directories(here_.at("outside"));
  here_.put("outside/kept", "kept");
  files::create_directory_symlink("outside", here_.at("way"));
  files::create_directories(here_.at("tree/a"));
  run([&]() -> task<> {
    const auto by_link = co_await remove_all(here_.at("way/"));
    WEFT_REQUIRE(by_link);
    EXPECT_EQ(*by_link, 1u);
    const auto tree = co_await remove_all(here_.at("tree///"));
    WEFT_REQUIRE(tree);
    EXPECT_EQ(*tree, 2u);
  });
  EXPECT_FALSE(here_.has("way"));
  EXPECT_FALSE(here_.has("tree"));
  EXPECT_EQ(here_.get("outside/kept"), "kept");
}

// That name is no link any more, and what it means cannot be removed by it.
TEST_P(paths, remove_all_refuses_dots_at_the_end_and_removes_nothing) {
  files::create_directories(here_.at("outside/sub"));
  here_.put("outside/kept", "kept");
  files::create_directory_symlink("outside", here_.at("way"));
  run([&]() -> task<> {
    for (const char* name :
         {"way/.", "way/./", "way/..", "outside/.", "outside/sub/..//", "way/sub/."}) {
      const auto refused = co_await remove_all(here_.at(name));
      EXPECT_FALSE(refused) << name;
      if (!refused) {
        EXPECT_EQ(refused.error(), std::errc::invalid_argument) << name;
      }
    }
    const auto none = co_await remove_all("");
    EXPECT_TRUE(none && *none == 0);
    here_.put("...", "");
    const auto a_name = co_await remove_all(here_.at("..."));
    EXPECT_TRUE(a_name && *a_name == 1);
  });
  EXPECT_TRUE(here_.has("way"));
  EXPECT_TRUE(here_.has("outside/sub"));
  EXPECT_EQ(here_.get("outside/kept"), "kept");
  os::remove_tree(here_.at("way/."));
  EXPECT_EQ(here_.get("outside/kept"), "kept");
}

TEST_P(paths, two_may_remove_one_tree_at_once) {
  run([&]() -> task<> {
    for (int round = 0; round < 5; ++round) {
      for (int i = 0; i < 30; ++i) {
        files::create_directories(here_.at("tree/" + std::to_string(i) + "/below"));
      }
      const auto remove_it = [&]() -> task<> {
        const auto gone = co_await remove_all(here_.at("tree"));
        EXPECT_TRUE(gone);
      };
      auto one = spawn(remove_it);
      auto other = spawn(remove_it);
      co_await one;
      co_await other;
      EXPECT_FALSE(here_.has("tree"));
    }
  });
}

TEST_P(paths, no_name_is_no_folder) {
  run([&]() -> task<> {
    const auto one = co_await create_directory("");
    EXPECT_EQ(one.error(), std::errc::no_such_file_or_directory);
    const auto all = co_await create_directories("");
    WEFT_REQUIRE(!all);
    EXPECT_EQ(all.error(), std::errc::no_such_file_or_directory);
  });
}

// Nanoseconds since 1970 end in 2262.
TEST_P(paths, a_time_too_late_to_be_said_is_the_latest) {
  here_.put("a", "a");
  constexpr std::int64_t far = 10'000'000'000;
  const timespec times[] = {{far, 0}, {far, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, here_.at("a").c_str(), times, 0), 0);
  struct stat s;
  ASSERT_EQ(::stat(here_.at("a").c_str(), &s), 0);
  if (s.st_mtim.tv_sec != far) GTEST_SKIP() << "the file system does not keep it";
  run([&]() -> task<> {
    const auto seen = co_await metadata(here_.at("a"));
    WEFT_REQUIRE(seen);
    EXPECT_EQ(seen->modified_ns, std::numeric_limits<std::int64_t>::max());
  });
}

TEST_P(paths, a_copy_has_bytes_and_permissions_and_replaces_only_when_told_to) {
  std::string big(std::size_t{17} << 20, 'b');  // more than a step
  big += "end";
  here_.put("a", big);
  here_.put("old", "old");
  here_.put("empty", "");
  ::chmod(here_.at("a").c_str(), 07751);  // whose special bits are for its owner's program
  run([&]() -> task<> {
    const auto n = co_await copy(here_.at("a"), here_.at("b"));
    WEFT_REQUIRE(n);
    EXPECT_EQ(*n, big.size());
    const auto seen = co_await metadata(here_.at("b"));
    WEFT_REQUIRE(seen);
    EXPECT_EQ(seen->permissions, 0751u);
    const auto taken = co_await copy(here_.at("a"), here_.at("old"));
    EXPECT_EQ(taken.error(), std::errc::file_exists);
    EXPECT_EQ(here_.get("old"), "old");
    const auto replaced = co_await copy(here_.at("a"), here_.at("old"), {.replace = true});
    EXPECT_TRUE(replaced);
    const auto itself = co_await copy(here_.at("a"), here_.at("a"), {.replace = true});
    EXPECT_EQ(itself.error(), std::errc::invalid_argument);
    const auto nothing = co_await copy(here_.at("empty"), here_.at("empty2"));
    EXPECT_TRUE(nothing && *nothing == 0);
    const auto a_folder = co_await copy(here_.path(), here_.at("c"));
    EXPECT_EQ(a_folder.error(), std::errc::is_a_directory);
    const auto none = co_await copy(here_.at("none"), here_.at("c"));
    EXPECT_EQ(none.error(), std::errc::no_such_file_or_directory);
  });
  EXPECT_TRUE(here_.get("a") == big);
  EXPECT_TRUE(here_.get("b") == big);
  EXPECT_TRUE(here_.get("old") == big);
  EXPECT_EQ(here_.count(), 5u) << "something temporary was left";
}

// Each way by itself: a file system, or a sandbox, decides which one a user gets.
TEST(file_copy, all_three_ways_copy_the_same) {
  const test::folder here;
  std::string text(200'000, 'x');
  text[123'456] = 'y';
  here.put("a", text);
  for (const auto way : {os::file_copy::how::in_kernel, os::file_copy::how::send_file,
                         os::file_copy::how::read_write}) {
    auto copy = os::file_copy::begin(here.at("a"), here.at("b"), true);
    ASSERT_TRUE(copy);
    copy->use(way);
    const auto more = copy->step(std::uint64_t{1} << 20);
    ASSERT_TRUE(more);
    EXPECT_FALSE(*more);
    EXPECT_GE(copy->way(), way);
    EXPECT_EQ(here.get("b"), text);
  }
  // Half of one leaves nothing.
  {
    auto copy = os::file_copy::begin(here.at("a"), here.at("c"), false);
    ASSERT_TRUE(copy);
    const auto more = copy->step(1000);
    ASSERT_TRUE(more);
    EXPECT_TRUE(*more);
    EXPECT_TRUE(here.has("c"));
  }
  EXPECT_EQ(here.count(), 2u);
}

TEST(file_copy, what_says_that_it_is_empty_is_read_all_the_same) {
  const test::folder here;
  auto copy = os::file_copy::begin("/proc/self/status", here.at("b"), false);
  if (!copy) GTEST_SKIP() << "no /proc";
  const auto more = copy->step(std::uint64_t{1} << 20);
  ASSERT_TRUE(more);
  EXPECT_GT(copy->bytes(), 0u);
}

TEST(file_tree, a_slash_at_the_end_leads_through_no_link) {
  const test::folder here;
  files::create_directories(here.at("outside"));
  here.put("outside/kept", "kept");
  files::create_directory_symlink("outside", here.at("way"));
  for (const char* name : {"way", "way/", "way//"}) {
    EXPECT_FALSE(os::open_folder(os::current_directory, here.at(name), false)) << name;
  }
  EXPECT_TRUE(os::open_folder(os::current_directory, here.at("way/"), true));
  EXPECT_TRUE(os::open_folder(os::current_directory, here.at("outside/"), false));
  EXPECT_TRUE(os::open_folder(os::current_directory, "//", false));
  os::remove_tree(here.at("way/"));
  EXPECT_EQ(here.get("outside/kept"), "kept");
}

TEST(file_tree, a_folder_that_was_removed_has_ended) {
  const test::folder here;
  files::create_directories(here.at("d"));
  const auto opened = os::open_folder(os::current_directory, here.at("d"), false);
  ASSERT_TRUE(opened);
  files::remove(here.at("d"));
  const auto entries = os::next_entries(opened->get());
  ASSERT_TRUE(entries) << entries.error().message();
  EXPECT_TRUE(entries->empty());
}

// What belongs to somebody else in a folder like /tmp.
TEST(file_tree, what_cannot_go_does_not_keep_the_rest) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const test::folder here;
  files::create_directories(here.at("tree"));
  ::chmod(here.path().c_str(), 0777);
  ::chmod(here.at("tree").c_str(), 01777);
  for (int i = 0; i < 20; ++i) here.put("tree/of_root" + std::to_string(i), "");
  const int left = test::as_nobody([&] {
    for (int i = 0; i < 20; ++i) here.put("tree/own" + std::to_string(i), "");
    os::remove_tree(here.at("tree"));
    return 0;
  });
  ASSERT_EQ(left, 0);
  unsigned own = 0;
  for (int i = 0; i < 20; ++i) own += here.has("tree/own" + std::to_string(i));
  EXPECT_EQ(own, 0u);
  EXPECT_TRUE(here.has("tree/of_root0"));
}

INSTANTIATE_TEST_SUITE_P(drivers, paths, test::all_drivers, test::driver_name);

}  // namespace
}  // namespace weft::fs
