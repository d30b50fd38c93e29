// What happens to the names in a folder is told, in order.
#include "weft/fs/watch.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "weft/fs/fs_test_support.hpp"
#include "weft/os/fd.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/together/catch_stop.hpp"

namespace weft::fs {
namespace {

namespace files = std::filesystem;

class watching : public test::on_each_driver {
 protected:
  task<> expect(watcher& w, watch_kind kind, std::string name, std::string old_name = {}) {
    const auto e = co_await w.next();
    WEFT_REQUIRE(e);
    EXPECT_EQ(e->kind, kind) << e->path;
    EXPECT_EQ(e->path, name.empty() ? here_.path() : here_.at(name));
    if (!old_name.empty()) {
      EXPECT_EQ(e->old_path, here_.at(old_name));
    }
  }
};

TEST_P(watching, names_that_come_go_change_and_move_are_told) {
  files::create_directory(here_.at("d"));
  const test::folder elsewhere;
  elsewhere.put("x", "x");
  run([&]() -> task<> {
    auto w = co_await watch(here_.path());
    WEFT_REQUIRE(w);
    here_.put("a", "a");
    co_await expect(*w, watch_kind::created, "a");
    co_await expect(*w, watch_kind::modified, "a");
    files::rename(here_.at("a"), here_.at("b"));
    co_await expect(*w, watch_kind::renamed, "b", "a");
    files::remove(here_.at("b"));
    co_await expect(*w, watch_kind::removed, "b");
    files::rename(elsewhere.at("x"), here_.at("x"));
    co_await expect(*w, watch_kind::created, "x");
    files::rename(here_.at("x"), here_.at("d/x"));  // where nobody watches: its pair never comes
    co_await expect(*w, watch_kind::removed, "x");
    // Two moves, one of them away, before anybody looks.
    here_.put("p", "");
    here_.put("q", "");
    co_await expect(*w, watch_kind::created, "p");
    co_await expect(*w, watch_kind::created, "q");
    files::rename(here_.at("p"), here_.at("d/p"));
    files::rename(here_.at("q"), here_.at("r"));
    co_await expect(*w, watch_kind::removed, "p");
    co_await expect(*w, watch_kind::renamed, "r", "q");
  });
}

TEST_P(watching, a_waiter_is_woken_and_the_end_is_told) {
  files::create_directory(here_.at("d"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.at("d"));
    WEFT_REQUIRE(w);
    unsigned seen = 0;
    auto reader = spawn([&]() -> task<> {
      auto all = w->events();
      for (;;) {
        auto e = co_await all.next();
        if (!e) break;
        WEFT_REQUIRE(*e);
        ++seen;
      }
    });
    here_.put("d/a", "");
    files::remove_all(here_.at("d"));
    co_await reader;
    EXPECT_EQ(seen, 3u);  // created, removed, gone
    auto none = co_await watch(here_.at("d"));
    EXPECT_EQ(none.error(), std::errc::no_such_file_or_directory);
  });
}

// The kernel lets others' writes come between the halves of a move: some tens of times here.
TEST_P(watching, a_rename_stays_one_event_while_others_write) {
  here_.put("a", "");
  const std::string a = here_.at("a"), b = here_.at("b");
  const std::string paths[] = {here_.at("x"), here_.at("y")};  // by turns: no two events become one
  os::fd written[2];
  for (int i = 0; i < 2; ++i) {
    written[i] = os::fd(::open(paths[i].c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  }
  run([&]() -> task<> {
    for (int round = 0; round < 3; ++round) {
      auto w = co_await watch(here_.path());
      WEFT_REQUIRE(w);
      // All before anybody reads, and less than the kernel keeps: so the halves are there in any case.
      constexpr int writes = 8000, pairs_max = 1500;
      std::atomic<bool> go = false, done = false;
      std::thread writer([&] {
        while (!go) std::this_thread::yield();
        for (int i = 0; i < writes; ++i) {
          EXPECT_EQ(::pwrite(written[i % 2].get(), "x", 1, 0), 1);
        }
        done = true;
      });
      int renames = 0;
      go = true;
      for (int pairs = 0; pairs < pairs_max && (!done || pairs == 0); ++pairs) {
        renames += ::rename(a.c_str(), b.c_str()) == 0;
        renames += ::rename(b.c_str(), a.c_str()) == 0;
      }
      writer.join();
      files::remove(here_.at("end"));
      here_.put("end", "");
      for (int seen = 0;;) {
        const auto e = co_await w->next();
        WEFT_REQUIRE(e);
        if (e->kind == watch_kind::overflow) break;  // of a system that keeps few
        if (e->path == here_.at("end")) {
          if (e->kind != watch_kind::created) continue;
          EXPECT_EQ(seen, renames);
          break;
        }
        if (e->kind == watch_kind::modified) continue;
        const bool there = seen++ % 2 == 0;
        WEFT_REQUIRE(e->kind == watch_kind::renamed);
        EXPECT_EQ(e->old_path, there ? a : b);
        EXPECT_EQ(e->path, there ? b : a);
      }
    }
  });
}

// One that went, with more behind it than may wait for it, and slowly.
TEST_P(watching, a_name_that_went_away_is_told_although_others_go_on) {
  here_.put("a", "");
  const test::folder elsewhere;
  run([&]() -> task<> {
    auto w = co_await watch(here_.path());
    WEFT_REQUIRE(w);
    files::rename(here_.at("a"), elsewhere.at("a"));
    std::atomic<bool> enough = false;
    std::thread writer([&] {
      for (int i = 0; !enough; ++i) {
        here_.put("n" + std::to_string(i % 10), "");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    co_await expect(*w, watch_kind::removed, "a");
    enough = true;
    writer.join();
  });
}

TEST_P(watching, nothing_is_told_after_the_end) {
  files::create_directory(here_.at("d"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.at("d"));
    WEFT_REQUIRE(w);
    files::rename(here_.at("d"), here_.at("e"));
    here_.put("e/a", "");
    const auto gone = co_await w->next();
    WEFT_REQUIRE(gone);
    EXPECT_EQ(gone->kind, watch_kind::gone);
    for (int i = 0; i < 2; ++i) {
      const auto none = co_await w->next();
      EXPECT_FALSE(none);
      if (!none) {
        EXPECT_EQ(none.error(), std::errc::no_such_file_or_directory);
      }
    }
  });
}

// Lost events are an event of their own.
TEST_P(watching, an_overflow_is_told) {
  std::ifstream limit("/proc/sys/fs/inotify/max_queued_events");
  unsigned most = 0;
  if (!(limit >> most) || most > 100'000) GTEST_SKIP() << "the queue is too long to be filled";
  run([&]() -> task<> {
    auto w = co_await watch(here_.path());
    WEFT_REQUIRE(w);
    for (unsigned i = 0; i <= most / 2 + 1; ++i) {
      here_.put("a", "");
      files::remove(here_.at("a"));
    }
    for (;;) {
      const auto e = co_await w->next();
      WEFT_REQUIRE(e);
      if (e->kind == watch_kind::overflow) break;
      EXPECT_TRUE(e->kind == watch_kind::created || e->kind == watch_kind::removed);
    }
  });
}

TEST_P(watching, a_stopped_wait_loses_no_event) {
  run([&]() -> task<> {
    auto w = co_await watch(here_.path());
    WEFT_REQUIRE(w);
    auto reader = spawn([&]() -> task<> {
      const auto e = co_await w->next();
      ADD_FAILURE() << "nothing had happened: " << e.has_value();
    });
    reader.stop();
    const auto ended = co_await reader.outcome();
    EXPECT_TRUE(ended.stopped());
    here_.put("a", "");
    co_await expect(*w, watch_kind::created, "a");
  });
}

INSTANTIATE_TEST_SUITE_P(drivers, watching, test::all_drivers, test::driver_name);

}  // namespace
}  // namespace weft::fs
