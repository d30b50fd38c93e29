// What is told of folders that move is true: also where the watcher is behind, where they leave the tree and
// come back, and where one took the place of another; and the end of the root is told whatever was lost.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "weft/fs/fs_test_support.hpp"
#include "weft/fs/watch.hpp"
#include "weft/fs/watch_test_support.hpp"
#include "weft/together/timeout.hpp"

namespace weft::fs {
namespace {

namespace files = std::filesystem;

class watching_moves : public test::watched_tree {
 protected:
  /// What is told of the root of which `end` is the end, after more has happened than the system keeps.
  template <class End>
  void end_is_told(bool recursive, const End& end) {
    files::create_directories(here_.at("t/a"));
    run([&]() -> task<> {
      auto w = co_await watch(here_.at("t"), {.recursive = recursive});
      WEFT_REQUIRE(w);
      if (!test::overflow_by(here_.at("t"))) co_return;  // it would take too long here
      end();
      watch_kind last{}, before{};
      while (last != watch_kind::gone) {
        const auto e = co_await timeout(std::chrono::seconds(5), w->next());
        WEFT_REQUIRE(e);
        before = std::exchange(last, e->kind);
        if (last == watch_kind::gone) {
          EXPECT_EQ(e->path, here_.at("t"));
        }
      }
      EXPECT_EQ(before, watch_kind::overflow);
      const auto none = co_await w->next();
      EXPECT_FALSE(none);
      if (!none) {
        EXPECT_EQ(none.error(), std::errc::no_such_file_or_directory);
      }
    });
  }
};

// It was never in the tree with its new path's parent, nor at its old path any more: it came.
TEST_P(watching_moves, what_comes_back_out_of_a_folder_that_left_is_told_as_created) {
  const test::folder elsewhere;
  files::create_directories(here_.at("a/b/c"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    files::rename(here_.at("a"), elsewhere.at("a"));
    elsewhere.put("a/f", "");
    files::rename(elsewhere.at("a/b"), here_.at("b"));
    files::rename(elsewhere.at("a/f"), here_.at("f"));
    here_.put("end", "");
    std::vector<watch_event> seen;
    co_await until_made(*w, "end", seen);
    EXPECT_EQ(count(seen, watch_kind::removed, "a"), 1u);
    EXPECT_EQ(count(seen, watch_kind::created, "b"), 1u);
    EXPECT_EQ(count(seen, watch_kind::created, "f"), 1u);
    EXPECT_EQ(count(seen, watch_kind::renamed, "b"), 0u) << "its old path was nothing's";
    here_.put("b/c/g", "");
    co_await until_made(*w, "b/c/g", seen);
    EXPECT_EQ(count(seen, watch_kind::created, "b/c"), 1u);
    EXPECT_EQ(seen.size(), 6u);
  });
}

TEST_P(watching_moves, what_moves_into_a_folder_that_left_is_told_as_removed) {
  const test::folder elsewhere;
  files::create_directories(here_.at("a"));
  files::create_directories(here_.at("x/y"));
  here_.put("f", "");
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    files::rename(here_.at("a"), elsewhere.at("a"));
    here_.put("x/y/before", "");  // while it was in the tree
    files::rename(here_.at("x"), elsewhere.at("a/x"));
    files::rename(here_.at("f"), elsewhere.at("a/f"));
    elsewhere.put("a/x/y/unseen", "");
    here_.put("end", "");
    std::vector<watch_event> seen;
    co_await until_made(*w, "end", seen);
    EXPECT_EQ(count(seen, watch_kind::removed, "a"), 1u);
    EXPECT_EQ(count(seen, watch_kind::created, "x/y/before"), 1u);
    EXPECT_EQ(count(seen, watch_kind::removed, "x"), 1u);
    EXPECT_EQ(count(seen, watch_kind::removed, "f"), 1u);
    EXPECT_EQ(seen.size(), 5u);
  });
}

