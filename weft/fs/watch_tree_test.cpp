// A tree is watched to any depth, whatever comes into it, moves in it, and leaves it.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "weft/base/config.hpp"
#include "weft/fs/fs_test_support.hpp"
#include "weft/fs/watch.hpp"
#include "weft/fs/watch_test_support.hpp"
#include "weft/together/timeout.hpp"

namespace weft::fs {
namespace {

namespace files = std::filesystem;

class watching_trees : public test::watched_tree {};

TEST_P(watching_trees, what_happens_below_is_told_with_its_path) {
  files::create_directories(here_.at("a/b/c"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    std::vector<watch_event> seen;
    here_.put("a/b/c/f", "text");
    files::rename(here_.at("a/b"), here_.at("m"));  // from one folder to another
    here_.put("m/c/g", "");
    files::rename(here_.at("m/c/g"), here_.at("a/g"));
    files::remove_all(here_.at("m"));
    here_.put("end", "");
    co_await until_made(*w, "end", seen);
    EXPECT_EQ(count(seen, watch_kind::created, "a/b/c/f"), 1u);
    EXPECT_EQ(count(seen, watch_kind::modified, "a/b/c/f"), 1u);
    EXPECT_EQ(count(seen, watch_kind::renamed, "m"), 1u);
    EXPECT_EQ(count(seen, watch_kind::created, "m/c/g"), 1u);
    EXPECT_EQ(count(seen, watch_kind::renamed, "a/g"), 1u);
    EXPECT_EQ(count(seen, watch_kind::removed, "m/c/f"), 1u);
    EXPECT_EQ(count(seen, watch_kind::removed, "m/c"), 1u);
    EXPECT_EQ(count(seen, watch_kind::removed, "m"), 1u);
    EXPECT_EQ(seen.size(), 9u);
    // A number of the folder that went is nobody's now.
    files::create_directories(here_.at("m/c"));
    here_.put("m/c/f", "");
    seen.clear();
    co_await until_made(*w, "m/c/f", seen);
    EXPECT_EQ(seen.size(), 3u);
  });
}

TEST_P(watching_trees, without_the_option_only_its_own_names_are_told) {
  files::create_directories(here_.at("a"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path());
    WEFT_REQUIRE(w);
    std::vector<watch_event> seen;
    here_.put("a/f", "");
    files::create_directories(here_.at("b/c"));
    here_.put("end", "");
    co_await until_made(*w, "end", seen);
    EXPECT_EQ(seen.size(), 2u);
  });
}

// Made at once, so nearly all of it before anybody watches what it is in.
TEST_P(watching_trees, what_is_in_a_folder_that_came_is_told_once) {
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    std::vector<watch_event> seen;
    files::create_directories(here_.at("a/b/c/d"));
    here_.put("a/1", "");
    here_.put("a/b/c/d/2", "");
    co_await until_made(*w, "a/b/c/d/2", seen);
    for (const char* name : {"a", "a/1", "a/b", "a/b/c", "a/b/c/d"}) {
      EXPECT_EQ(count(seen, watch_kind::created, name), 1u) << name;
    }
    EXPECT_EQ(seen.size(), 6u);
    here_.put("a/b/c/d/3", "");
    co_await until_made(*w, "a/b/c/d/3", seen);
    EXPECT_EQ(seen.size(), 7u);
  });
}

TEST_P(watching_trees,
       a_folder_that_moves_in_is_told_with_all_in_it_and_one_that_moves_out_no_more) {
  const test::folder elsewhere;
  files::create_directories(elsewhere.at("in/sub"));
  elsewhere.put("in/sub/f", "");
  files::create_directories(here_.at("out/sub"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    std::vector<watch_event> seen;
    files::rename(elsewhere.at("in"), here_.at("in"));
    co_await until_made(*w, "in/sub/f", seen);
    EXPECT_EQ(seen.size(), 3u);
    files::rename(here_.at("out"), elsewhere.at("out"));
    elsewhere.put("out/sub/unseen", "");
    const auto left = co_await w->next();
    WEFT_REQUIRE(left);
    EXPECT_EQ(left->kind, watch_kind::removed);
    EXPECT_EQ(left->path, here_.at("out"));
    elsewhere.put("out/unseen", "");
    // Another one has its name, and then itself again.
    files::create_directories(here_.at("out/sub"));
    here_.put("out/sub/g", "");
    seen.clear();
    co_await until_made(*w, "out/sub/g", seen);
    EXPECT_EQ(seen.size(), 3u);
    files::remove_all(here_.at("out"));
    files::rename(elsewhere.at("out"), here_.at("out"));
    seen.clear();
    here_.put("end", "");
    co_await until_made(*w, "end", seen);
    while (count(seen, watch_kind::created, "out/sub/unseen") == 0) {
      auto e = co_await w->next();
      WEFT_REQUIRE(e);
      seen.push_back(*std::move(e));
    }
    EXPECT_EQ(count(seen, watch_kind::created, "out"), 1u);
  });
}

