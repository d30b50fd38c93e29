// What is told where the queue overflows or is far behind, and where one half of a move comes late or never.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "weft/base/config.hpp"
#include "weft/fs/fs_test_support.hpp"
#include "weft/fs/watch.hpp"
#include "weft/fs/watch_test_support.hpp"
#include "weft/together/timeout.hpp"

#if !WEFT_TSAN  // it needs its own read()
#include <sys/syscall.h>

#include <atomic>
#include <cerrno>

namespace {
constexpr std::size_t watch_read_bytes = 16U << 10;
std::atomic<bool> holds_back{
    false};  // one event a read, and after the first half of a move none for a while
std::chrono::steady_clock::time_point held_until;
}  // namespace

extern "C" ssize_t read(int fd, void* to, size_t bytes) {
  if (!holds_back || bytes != watch_read_bytes) return ::syscall(SYS_read, fd, to, bytes);
  if (std::chrono::steady_clock::now() < held_until) {
    errno = EAGAIN;
    return -1;
  }
  const ssize_t n = ::syscall(SYS_read, fd, to, std::size_t{32});
  constexpr unsigned moved_from = 0x40;
  if (n > 0 && (static_cast<const unsigned*>(to)[1] & moved_from) != 0) {
    held_until = std::chrono::steady_clock::now() + std::chrono::milliseconds(60);
  }
  return n;
}
#endif

namespace weft::fs {
namespace {

namespace files = std::filesystem;

class watching_late : public test::watched_tree {
 protected:
  /// As until_made(); false where nothing comes any more.
  task<bool> made_in_time(watcher& w, std::string last, std::vector<watch_event>& seen) {
    last = here_.at(last);
    for (;;) {
      auto e = co_await timeout(std::chrono::seconds(5), w.next());
      if (!e) co_return false;
      seen.push_back(*std::move(e));
      if (seen.back().kind == watch_kind::created && seen.back().path == last) co_return true;
    }
  }
  task<> expect_made(watcher& w, std::string last, std::vector<watch_event>& seen) {
    const bool told = co_await made_in_time(w, last, seen);
    EXPECT_TRUE(told) << last;
  }
};

// The path of what was to be looked at in a folder that went is another folder's.
TEST_P(watching_late, a_look_into_a_folder_that_went_takes_no_watch_of_another) {
  files::create_directories(here_.at("p"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    std::vector<watch_event> seen;
    files::create_directory(here_.at("p/x"));
    files::remove_all(here_.at("p"));
    files::create_directory(here_.at("x"));
    here_.put("end", "");
    co_await expect_made(*w, "end", seen);
    here_.put("x/f", "");
    co_await expect_made(*w, "x/f", seen);
    files::create_directory(here_.at("y"));
    here_.put("end2", "");
    co_await expect_made(*w, "end2", seen);
    here_.put("x/g", "");
    co_await expect_made(*w, "x/g", seen);
  });
}

// That it had gone was lost.
TEST_P(watching_late, what_is_made_again_after_an_overflow_is_told_and_watched) {
  for (const bool is_folder : {false, true}) {
    const test::folder elsewhere;
    files::create_directories(elsewhere.at("in"));
    const auto make = [is_folder](const test::folder& where) {
      if (is_folder) {
        files::create_directories(where.at("in/x"));
      } else {
        where.put("in/x", "");
      }
    };
    make(elsewhere);
    run([&]() -> task<> {
      auto w = co_await watch(here_.path(), {.recursive = true});
      WEFT_REQUIRE(w);
      std::vector<watch_event> seen;
      files::rename(elsewhere.at("in"), here_.at("in"));
      co_await expect_made(*w, "in/x", seen);
      if (!test::overflow_by(here_.path())) co_return;
      files::remove(here_.at("in/x"));
      for (bool told = false; !told;) {
        const auto e = co_await timeout(std::chrono::seconds(20), w->next());
        WEFT_REQUIRE(e);
        told = e->kind == watch_kind::overflow;
      }
      make(here_);
      here_.put("end", "");
      seen.clear();
      co_await expect_made(*w, "end", seen);
      EXPECT_EQ(count(seen, watch_kind::created, "in/x"), 1u);
      if (!is_folder) co_return;
      here_.put("in/x/g", "");
      co_await expect_made(*w, "in/x/g", seen);
    });
    files::remove_all(here_.at("in"));
    files::remove(here_.at("end"));
  }
}

#if !WEFT_TSAN
TEST_P(watching_late, a_folder_that_left_is_told_of_no_more_however_late_its_own_event_is) {
  const test::folder elsewhere;
  files::create_directories(here_.at("a"));
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    std::vector<watch_event> seen;
    holds_back = true;
    files::rename(here_.at("a"), elsewhere.at("a"));
    here_.put("end", "");
    co_await expect_made(*w, "end", seen);
    holds_back = false;
    elsewhere.put("a/unseen", "");
    here_.put("end2", "");
    co_await expect_made(*w, "end2", seen);
    for (const auto& e : seen) EXPECT_FALSE(e.path.ends_with("unseen")) << e.path;
  });
}
#endif

