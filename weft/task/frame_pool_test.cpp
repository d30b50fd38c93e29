#include "weft/task/frame_pool.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <new>
#include <set>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "weft/base/atomic.hpp"
#include "weft/base/census.hpp"
#include "weft/base/config.hpp"
#include "weft/base/time.hpp"
#include "weft/task/frame_account.hpp"
#include "weft/task/frame_slabs.hpp"
#include "weft/task/frame_trim.hpp"
#include "weft/task/task_test_support.hpp"

namespace {

// What the pool asks of the system's allocator. Only this program's: frames are all that is aligned so.
weft::atomic<long> system_allocations;
weft::atomic<long> system_frees;

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
constexpr std::size_t one_mib = std::size_t{1} << 20;
constexpr std::size_t block_bytes_of_100 = detail::frame_class_bytes(detail::frame_class_of(100));

class frame_pool : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const char* s = std::getenv("WEFT_FRAME_POOL"); s && std::string_view(s) == "off") {
      GTEST_SKIP() << "the pool is switched off";
    }
    if (frame_accounts_on()) GTEST_SKIP() << "blocks are larger than asked for: they have headers";
  }
};

TEST_F(frame_pool, freed_frame_is_the_next_one_given) {
  void* const first = allocate_frame(odd_size);
  free_frame(first, odd_size);
  void* const second = allocate_frame(odd_size - 20);  // of the same class
  EXPECT_EQ(first, second);
  free_frame(second, odd_size - 20);
}

TEST_F(frame_pool, frame_of_up_to_2_kib_is_never_the_system_allocators) {
  if (!counted) GTEST_SKIP() << "allocations are not counted here";
  const long before = system_allocations.load(order::relaxed);
  std::vector<void*> frames;
  for (int i = 0; i < 300; ++i) frames.push_back(allocate_frame(2048));
  for (void* p : frames) free_frame(p, 2048);
  EXPECT_EQ(system_allocations.load(order::relaxed), before);
}

template <std::size_t A>
struct alignas(A) aligned_to {
  unsigned char bytes[A];
};
/// How far it stands off what its local is aligned to; 0 is right.
template <std::size_t A, std::size_t More>
task<std::uintptr_t> stands_off(test_support::gate& g) {
  aligned_to<A> local{};
  unsigned char more[More] = {};
  asm volatile("" : : "r"(&local), "r"(&more) : "memory");
  co_await g.pass();
  asm volatile("" : : "r"(&more) : "memory");
  auto at = reinterpret_cast<std::uintptr_t>(&local);
  asm volatile("" : "+r"(at));  // else the answer is what was asked for, not what is
  co_return at % A;
}
template <std::size_t A, std::size_t... More>
void expect_frames_aligned_to(std::index_sequence<More...>) {
  test_support::test_executor executor;
  const auto check = [&](auto f, std::size_t more) {
    test_support::gate gates[3];  // three at once: one may stand right by chance
    auto first = test_support::start(executor, f, std::ref(gates[0]));
    auto second = test_support::start(executor, f, std::ref(gates[1]));
    auto third = test_support::start(executor, f, std::ref(gates[2]));
    executor.run_until_idle();
    for (auto& g : gates) g.open();
    executor.run_until_idle();
    EXPECT_EQ(first.outcome().value(), 0u) << A << " " << more;
    EXPECT_EQ(second.outcome().value(), 0u) << A << " " << more;
    EXPECT_EQ(third.outcome().value(), 0u) << A << " " << more;
  };
  (check(&stands_off<A, 1 + More * 5>, 1 + More * 5), ...);
}

TEST_F(frame_pool, frame_is_aligned_as_its_locals_are) {
  expect_frames_aligned_to<16>(std::make_index_sequence<16>());
  expect_frames_aligned_to<32>(std::make_index_sequence<16>());
  expect_frames_aligned_to<64>(std::make_index_sequence<16>());
}

