#include "weft/task/frame_pool.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

#include "weft/base/atomic.hpp"
#include "weft/base/census.hpp"
#include "weft/base/config.hpp"

namespace {

// What the pool asks of the system. Only this program's: frames are all that is aligned so.
weft::atomic<long> system_allocations;
weft::atomic<long> system_frees;
thread_local bool no_memory = false;

#if WEFT_TSAN
constexpr bool counted =
    false;  // Clang's ThreadSanitizer does not let a program replace operator new
}  // namespace
#else
constexpr bool counted = true;
}  // namespace

void* operator new(std::size_t bytes, std::align_val_t alignment) {
  system_allocations.fetch_add(1, weft::order::relaxed);
  const auto a = static_cast<std::size_t>(alignment);
  if (no_memory) throw std::bad_alloc();
  void* const p = std::aligned_alloc(a, (bytes + a - 1) / a * a);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void operator delete(void* p, std::align_val_t) noexcept {
  system_frees.fetch_add(1, weft::order::relaxed);
  std::free(p);
}
void operator delete(void* p, std::size_t, std::align_val_t a) noexcept { operator delete(p, a); }
#endif

namespace weft {
namespace {

// Sizes that no other test of this program uses, so that the lists are as this test left them.
constexpr std::size_t odd_size = 1700;

class frame_pool : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const char* s = std::getenv("WEFT_FRAME_POOL"); s && std::string_view(s) == "off") {
      GTEST_SKIP() << "the pool is switched off";
    }
  }
};

TEST_F(frame_pool, freed_frame_is_the_next_one_given) {
  void* const first = allocate_frame(odd_size);
  free_frame(first, odd_size);
  const long before = system_allocations.load(order::relaxed);
  void* const second = allocate_frame(odd_size - 20);  // the same class of 64 bytes
  EXPECT_EQ(first, second);
  EXPECT_EQ(system_allocations.load(order::relaxed), before);
  free_frame(second, odd_size - 20);
}

TEST_F(frame_pool, every_size_is_aligned_and_wholly_usable) {
  std::vector<std::pair<void*, std::size_t>> frames;
  for (std::size_t bytes = 1; bytes < 5000; bytes += 37) {
    void* const p = allocate_frame(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 64, 0u) << bytes;
    __builtin_memset(p, 0xA5, bytes);
    frames.emplace_back(p, bytes);
  }
  std::set<void*> distinct;
  for (auto [p, bytes] : frames) {
    EXPECT_TRUE(distinct.insert(p).second);
    EXPECT_EQ(static_cast<unsigned char*>(p)[bytes - 1], 0xA5);
    free_frame(p, bytes);
  }
}

TEST_F(frame_pool, large_frame_comes_from_the_system_and_goes_back) {
  if (!counted) GTEST_SKIP() << "allocations are not counted here";
  const long before = system_frees.load(order::relaxed);
  void* const p = allocate_frame(4096);
  free_frame(p, 4096);
  EXPECT_EQ(system_frees.load(order::relaxed), before + 1);
}

TEST_F(frame_pool, frames_freed_on_another_thread_come_back) {
  constexpr std::size_t bytes = 1500;
  constexpr int n = 64;
  std::vector<void*> frames;
  for (int i = 0; i < n; ++i) frames.push_back(allocate_frame(bytes));
  std::set<void*> known(frames.begin(), frames.end());
  std::thread([&] {
    for (void* p : frames) free_frame(p, bytes);
  }).join();  // what the thread held goes to the depot at its end
  const long before = system_allocations.load(order::relaxed);
  for (auto& p : frames) {
    p = allocate_frame(bytes);
    EXPECT_EQ(known.count(p), 1u);
  }
  EXPECT_EQ(system_allocations.load(order::relaxed), before);
  for (void* p : frames) free_frame(p, bytes);
}