// All that was read has waited as long as the first of it.
TEST_P(watching_late, many_that_leave_wait_once_for_what_does_not_come) {
  constexpr int many = 200;
  const test::folder elsewhere;
  const auto name = [](int i) { return "f" + std::to_string(i); };
  for (int i = 0; i < many; ++i) here_.put(name(i), "");
  run([&]() -> task<> {
    auto w = co_await watch(here_.path());
    WEFT_REQUIRE(w);
    for (int i = 0; i < many; ++i) files::rename(here_.at(name(i)), elsewhere.at(name(i)));
    here_.put("end", "");
    const auto begun = std::chrono::steady_clock::now();
    std::vector<watch_event> seen;
    co_await expect_made(*w, "end", seen);
    // One by one that would be four seconds.
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(2));
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(many) + 1);
  });
}

// Each watch that is removed tells of its end, in the same queue.
TEST_P(watching_late, a_folder_with_more_folders_than_the_queue_holds_leaves_without_an_overflow) {
  std::ifstream limit("/proc/sys/fs/inotify/max_queued_events");
  std::ifstream watches("/proc/sys/fs/inotify/max_user_watches");
  int queued = 0, watched = 0;
  if (!(limit >> queued) || !(watches >> watched) || queued > 20'000 || watched < queued + 2'000) {
    GTEST_SKIP() << "the user's limits are " << queued << " events and " << watched << " watches";
  }
  const char* const fast = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  const test::folder here(fast), elsewhere(fast);
  for (int i = 0; i < queued + 500; ++i) {
    files::create_directories(here.at("t/w/" + std::to_string(i)));
  }
  run([&]() -> task<> {
    auto w = co_await watch(here.at("t"), {.recursive = true});
    WEFT_REQUIRE(w);
    files::rename(here.at("t/w"), elsewhere.at("w"));
    const auto first = co_await timeout(std::chrono::seconds(20), w->next());
    WEFT_REQUIRE(first);
    EXPECT_EQ(first->kind, watch_kind::removed);
    for (int i = 0; i < 3; ++i) {  // the second one comes after all watches have been removed
      here.put("t/a" + std::to_string(i), "");
      const auto e = co_await timeout(std::chrono::seconds(20), w->next());
      WEFT_REQUIRE(e);
      EXPECT_EQ(e->kind, watch_kind::created);
    }
  });
}

// Stopped again and again, a look loses no name and tells none twice.
TEST_P(watching_late, looks_that_are_stopped_lose_nothing) {
  const test::folder elsewhere;
  files::create_directories(elsewhere.at("in/d"));
  constexpr std::size_t many = 2000;
  for (std::size_t i = 0; i < many; ++i) elsewhere.put("in/d/f" + std::to_string(i), "");
  run([&]() -> task<> {
    auto w = co_await watch(here_.path(), {.recursive = true});
    WEFT_REQUIRE(w);
    files::rename(elsewhere.at("in"), here_.at("in"));
    std::set<std::string> seen;
    for (int i = 0, idle = 0; seen.size() < many + 2 && idle < 10'000; ++i) {
      const auto e = co_await timeout(std::chrono::microseconds(i % 400), w->next());
      if (!e) {
        EXPECT_EQ(e.error(), std::errc::timed_out);
        ++idle;
        continue;
      }
      idle = 0;
      EXPECT_TRUE(seen.insert(e->path).second) << e->path;
    }
    EXPECT_EQ(seen.size(), many + 2);
  });
}

// It need not be looked at: it is watched as it was.
TEST_P(watching_late, a_folder_that_may_not_be_read_any_more_tells_of_an_overflow) {
  if (::getuid() != 0) GTEST_SKIP() << "it takes another user";
  files::permissions(here_.path(), files::perms::all);
  const int overflow_told = 1;
  const int got = test::as_nobody([&] {
    int code = 0;
    files::create_directory(here_.at("t"));
    run([&]() -> task<> {
      auto w = co_await watch(here_.at("t"));
      if (!w || !test::overflow_by(here_.at("t"))) {
        code = 50;
        co_return;
      }
      files::permissions(here_.at("t"), files::perms::none);
      while (code == 0) {
        const auto e = co_await w->next();
        if (!e) code = 2;
        if (e && e->kind == watch_kind::overflow) code = overflow_told;
      }
      files::permissions(here_.at("t"), files::perms::all);
    });
    return code;
  });
  EXPECT_EQ(got, overflow_told) << "2: an error ended it";
}

INSTANTIATE_TEST_SUITE_P(drivers, watching_late, test::all_drivers, test::driver_name);

}  // namespace
}  // namespace weft::fs