// Where it was to be looked for there is nothing by then, and nobody knows yet why.
TEST_P(watching_trees, what_is_made_just_before_its_folder_is_renamed_is_watched) {
  files::create_directories(here_.at("a"));
  files::create_directories(here_.at("c"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    std::vector<watch_event> seen;
    files::create_directory(here_.at("c/y"));
    files::rename(here_.at("c"), here_.at("d"));
    files::create_directory(here_.at("a/x"));
    fill_a_read();
    files::rename(here_.at("a"), here_.at("b"));
    here_.put("end", "");
    co_await until_made(*w, "end", seen);
    EXPECT_EQ(count(seen, watch_kind::renamed, "b"), 1u);
    EXPECT_EQ(count(seen, watch_kind::renamed, "d"), 1u);
    here_.put("d/y/f", "");
    co_await until_made(*w, "d/y/f", seen);
    here_.put("b/x/f", "");
    co_await until_made(*w, "b/x/f", seen);
  });
}

TEST_P(watching_trees, what_a_look_has_seen_is_not_told_again) {
  files::create_directories(here_.at("a"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    std::vector<watch_event> seen;
    files::rename(here_.at("a"), here_.at("b"));
    fill_a_read();
    files::create_directory(here_.at("b/x"));  // seen in the look at b, and told by its event
    here_.put("end", "");
    co_await until_made(*w, "end", seen);
    EXPECT_EQ(count(seen, watch_kind::created, "b/x"), 1u);
    files::remove(here_.at("b/x"));  // and when it comes again it is told again
    files::create_directory(here_.at("b/x"));
    seen.clear();
    co_await until_made(*w, "b/x", seen);
    EXPECT_EQ(seen.size(), 2u);
  });
}

TEST_P(watching_trees, links_lead_nowhere) {
  const test::folder elsewhere;
  files::create_directories(elsewhere.at("d"));
  files::create_directory_symlink(elsewhere.path(), here_.at("old"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    std::vector<watch_event> seen;
    files::create_directory_symlink(elsewhere.path(), here_.at("new"));
    files::create_directory_symlink(here_.path(), here_.at("loop"));
    elsewhere.put("d/unseen", "");
    elsewhere.put("unseen", "");
    here_.put("end", "");
    co_await until_made(*w, "end", seen);
    EXPECT_EQ(seen.size(), 3u);
  });
}

// Folders come and are filled while the watcher is behind, beside it, and before it.
TEST_P(watching_trees, none_is_missed_while_a_thread_fills_the_tree) {
  constexpr int deep = 4, rounds = 60;
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    std::set<std::string> made;
    for (int i = 0; i < rounds; ++i) {
      std::string at = "t" + std::to_string(i);
      for (int level = 0; level < deep; ++level) {
        made.insert(here_.at(at));
        made.insert(here_.at(at + "/f"));
        at += "/d";
      }
    }
    std::thread writer([&] {
      for (int i = 0; i < rounds; ++i) {
        std::string at = "t" + std::to_string(i);
        for (int level = 0; level < deep; ++level) {
          files::create_directory(here_.at(at));
          here_.put(at + "/f", "");
          at += "/d";
        }
      }
    });
    bool lost = false;
    while (!made.empty() && !lost) {
      const auto e = co_await w->next();
      if (!e) ADD_FAILURE() << e.error().message();
      if (!e) break;
      if (e->kind == watch_kind::overflow) lost = true;  // of a system that keeps few
      if (e->kind == watch_kind::created) made.erase(e->path);
    }
    writer.join();
  });
}

