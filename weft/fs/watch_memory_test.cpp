// Where there is no memory for what was read of a watch, that is told: nothing is lost in silence.
#include "weft/base/config.hpp"

#if !WEFT_ASAN && !WEFT_TSAN  // they have an operator new of their own

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>
#include <string>

#include "weft/fs/fs_test_support.hpp"
#include "weft/fs/watch.hpp"
#include "weft/together/timeout.hpp"

namespace {

// Only what is as long as the names here: the runtime's own memory is no matter of this.
constexpr std::size_t name_bytes = 200;
std::atomic<int> refused_after{-1};  // so many more are given; negative: all are

bool is_refused(std::size_t bytes) noexcept {
  if (refused_after.load(std::memory_order_relaxed) < 0) return false;
  if (bytes < name_bytes || bytes > 3 * name_bytes) return false;
  return refused_after.fetch_sub(1) == 0;
}

}  // namespace

void* operator new(std::size_t bytes) {
  void* const p = is_refused(bytes) ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace weft::fs {
namespace {

namespace files = std::filesystem;

class watching_without_memory : public test::on_each_driver {
 protected:
  /// What came is told in the end, or that something was lost, whichever of its memory there is not.
  void never_in_silence(bool recursive) {
    const std::string name(name_bytes, 'n');
    int failed = 0;
    for (int which = 0; which < 12; ++which) {
      const test::folder here;
      run([&]() -> task<> {
        auto w = co_await watch(here.path(), {.recursive = recursive});
        WEFT_REQUIRE(w);
        files::create_directory(here.at(name));
        here.put(name + "/" + name, "");
        const std::string last = here.at(recursive ? name + "/" + name : name);
        refused_after = which;
        bool told = false;
        while (!told) {
          try {
            const auto e = co_await timeout(std::chrono::seconds(5), w->next());
            if (!e && e.error() == std::errc::timed_out) break;
            if (!e) ++failed;
            told = e && (e->kind == watch_kind::overflow || e->path == last);
          } catch (const std::bad_alloc&) {
            ++failed;
          }
        }
        refused_after = -1;
        EXPECT_TRUE(told) << which;
      });
    }
    EXPECT_GE(failed, recursive ? 3 : 2);
  }
};

TEST_P(watching_without_memory, a_folder_tells_what_came_or_that_it_was_lost) {
  never_in_silence(false);
}
TEST_P(watching_without_memory, a_tree_tells_what_came_or_that_it_was_lost) {
  never_in_silence(true);
}

INSTANTIATE_TEST_SUITE_P(drivers, watching_without_memory, test::all_drivers, test::driver_name);

}  // namespace
}  // namespace weft::fs

#endif