// A look at p sees the second "a" before it is read that the first one is "b" by now.
TEST_P(watching_moves, a_name_that_another_folder_has_by_now_confuses_none_of_them) {
  files::create_directories(here_.at("o/a"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    files::rename(here_.at("o"), here_.at("p"));  // so that there is a look
    fill_a_read();
    files::rename(here_.at("p/a"), here_.at("p/b"));
    files::create_directory(here_.at("p/a"));
    const auto first = co_await w->next();
    WEFT_REQUIRE(first);
    EXPECT_EQ(first->kind, watch_kind::renamed);
    here_.put("p/a/f", "");
    here_.put("p/b/g", "");
    here_.put("end", "");
    std::vector<watch_event> seen;
    co_await until_made(*w, "end", seen);
    EXPECT_EQ(count(seen, watch_kind::created, "p/a/f"), 1u);
    EXPECT_EQ(count(seen, watch_kind::created, "p/b/g"), 1u);
    EXPECT_EQ(count(seen, watch_kind::created, "p/a/g") + count(seen, watch_kind::created, "p/b/f"),
              0u);
  });
}

// The same, of one that left the tree: the one that has its name is not taken for it.
TEST_P(watching_moves, a_folder_that_left_takes_none_along_that_has_its_name_by_now) {
  const test::folder elsewhere;
  files::create_directories(here_.at("o/a/deep"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    files::rename(here_.at("o"), here_.at("p"));
    fill_a_read();
    files::rename(here_.at("p/a"), elsewhere.at("a"));
    files::create_directory(here_.at("p/a"));
    const auto first = co_await w->next();
    WEFT_REQUIRE(first);
    elsewhere.put("a/unseen", "");
    elsewhere.put("a/deep/unseen", "");
    here_.put("p/a/f", "");
    here_.put("end", "");
    std::vector<watch_event> seen;
    co_await until_made(*w, "end", seen);
    EXPECT_EQ(count(seen, watch_kind::removed, "p/a"), 1u);
    EXPECT_EQ(count(seen, watch_kind::created, "p/a/f"), 1u);
    for (const auto& e : seen) EXPECT_FALSE(e.path.ends_with("unseen")) << e.path;
    here_.put("p/a/g", "");
    co_await until_made(*w, "p/a/g", seen);
  });
}

TEST_P(watching_moves, two_folders_that_change_places_are_both_renamed) {
  files::create_directories(here_.at("a"));
  files::create_directories(here_.at("b"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    const std::string a = here_.at("a"), b = here_.at("b");
    here_.put("a/1", "");
    WEFT_REQUIRE(::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0);
    here_.put("a/2", "");
    here_.put("b/3", "");
    std::vector<watch_event> seen;
    co_await until_made(*w, "b/3", seen);
    EXPECT_EQ(count(seen, watch_kind::created, "a/1"), 1u);
    EXPECT_EQ(count(seen, watch_kind::renamed, "a"), 1u);
    EXPECT_EQ(count(seen, watch_kind::renamed, "b"), 1u);
    EXPECT_EQ(count(seen, watch_kind::created, "a/2"), 1u);
    EXPECT_EQ(seen.size(), 5u);
  });
}

TEST_P(watching_moves, a_root_that_was_removed_while_events_were_lost_is_gone) {
  for (const bool recursive : {false, true}) {
    end_is_told(recursive, [&] { files::remove_all(here_.at("t")); });
  }
}
TEST_P(watching_moves, a_root_that_was_moved_while_events_were_lost_is_gone) {
  for (const bool recursive : {false, true}) {
    end_is_told(recursive, [&] { files::rename(here_.at("t"), here_.at("u")); });
    files::remove_all(here_.at("u"));
  }
}
TEST_P(watching_moves, a_root_that_was_replaced_while_events_were_lost_is_gone) {
  for (const bool recursive : {false, true}) {
    end_is_told(recursive, [&] {
      files::rename(here_.at("t"), here_.at("u"));
      files::create_directory(here_.at("t"));
    });
    files::remove_all(here_.at("u"));
    files::remove_all(here_.at("t"));
  }
}

TEST_P(watching_moves, a_root_that_is_still_there_goes_on_after_events_were_lost) {
  for (const bool recursive : {false, true}) {
    run([&]() -> task<> {
      auto w = co_await watch(here_.path(), {.recursive = recursive});
      WEFT_REQUIRE(w);
      if (!test::overflow_by(here_.path())) co_return;  // it would take too long here
      for (;;) {
        const auto e = co_await w->next();
        WEFT_REQUIRE(e);
        if (e->kind == watch_kind::overflow) break;
      }
      here_.put("end", "");
      std::vector<watch_event> seen;
      co_await until_made(*w, "end", seen);
      EXPECT_EQ(seen.size(), 1u);
    });
    files::remove(here_.at("end"));
  }
}

INSTANTIATE_TEST_SUITE_P(drivers, watching_moves, test::all_drivers, test::driver_name);

}  // namespace
}  // namespace weft::fs