// Whoever looks at all of it after that misses nothing, also in folders whose making was lost.
TEST_P(watching_trees, after_an_overflow_all_of_it_is_watched) {
  std::ifstream limit("/proc/sys/fs/inotify/max_queued_events");
  unsigned most = 0;
  if (!(limit >> most) || most > 100'000) GTEST_SKIP() << "the queue is too long to be filled";
  const test::folder elsewhere;
  files::create_directories(here_.at("busy"));
  files::create_directories(here_.at("out"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    for (unsigned i = 0; i <= most / 2 + 1; ++i) {
      here_.put("busy/a", "");
      files::remove(here_.at("busy/a"));
    }
    files::create_directories(here_.at("new/sub"));         // nobody is told
    files::rename(here_.at("out"), elsewhere.at("out"));    // nor of this
    files::rename(here_.at("busy"), here_.at("new/busy"));  // nor of this
    for (;;) {
      const auto e = co_await w->next();
      WEFT_REQUIRE(e);
      if (e->kind == watch_kind::overflow) break;
    }
    elsewhere.put("out/unseen", "");
    here_.put("new/sub/f", "");
    here_.put("new/busy/g", "");
    std::vector<watch_event> seen;
    co_await until_made(*w, "new/busy/g", seen);
    EXPECT_EQ(count(seen, watch_kind::created, "new/sub/f"), 1u);
    EXPECT_EQ(seen.size(), 2u);
  });
}

/// While it lives this process can open nothing more.
class no_more_files {
 public:
  no_more_files() {
    ::getrlimit(RLIMIT_NOFILE, &old_);
    const int next = ::dup(0);
    ::close(next);
    const struct rlimit few{static_cast<rlim_t>(next), old_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  ~no_more_files() { ::setrlimit(RLIMIT_NOFILE, &old_); }
  no_more_files(const no_more_files&) = delete;
  no_more_files& operator=(const no_more_files&) = delete;

 private:
  struct rlimit old_{};
};

TEST_P(watching_trees, what_cannot_be_opened_after_an_overflow_stays_watched) {
  if (WEFT_ASAN) GTEST_SKIP() << "a sanitizer opens files of its own";
  std::ifstream limit("/proc/sys/fs/inotify/max_queued_events");
  unsigned most = 0;
  if (!(limit >> most) || most > 100'000) GTEST_SKIP() << "the queue is too long to be filled";
  files::create_directories(here_.at("a/b/c"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    for (unsigned i = 0; i <= most / 2 + 1; ++i) {
      here_.put("fill", "");
      files::remove(here_.at("fill"));
    }
    {
      const no_more_files now;
      for (;;) {
        const auto e = co_await w->next();
        if (e) continue;
        EXPECT_EQ(e.error(), std::errc::too_many_files_open);
        break;
      }
    }
    const auto lost = co_await w->next();
    WEFT_REQUIRE(lost);
    EXPECT_EQ(lost->kind, watch_kind::overflow);
    here_.put("a/b/c/f", "");
    here_.put("end", "");
    std::vector<watch_event> seen;
    co_await until_made(*w, "end", seen);
    EXPECT_EQ(count(seen, watch_kind::created, "a/b/c/f"), 1u);
  });
}

TEST_P(watching_trees, what_replaces_a_name_that_a_look_has_seen_is_told) {
  const test::folder elsewhere;
  files::create_directories(elsewhere.at("in"));
  elsewhere.put("in/f", "");
  elsewhere.put("other", "");
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    std::vector<watch_event> seen;
    files::rename(elsewhere.at("in"), here_.at("in"));
    co_await until_made(*w, "in/f", seen);
    files::rename(elsewhere.at("other"), here_.at("in/f"));
    here_.put("end", "");
    seen.clear();
    co_await until_made(*w, "end", seen);
    EXPECT_EQ(count(seen, watch_kind::created, "in/f"), 1u);
  });
}

TEST_P(watching_trees, a_folder_that_is_mounted_in_itself_is_looked_through_once) {
  files::create_directories(here_.at("m/b"));
  // What a thread mounts in a view of its own is seen by the threads that it starts, and by nobody else.
  int why = 0;
  std::thread in_own_view([&] {
    const std::string of = here_.at("m"), at = here_.at("m/b");
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount(of.c_str(), at.c_str(), nullptr, MS_BIND, nullptr) != 0) {
      why = errno;
      return;
    }
    run([&]() -> task<> {
      auto w = co_await timeout(std::chrono::seconds(3), watch(here_.path(), {.recursive = true}));
      WEFT_REQUIRE(w);
      std::vector<watch_event> seen;
      here_.put("m/f", "");
      co_await until_made(*w, "m/f", seen);
      EXPECT_EQ(seen.size(), 1u);
    });
  });
  in_own_view.join();
  if (why != 0) GTEST_SKIP() << "nothing can be mounted here: " << std::strerror(why);
}

// Its path would be a false one.
TEST_P(watching_trees, what_moves_out_of_a_folder_that_moved_out_is_told_no_more) {
  const test::folder elsewhere;
  files::create_directories(here_.at("a/b/c"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    files::rename(here_.at("a"), elsewhere.at("a"));
    files::rename(elsewhere.at("a/b/c"), elsewhere.at("c"));  // before what it is in
    files::rename(elsewhere.at("a/b"), elsewhere.at("b"));
    const auto left = co_await w->next();
    WEFT_REQUIRE(left);
    EXPECT_EQ(left->kind, watch_kind::removed);
    EXPECT_EQ(left->path, here_.at("a"));
    elsewhere.put("a/unseen", "");
    elsewhere.put("b/unseen", "");
    elsewhere.put("c/unseen", "");
    here_.put("end", "");
    std::vector<watch_event> seen;
    co_await until_made(*w, "end", seen);
    EXPECT_EQ(seen.size(), 1u);
  });
}

TEST_P(watching_trees, its_own_end_is_told_and_a_folders_is_not_its_own) {
  files::create_directories(here_.at("t/a"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.at("t"), {.recursive = true});
    WEFT_REQUIRE(w);
    files::remove_all(here_.at("t"));
    std::vector<watch_kind> kinds;
    auto all = w->events();
    for (;;) {
      auto e = co_await all.next();
      if (!e) break;
      WEFT_REQUIRE(*e);
      kinds.push_back((*e)->kind);
    }
    EXPECT_EQ(kinds, (std::vector{watch_kind::removed, watch_kind::gone}));
  });
}

INSTANTIATE_TEST_SUITE_P(drivers, watching_trees, test::all_drivers, test::driver_name);

}  // namespace
}  // namespace weft::fs