TEST_F(frame_pool, producer_and_consumer_on_two_threads_need_no_new_memory) {
  constexpr std::size_t bytes = 1300;
  atomic<void*> handed(nullptr);
  std::thread consumer([&] {
    for (int i = 0; i < 20'000; ++i) {
      void* p = nullptr;
      while ((p = handed.exchange(nullptr, order::acq_rel)) == nullptr) std::this_thread::yield();
      free_frame(p, bytes);
    }
  });
  const long before = system_allocations.load(order::relaxed);
  for (int i = 0; i < 20'000; ++i) {
    void* const p = allocate_frame(bytes);
    while (handed.load(order::relaxed) != nullptr) std::this_thread::yield();
    handed.store(p, order::release);
  }
  consumer.join();
  EXPECT_LE(system_allocations.load(order::relaxed) - before, 4 * 64);
}

TEST_F(frame_pool, flush_hands_everything_to_the_other_threads) {
  constexpr std::size_t bytes = 1900;
  void* const p = allocate_frame(bytes);
  free_frame(p, bytes);
  flush_frame_cache();
  void* q = nullptr;
  std::thread([&] {
    q = allocate_frame(bytes);
    free_frame(q, bytes);
  }).join();
  EXPECT_EQ(p, q);
}

/// A thread_local that outlives the thread's free lists, because it was there before them.
struct late_user {
  static constexpr std::size_t bytes = 1100;
  static inline long freed_by_the_system = -1;
  void* frame = nullptr;
  ~late_user() {
    if (frame == nullptr) return;
    const long before = system_frees.load(order::relaxed);
    free_frame(frame, bytes);
    free_frame(allocate_frame(bytes), bytes);
    freed_by_the_system = system_frees.load(order::relaxed) - before;
  }
};

TEST_F(frame_pool, frames_of_a_thread_whose_lists_are_gone_go_through_the_system) {
  if (!counted) GTEST_SKIP() << "allocations are not counted here";
  std::thread([] {
    static thread_local late_user user;
    static_cast<void>(user.frame);  // made before the lists are
    user.frame = allocate_frame(late_user::bytes);
    free_frame(allocate_frame(late_user::bytes), late_user::bytes);  // the depot will have one
  }).join();
  EXPECT_EQ(late_user::freed_by_the_system, 2);
}

TEST_F(frame_pool, frame_that_could_not_be_had_is_not_counted) {
  if (!counted) GTEST_SKIP() << "allocations are not counted here";
  const long before = live_census().frames;
  for (const std::size_t bytes : {std::size_t{1000}, std::size_t{5000}}) {
    std::vector<void*> frames;  // what the lists and the depot still have
    no_memory = true;
    try {
      for (;;) frames.push_back(allocate_frame(bytes));
    } catch (const std::bad_alloc&) {
    }
    no_memory = false;
    for (void* p : frames) free_frame(p, bytes);
    EXPECT_EQ(live_census().frames, before);
  }
}

TEST_F(frame_pool, keeps_no_more_than_its_bound) {
  if (!counted) GTEST_SKIP() << "allocations are not counted here";
  constexpr std::size_t bytes = 40;
  constexpr long n = 100'000;
  constexpr long kept_max = 1024 * 64 + 2 * 64;
  std::vector<void*> frames;
  for (long i = 0; i < n; ++i) frames.push_back(allocate_frame(bytes));
  const long before = system_frees.load(order::relaxed);
  for (void* p : frames) free_frame(p, bytes);
  EXPECT_GE(system_frees.load(order::relaxed) - before, n - kept_max);
}

TEST(frame_pool_death_test, is_off_when_the_environment_says_so) {
  if (!counted) GTEST_SKIP() << "allocations are not counted here";
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";  // a process of its own, started anew
  ::setenv("WEFT_FRAME_POOL", "off", 1);
  EXPECT_EXIT(
      {
        const long before = system_frees.load(order::relaxed);
        for (int i = 0; i < 10; ++i) free_frame(allocate_frame(100), 100);
        std::_Exit(system_frees.load(order::relaxed) - before == 10 ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
  ::unsetenv("WEFT_FRAME_POOL");
  ::testing::FLAGS_gtest_death_test_style = "fast";
}

}  // namespace
}  // namespace weft