TEST_F(frame_pool, every_size_is_aligned_and_wholly_usable) {
  std::vector<std::pair<void*, std::size_t>> frames;
  for (std::size_t bytes = 1; bytes < 5000; ++bytes) {
    void* const p = allocate_frame(bytes);
    // To what its size is a multiple of: so is what stands in it.
    const std::size_t as_asked = std::min<std::size_t>(bytes & -bytes, 64);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % std::max<std::size_t>(as_asked, 8), 0u)
        << bytes;
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
  flush_frame_cache();  // and this one has no others left
  std::thread([&] {
    for (void* p : frames) free_frame(p, bytes);
  }).join();  // what the thread held goes to the depot at its end
  for (auto& p : frames) {
    p = allocate_frame(bytes);
    EXPECT_EQ(known.count(p), 1u);
  }
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
  const std::size_t before = frame_pool_now().used_bytes;
  for (int i = 0; i < 20'000; ++i) {
    void* const p = allocate_frame(bytes);
    while (handed.load(order::relaxed) != nullptr) std::this_thread::yield();
    handed.store(p, order::release);
  }
  consumer.join();
  EXPECT_LE(frame_pool_now().used_bytes, before + one_mib);  // it were 26 MiB
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
  static constexpr std::size_t block = 1152;
  static inline std::size_t before = 0;
  static inline std::size_t after = 0;
  void* frame = nullptr;
  ~late_user() {
    if (frame == nullptr) return;
    before = frame_pool_now().out_bytes;
    free_frame(frame, bytes);
    free_frame(allocate_frame(bytes), bytes);
    after = frame_pool_now().out_bytes;
  }
};

TEST_F(frame_pool, frames_of_a_thread_whose_lists_are_gone_go_home_one_by_one) {
  std::thread([] {
    static thread_local late_user user;
    static_cast<void>(user.frame);  // made before the lists are
    user.frame = allocate_frame(late_user::bytes);
    free_frame(allocate_frame(late_user::bytes), late_user::bytes);  // the depot will have one
  }).join();
  EXPECT_EQ(late_user::after + late_user::block, late_user::before);
}

// --- slabs, and what goes back to the system -----------------------------------------------------

/// Frames of one size that go when this goes.
class burst {
 public:
  burst(std::size_t n, std::size_t bytes) : bytes_(bytes) {
    frames_.reserve(n);
    for (std::size_t i = 0; i < n; ++i) frames_.push_back(allocate_frame(bytes));
  }
  ~burst() { end(); }
  burst(const burst&) = delete;
  burst& operator=(const burst&) = delete;
  void end() {
    for (void* p : frames_) free_frame(p, bytes_);
    frames_.clear();
  }
  /// Of every `one_of` the first one stays.
  void thin_out(std::size_t one_of) {
    std::vector<void*> kept;
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      if (i % one_of == 0) {
        kept.push_back(frames_[i]);
      } else {
        free_frame(frames_[i], bytes_);
      }
    }
    frames_.swap(kept);
  }
  std::vector<void*>& frames() { return frames_; }

 private:
  std::size_t bytes_;
  std::vector<void*> frames_;
};

/// Idle workers' part, at a time that only these tests have.
std::int64_t idle_now_ns = 0;
void idle_until_nothing_is_due() {
  for (std::int64_t due; (due = detail::trim_due_ns(idle_now_ns)) != never_ns;) {
    idle_now_ns = due;
    detail::trim_frames(due);
  }
}

class frame_trim : public frame_pool {
 protected:
  void SetUp() override {
    frame_pool::SetUp();
    idle_until_nothing_is_due();
    trim_frame_pool();
    before = frame_pool_now();
  }
  void TearDown() override { trim_frame_pool(); }
  frame_pool_figures before;
};

#if WEFT_ASAN || WEFT_TSAN
constexpr std::size_t many = 100'000;
#else
constexpr std::size_t many = 1'000'000;
#endif

TEST_F(frame_trim, all_memory_of_a_burst_goes_back_when_it_is_asked_for) {
  burst frames(many, 100);
  EXPECT_GE(frame_pool_now().used_bytes, before.used_bytes + many * block_bytes_of_100);
  frames.end();
  trim_frame_pool();
  const frame_pool_figures after = frame_pool_now();
  EXPECT_EQ(after.used_bytes, before.used_bytes);
  EXPECT_EQ(after.out_bytes, before.out_bytes);
  EXPECT_EQ(after.mapped_bytes, before.mapped_bytes);
  EXPECT_EQ(after.empty_bytes, 0u);
  EXPECT_EQ(after.depot_bytes, 0u);
}

