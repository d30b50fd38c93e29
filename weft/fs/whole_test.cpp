// Files as one piece: read to a limit, replaced or left as they were, added to.
#include "weft/fs/whole.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "weft/fs/fs_test_support.hpp"
#include "weft/os/file_tree.hpp"

namespace weft::fs {
namespace {

namespace files = std::filesystem;

class whole : public test::on_each_driver {};

TEST_P(whole, a_file_is_read_up_to_a_limit) {
  const std::string big(std::size_t{5} << 19, 'b');  // two pieces and a half
  here_.put("big", big);
  here_.put("piece", std::string(std::size_t{1} << 20, 'p'));
  here_.put("empty", "");
  run([&]() -> task<> {
    const auto all = co_await read_text(here_.at("big"));
    EXPECT_TRUE(all && *all == big);
    const auto piece = co_await read_text(here_.at("piece"));
    EXPECT_TRUE(piece && piece->size() == std::size_t{1} << 20);
    const auto exact = co_await read_all(here_.at("big"), big.size());
    EXPECT_TRUE(exact && exact->size() == big.size());
    const auto over = co_await read_all(here_.at("big"), big.size() - 1);
    EXPECT_EQ(over.error(), errc::too_large);
    const auto nothing = co_await read_text(here_.at("empty"), 0);
    EXPECT_TRUE(nothing && nothing->empty());
    const auto none = co_await read_text(here_.at("none"));
    EXPECT_EQ(none.error(), std::errc::no_such_file_or_directory);
    const auto a_folder = co_await read_text(here_.path());
    EXPECT_EQ(a_folder.error(), std::errc::is_a_directory);
    // Of size 0 until it is read.
    const auto status = co_await read_text("/proc/self/status");
    EXPECT_TRUE(!status || status->size() > 10);
    const auto status_over = co_await read_text("/proc/self/status", 10);
    EXPECT_FALSE(status_over);
  });
}

TEST_P(whole, a_file_is_replaced_with_its_permissions_and_through_a_link) {
  here_.put("a", "old");
  ::chmod(here_.at("a").c_str(), 0640);
  files::create_symlink("a", here_.at("link"));
  run([&]() -> task<> {
    const auto done = co_await write_text(here_.at("link"), "new");
    EXPECT_TRUE(done);
    const auto made = co_await write_text(here_.at("b"), "b", {.durable = false, .mode = 0600});
    EXPECT_TRUE(made);
    const auto a_folder = co_await write_text(here_.path(), "x");
    EXPECT_EQ(a_folder.error(), std::errc::is_a_directory);
    const auto nowhere = co_await write_text(here_.at("no/where"), "x");
    EXPECT_EQ(nowhere.error(), std::errc::no_such_file_or_directory);
  });
  EXPECT_EQ(here_.get("a"), "new");
  EXPECT_TRUE(files::is_symlink(here_.at("link")));
  struct stat s;
  ASSERT_EQ(::stat(here_.at("a").c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 07777u, 0640u);
  ASSERT_EQ(::stat(here_.at("b").c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 07777u, 0600u);
  EXPECT_EQ(here_.count(), 3u) << "something temporary was left";
}

// As it does for append.
TEST_P(whole, a_link_that_leads_nowhere_yet_has_its_file_made) {
  files::create_directories(here_.at("d"));
  files::create_symlink("d/second", here_.at("first"));
  files::create_symlink("file", here_.at("d/second"));
  files::create_symlink("loop", here_.at("loop"));
  run([&]() -> task<> {
    const auto made = co_await write_text(here_.at("first"), "new");
    EXPECT_TRUE(made);
    const auto loop = co_await write_text(here_.at("loop"), "new");
    EXPECT_EQ(loop.error(), std::errc::too_many_symbolic_link_levels);
  });
  EXPECT_EQ(here_.get("d/file"), "new");
  EXPECT_TRUE(files::is_symlink(here_.at("first")));
  EXPECT_TRUE(files::is_symlink(here_.at("d/second")));
}

// Who may not give it back to its owner and group must not give their rights to others.
TEST(replace_file, rights_do_not_go_to_another_group_or_owner) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const test::folder here;
  ::chmod(here.path().c_str(), 0777);
  here.put("shared", "old");
  ::chmod(here.at("shared").c_str(), 0664);
  here.put("program", "old");
  ::chmod(here.at("program").c_str(), 06751);
  const int done = test::as_nobody([&] {
    for (const char* name : {"shared", "program"}) {
      if (!os::replace_file(here.at(name), test::bytes_of("new"), false, 0666)) return 1;
    }
    return 0;
  });
  ASSERT_EQ(done, 0);
  struct stat s;
  ASSERT_EQ(::stat(here.at("shared").c_str(), &s), 0);
  EXPECT_NE(s.st_gid, 0u);
  EXPECT_EQ(s.st_mode & 07777u, 0644u);
  ASSERT_EQ(::stat(here.at("program").c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 07777u, 0711u);
  EXPECT_EQ(here.get("program"), "new");
}

// The disk is full, as far as this process can tell: halfway through.
TEST_P(whole, an_error_leaves_the_old_file_and_nothing_else) {
  here_.put("a", "old");
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto ignored = ::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  run([&]() -> task<> {
    const auto done = co_await write_text(here_.at("a"), std::string(100'000, 'x'));
    EXPECT_EQ(done.error(), std::errc::file_too_large);
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, ignored);
  EXPECT_EQ(here_.get("a"), "old");
  EXPECT_EQ(here_.count(), 1u);
}

// Who reads while others write sees one of the versions, whole.
TEST_P(whole, a_reader_sees_the_old_or_the_new_one) {
  const std::string old(10'000, 'o'), fresh(20'000, 'n');
  here_.put("a", old);
  run([&]() -> task<> {
    auto writer = spawn([&]() -> task<> {
      for (int i = 0; i < 50; ++i) {
        const auto done =
            co_await write_text(here_.at("a"), i % 2 == 0 ? fresh : old, {.durable = false});
        EXPECT_TRUE(done);
      }
    });
    while (!writer.done()) {
      const auto seen = co_await read_text(here_.at("a"));
      WEFT_REQUIRE(seen);
      EXPECT_TRUE(*seen == old || *seen == fresh) << seen->size();
    }
    co_await writer;
  });
}

TEST_P(whole, bytes_are_added_at_the_end) {
  run([&]() -> task<> {
    for (const char* text : {"a", "b", "c"}) {
      const auto done = co_await append_text(here_.at("log"), text, {.durable = true});
      EXPECT_TRUE(done);
    }
    const auto a_folder = co_await append_text(here_.path(), "x");
    EXPECT_EQ(a_folder.error(), std::errc::is_a_directory);
  });
  EXPECT_EQ(here_.get("log"), "abc");
}

INSTANTIATE_TEST_SUITE_P(drivers, whole, test::all_drivers, test::driver_name);

}  // namespace
}  // namespace weft::fs
