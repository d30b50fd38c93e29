// A large tree is looked through in steps, between which the other jobs of the worker have their turns.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <string>

#include "weft/base/config.hpp"
#include "weft/fs/fs_test_support.hpp"
#include "weft/fs/watch.hpp"
#include "weft/fs/watch_test_support.hpp"
#include "weft/runtime/time.hpp"

namespace weft::fs {
namespace {

namespace files = std::filesystem;

constexpr int folders = 20'000;
// In a release build a step takes 1 ms at most; that is for a build without optimisation, on a machine that
// does something else, too, whose caches it shares. The look after an overflow, done at once, takes 42 ms and more.
constexpr double step_ms_max = 20;

/// What this thread has computed, which is no time in which others had its CPU.
double computed_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

/// A job that has turns as often as it can, and says how long the longest wait for one was.
class other_job {
 public:
  task<> run() {
    last_ = computed_ms();
    while (!enough_) {
      co_await yield_now();
      const double now = computed_ms();
      longest_ = std::max(longest_, now - last_);
      last_ = now;
      ++turns_;
    }
  }
  void end() { enough_ = true; }
  int turns() const { return turns_; }
  void begin_anew() {
    last_ = computed_ms();
    turns_ = 0;
    longest_ = 0;
  }
  void expect_turns(const char* during) {
    std::printf("%s: %d turns, the longest wait for one %.2f ms\n", during, turns_, longest_);
    if (!WEFT_ASAN && !WEFT_TSAN) {
      EXPECT_LT(longest_, step_ms_max) << during;
    }
    EXPECT_GE(turns_, 10) << during;
    begin_anew();
  }

 private:
  bool enough_ = false;
  int turns_ = 0;
  double last_ = 0, longest_ = 0;
};

/// In memory, where there is such a place: a disk takes a minute for that many folders.
files::path fast_folder() {
  const files::path shared = "/dev/shm";
  return ::access(shared.c_str(), W_OK) == 0 ? shared : files::temp_directory_path();
}

/// Half of them in one folder, half of them in hundreds.
void make_folders(const test::folder& in) {
  for (int i = 0; i < folders / 2; ++i) {
    const std::string name = std::to_string(i);
    files::create_directories(in.at("t/wide/" + name));
    files::create_directories(in.at("t/deep/" + std::to_string(i / 100) + "/" + name));
  }
}

task<> until(watcher& w, watch_kind kind) {
  for (bool told = false; !told;) {
    const auto e = co_await w.next();
    WEFT_REQUIRE(e);
    told = e->kind == kind;
  }
}

TEST(watching_large_trees, other_jobs_of_the_worker_have_their_turns_and_a_look_can_be_stopped) {
  const test::folder here(fast_folder()), elsewhere(fast_folder());
  std::ifstream limit("/proc/sys/fs/inotify/max_user_watches");
  if (int most = 0; !(limit >> most) || most < 2 * folders) {
    GTEST_SKIP() << "the user may watch " << most << " folders";
  }
  make_folders(here);
  other_job other;
  runtime rt({.workers = 1});
  rt.block_on([&]() -> task<> {
    auto beside = spawn([&other] { return other.run(); });
    {
      auto w = co_await watch(here.at("t"), {.recursive = true});
      WEFT_REQUIRE(w);
      other.expect_turns("the first look");
      const bool overflowed = test::overflow_by(here.at("t"));
      other.begin_anew();  // that was the test's own
      if (overflowed) co_await until(*w, watch_kind::overflow);
      other.expect_turns("the look after an overflow");
      files::rename(here.at("t/wide"), elsewhere.at("wide"));
      other.begin_anew();
      co_await until(*w, watch_kind::removed);
      here.put("t/last", "");
      co_await until(*w, watch_kind::created);
      other.expect_turns("half of the tree leaves");
      files::rename(elsewhere.at("wide"), here.at("t/wide"));
      other.begin_anew();
      for (int told = 0; told <= folders / 2; ++told) {
        const auto e = co_await w->next();
        WEFT_REQUIRE(e);
        EXPECT_EQ(e->kind, watch_kind::created);
      }
      other.expect_turns("half of the tree comes");
    }
    for (int i = 0; i < folders / 100; ++i) co_await yield_now();
    other.expect_turns("its end");
    auto watching = spawn([&]() -> task<> {
      const auto w = co_await watch(here.at("t"), {.recursive = true});
      ADD_FAILURE() << "it was done: " << w.has_value();
    });
    const int begun_at = other.turns();
    while (other.turns() < begun_at + 10) co_await yield_now();
    watching.stop();
    const auto ended = co_await watching.outcome();
    EXPECT_TRUE(ended.stopped());
    other.expect_turns("a stopped look");
    other.end();
    co_await beside;
  }());
}

}  // namespace
}  // namespace weft::fs