TEST_F(frame_trim, idle_workers_give_back_half_of_it_each_second_and_then_sleep_for_good) {
  burst(many, 500).end();
  const std::size_t begin = frame_pool_now().empty_bytes;
  EXPECT_GE(begin + detail::frame_slab_bytes * 520, many * 512);  // but for lists and the depot
  const std::int64_t burst_ns = idle_now_ns;
  std::int64_t due = detail::trim_due_ns(burst_ns);
  EXPECT_EQ(due, burst_ns + detail::trim_period_ns);
  EXPECT_EQ(detail::trim_due_ns(burst_ns + 5), due);  // the wait has begun already
  detail::trim_frames(due - 1);
  EXPECT_GE(frame_pool_now().empty_bytes, begin);
  do {  // one pass, in slices
    detail::trim_frames(due);
  } while (detail::trim_due_ns(due) == due);
  EXPECT_LE(frame_pool_now().empty_bytes, begin / 2 + 5 * one_mib);
  EXPECT_GE(frame_pool_now().empty_bytes, begin / 2 - 5 * one_mib);
  EXPECT_EQ(detail::trim_due_ns(due), due + detail::trim_period_ns);
  idle_until_nothing_is_due();
  EXPECT_LE(idle_now_ns - burst_ns, 12 * detail::trim_period_ns);
  EXPECT_LE(frame_pool_now().empty_bytes, frame_bytes_kept);
  EXPECT_EQ(detail::trim_due_ns(idle_now_ns + 1000 * ns_per_s), never_ns);
}

TEST_F(frame_trim, what_the_last_second_had_need_of_stays) {
  constexpr std::size_t n = many / 10;
  burst(n, 500).end();
  std::int64_t due = detail::trim_due_ns(idle_now_ns);
  for (int second = 0; second < 5; ++second) {
    burst(n, 500).end();
    const std::size_t kept = frame_pool_now().empty_bytes;
    do {
      detail::trim_frames(due);
    } while (detail::trim_due_ns(due) == due);
    EXPECT_GE(frame_pool_now().empty_bytes, kept);
    idle_now_ns = due;
    due = detail::trim_due_ns(due);
    ASSERT_EQ(due, idle_now_ns + detail::trim_period_ns);
  }
  idle_until_nothing_is_due();
}

TEST_F(frame_trim, one_thread_of_many_that_wake_does_the_pass) {
  burst(many / 10, 500).end();
  const std::int64_t due = detail::trim_due_ns(idle_now_ns);
  while (detail::trim_due_ns(due) == due) detail::trim_frames(due);
  const std::size_t left = frame_pool_now().empty_bytes;
  detail::trim_frames(due);
  EXPECT_EQ(frame_pool_now().empty_bytes, left);
  idle_now_ns = due;
  idle_until_nothing_is_due();
}

TEST_F(frame_trim, empty_slabs_serve_any_class) {
  burst(many / 10, 128).end();
  flush_frame_cache();
  detail::send_depot_home();
  const frame_pool_figures small = frame_pool_now();
  EXPECT_EQ(small.used_bytes, before.used_bytes);
  const burst large(many / 10 * 128 / 1024 - 64, 1024);
  EXPECT_EQ(frame_pool_now().mapped_bytes, small.mapped_bytes);
  EXPECT_LE(frame_pool_now().empty_bytes, one_mib);
}

TEST_F(frame_trim, burst_that_is_freed_on_other_threads_goes_back_too) {
  burst frames(many / 10, 300);
  auto& all = frames.frames();
  std::thread even([&] {
    for (std::size_t i = 0; i < all.size(); i += 2) free_frame(all[i], 300);
  });
  std::thread odd([&] {
    for (std::size_t i = 1; i < all.size(); i += 2) free_frame(all[i], 300);
  });
  even.join();
  odd.join();
  all.clear();
  trim_frame_pool();
  EXPECT_EQ(frame_pool_now().used_bytes, before.used_bytes);
  EXPECT_EQ(frame_pool_now().mapped_bytes, before.mapped_bytes);
}

TEST_F(frame_trim, frames_that_stay_keep_their_slabs_and_the_rest_of_these_is_used_again) {
  constexpr std::size_t n = many / 10;
  burst kept(n, 100);
  const std::size_t full = frame_pool_now().used_bytes;
  kept.thin_out(100);  // of some 600 blocks of a slab
  trim_frame_pool();
  EXPECT_EQ(frame_pool_now().used_bytes, full);
  {
    const burst again(n - n / 100, 100);
    EXPECT_LE(frame_pool_now().used_bytes, full + detail::frame_slab_bytes);
  }
  kept.end();
  trim_frame_pool();
  EXPECT_EQ(frame_pool_now().used_bytes, before.used_bytes);
}

TEST_F(frame_trim, one_frame_keeps_one_slab) {
  burst kept(many / 10, 100);
  kept.thin_out(many);
  ASSERT_EQ(kept.frames().size(), 1u);
  trim_frame_pool();
  EXPECT_EQ(frame_pool_now().used_bytes, before.used_bytes + detail::frame_slab_bytes);
  EXPECT_EQ(frame_pool_now().out_bytes, before.out_bytes + block_bytes_of_100);
}

TEST_F(frame_trim, many_threads_that_end_leave_nothing_behind) {
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 50; ++t) {
    threads.emplace_back([t] {
      for (std::size_t bytes = 64; bytes <= 2048; bytes += 64) burst(1 + 7 * t, bytes).end();
    });
  }
  for (auto& t : threads) t.join();
  trim_frame_pool();
  EXPECT_EQ(frame_pool_now().used_bytes, before.used_bytes);
  EXPECT_EQ(frame_pool_now().out_bytes, before.out_bytes);
}

TEST_F(frame_trim, memory_that_went_back_can_be_had_again_and_is_whole) {
  for (int round = 0; round < 3; ++round) {
    burst frames(many / 100, 2000);
    for (void* p : frames.frames()) __builtin_memset(p, 0xA5, 2000);
    for (void* p : frames.frames()) ASSERT_EQ(static_cast<unsigned char*>(p)[1999], 0xA5);
    frames.thin_out(500);  // so that chunks stay, and their slabs go
    trim_frame_pool();
    burst again(many / 100, 1000);
    for (void* p : again.frames()) __builtin_memset(p, 0x5A, 1000);
    for (void* p : frames.frames()) ASSERT_EQ(static_cast<unsigned char*>(p)[1999], 0xA5);
  }
}

/// In a process of its own: true if frames ran out as they must when there is no more memory.
bool runs_out_of_memory_well() {
  constexpr std::size_t bytes = 1000;
  static void* frames[2 * detail::frame_chunk_bytes / bytes];
  const long before = live_census().frames;
  free_frame(allocate_frame(bytes), bytes);
  struct rlimit old{};
  ::getrlimit(RLIMIT_AS, &old);
  const struct rlimit none{1, old.rlim_max};
  ::setrlimit(RLIMIT_AS, &none);
  std::size_t n = 0;
  bool refused = false;
  try {
    for (; n < std::size(frames); ++n) frames[n] = allocate_frame(bytes);
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  const bool exact = live_census().frames == before + static_cast<long>(n) * WEFT_CENSUS;
  ::setrlimit(RLIMIT_AS, &old);
  frames[n++] = allocate_frame(bytes);  // and it can go on
  while (n > 0) free_frame(frames[--n], bytes);
  return refused && exact && live_census().frames == before;
}

TEST(frame_pool_death_test, frame_that_could_not_be_had_throws_and_is_not_counted) {
  if (WEFT_ASAN || WEFT_TSAN) GTEST_SKIP() << "a sanitizer needs memory of its own";
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";  // a process of its own, started anew
  EXPECT_EXIT(std::_Exit(runs_out_of_memory_well() ? 0 : 1), ::testing::ExitedWithCode(0), "");
  ::testing::FLAGS_gtest_death_test_style = "fast";
}

using frame_home_death_test = frame_pool;
TEST_F(frame_home_death_test, frame_that_is_freed_twice_is_seen_when_it_comes_home) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto twice = [] {
    void* const p = allocate_frame(100);
    detail::frame_block* const b = static_cast<detail::frame_block*>(p);
    for (int i = 0; i < 1000; ++i) {
      b->next = nullptr;
      detail::return_blocks(detail::frame_class_of(100), b);
    }
  };
  EXPECT_DEATH(twice(), "freed twice");
  ::testing::FLAGS_gtest_death_test_style = "fast";
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
