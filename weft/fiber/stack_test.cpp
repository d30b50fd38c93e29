// stack_pool: reuse, guards, limits, what it costs of memory, and what happens when there is none.
#include "weft/fiber/stack.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "weft/fiber/context.hpp"
#include "weft/fiber/turns_test_support.hpp"
#include "weft/os/memory.hpp"
#include "weft/os/stack_pages.hpp"

#if WEFT_ASAN
#include <sanitizer/lsan_interface.h>
#endif

namespace weft {
namespace {

// A sanitizer has a handler for it, which reports and exits.
#if WEFT_TSAN || WEFT_ASAN
#define EXPECT_SEGV(statement) EXPECT_DEATH(statement, "SEGV")
#else
#define EXPECT_SEGV(statement) EXPECT_EXIT(statement, ::testing::KilledBySignal(SIGSEGV), "")
#endif

std::vector<stack> take_many(stack_pool& pool, std::size_t count) {
  std::vector<stack> all;
  for (std::size_t i = 0; i < count; ++i) {
    const auto one = pool.take();
    if (!one) break;
    all.push_back(*one);
  }
  return all;
}
void give_all(stack_pool& pool, const std::vector<stack>& all) {
  for (const stack& s : all) pool.give(s);
}
void touch(const stack& s, std::size_t pages) {
  for (std::size_t i = 0; i < pages; ++i) *(s.top() - 1 - i * os::page_size()) = std::byte{1};
}
/// Of the address space of 64 stacks.
std::size_t slab_bytes(const stack_pool& pool) {
  return 64 * (pool.stack_bytes() + pool.guard_bytes());
}
/// Whether the page of `address` is in memory.
bool is_resident(const std::byte* address) {
  const auto page = reinterpret_cast<std::uintptr_t>(address) & ~(os::page_size() - 1);
  unsigned char in = 0;
  EXPECT_EQ(::mincore(reinterpret_cast<void*>(page), 1, &in), 0);
  return (in & 1) != 0;
}
/// Bytes: what the process has in memory, and its page tables.
std::size_t memory_of_process() {
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/self/status", "r"), std::fclose);
  char line[256];
  unsigned long kib = 0;
  std::size_t sum = 0;
  while (std::fgets(line, sizeof line, file.get()) != nullptr) {
    if (std::sscanf(line, "VmRSS: %lu", &kib) == 1 || std::sscanf(line, "VmPTE: %lu", &kib) == 1) {
      sum += kib * 1024;
    }
  }
  return sum;
}

TEST(fiber_stack, sizes_are_whole_pages_and_all_of_them_is_usable) {
  const std::size_t page = os::page_size();
  for (const std::size_t wanted : {std::size_t{1}, page, page + 1, std::size_t{64} << 10}) {
    stack_pool pool({.bytes = wanted, .guard_bytes = wanted});
    const auto s = pool.take();
    ASSERT_TRUE(s);
    EXPECT_EQ(pool.guard_bytes(), (wanted + page - 1) / page * page);
    EXPECT_EQ(pool.stack_bytes(), (wanted + page - 1) / page * page);
    EXPECT_EQ(s->bytes(), pool.stack_bytes());  // of the first one
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(s->low()) % page, 0u);
    EXPECT_EQ(s->top(), s->low() + s->bytes());
    std::memset(s->low(), 1, s->bytes());
    pool.give(*s);
  }
}

TEST(fiber_stack, stacks_do_not_overlap) {
  stack_pool pool({.bytes = 8192});
  const auto all = take_many(pool, 300);
  ASSERT_EQ(all.size(), 300u);
  std::set<std::byte*> lows;
  for (const stack& s : all) lows.insert(s.low());
  ASSERT_EQ(lows.size(), all.size());
  for (auto at = lows.begin(), next = std::next(at); next != lows.end(); ++at, ++next) {
    EXPECT_GE(*next - *at, static_cast<std::ptrdiff_t>(8192 + pool.guard_bytes()));
  }
  give_all(pool, all);
}

TEST(fiber_stack, tops_of_neighbours_are_in_lines_of_their_own) {
  stack_pool large, small({.bytes = 4096});
  const auto all = take_many(large, 64);
  std::set<std::uintptr_t> offsets;
  for (const stack& s : all) {
    EXPECT_LE(s.bytes(), large.stack_bytes());
    EXPECT_GE(s.bytes(), large.stack_bytes() - 960);
    offsets.insert(reinterpret_cast<std::uintptr_t>(s.top()) % os::page_size());
  }
  EXPECT_EQ(offsets.size(), 16u);
  give_all(large, all);
  const auto others = take_many(small, 64);
  for (const stack& s : others) EXPECT_EQ(s.bytes(), 4096u);
  give_all(small, others);
}

TEST(fiber_stack, last_one_given_is_the_next_one_taken_and_kept_its_pages) {
  stack_pool pool;
  const auto a = pool.take().value();
  const auto b = pool.take().value();
  touch(a, 2);
  touch(b, 2);
  pool.give(a);
  pool.give(b);
  EXPECT_TRUE(is_resident(b.top() - 1));
  EXPECT_EQ(pool.take().value().low(), b.low());
  EXPECT_EQ(pool.take().value().low(), a.low());
  EXPECT_EQ(pool.figures().taken, 2u);
  pool.give(a);
  pool.give(b);
}

TEST(fiber_stack, all_free_stacks_may_keep_their_pages) {
  stack_pool pool({.bytes = 8192, .warm_max = SIZE_MAX});
  const auto all = take_many(pool, 3 * 64);
  for (const stack& s : all) touch(s, 1);
  give_all(pool, all);
  EXPECT_EQ(pool.figures().warm, 3 * 64u);
  for (const stack& s : all) EXPECT_TRUE(is_resident(s.top() - 1));
  for (std::size_t i = all.size(); i-- != 0;) {
    ASSERT_EQ(pool.take().value().low(), all[i].low()) << i;
    if (i % 5 == 0) {  // given and taken in between
      pool.give(all[i]);
      ASSERT_EQ(pool.take().value().low(), all[i].low()) << i;
    }
  }
  EXPECT_EQ(pool.figures().warm, 0u);
  give_all(pool, all);
}

TEST(fiber_stack, beyond_warm_max_pages_go_back_at_once) {
  stack_pool pool({.warm_max = 2});
  const auto all = take_many(pool, 5);
  for (const stack& s : all) touch(s, 3);
  give_all(pool, all);
  const auto now = pool.figures();
  EXPECT_EQ(now.warm, 2u);
  EXPECT_EQ(now.taken, 0u);
  EXPECT_EQ(now.cold, 62u);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(is_resident(all[i].top() - 1), i < 2) << i;
    EXPECT_EQ(is_resident(all[i].top() - 1 - 2 * os::page_size()), i < 2) << i;
  }
}

TEST(fiber_stack, large_stack_is_committed_page_by_page) {
  stack_pool pool({.bytes = std::size_t{8} << 20, .warm_max = 0});
  const auto s = pool.take().value();
  std::byte* const middle = s.low() + s.bytes() / 2;
  *middle = std::byte{1};
  EXPECT_TRUE(is_resident(middle));
  EXPECT_FALSE(is_resident(middle + os::page_size()));  // no huge page
  EXPECT_FALSE(is_resident(middle - os::page_size()));
  pool.give(s);
}

TEST(fiber_stack, no_page_of_a_stack_is_huge_whatever_the_system_is_set_to) {
  // On this system a huge page may be made for who asks for one only: the mapping's flags tell.
  stack_pool pool({.bytes = std::size_t{8} << 20, .warm_max = 0});
  const auto s = pool.take().value();
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/self/smaps", "r"), std::fclose);
  ASSERT_TRUE(file);
  char line[512];
  bool is_ours = false;
  std::string flags;
  while (flags.empty() && std::fgets(line, sizeof line, file.get()) != nullptr) {
    unsigned long from = 0, to = 0;
    if (std::sscanf(line, "%lx-%lx ", &from, &to) == 2) {
      const auto at = reinterpret_cast<std::uintptr_t>(s.low());
      is_ours = at >= from && at < to;
    } else if (is_ours && std::strncmp(line, "VmFlags:", 8) == 0) {
      flags = line;
    }
  }
  pool.give(s);
  if (flags.empty()) GTEST_SKIP() << "no flags of mappings in /proc/self/smaps";
  EXPECT_NE(flags.find(" nh"), std::string::npos) << flags;
}

TEST(fiber_stack, trim_gives_back_pages_and_address_space) {
  stack_pool pool;
  const auto all = take_many(pool, 65);  // two slabs
  const auto kept = all[64];
  const std::size_t slab = slab_bytes(pool);
  EXPECT_EQ(pool.figures().reserved_bytes, 2 * slab);
  for (const stack& s : all) touch(s, 1);
  for (std::size_t i = 0; i < 64; ++i) pool.give(all[i]);
  EXPECT_EQ(pool.figures().warm, 64u);
  pool.trim();
  auto now = pool.figures();
  EXPECT_EQ(now.warm, 0u);
  EXPECT_EQ(now.taken, 1u);
  EXPECT_EQ(now.cold, 63u);
  EXPECT_EQ(now.reserved_bytes, slab);
  EXPECT_TRUE(is_resident(kept.top() - 1));
  pool.give(kept);
  pool.trim();
  now = pool.figures();
  EXPECT_EQ(now.reserved_bytes, 0u);
  EXPECT_EQ(now.cold, 0u);
  const auto again = pool.take();
  ASSERT_TRUE(again);
  touch(*again, 1);
  pool.give(*again);
}

TEST(fiber_stack, pool_at_the_edge_of_a_slab_keeps_one_bare_slab_and_no_more) {
  stack_pool pool({.warm_max = 0});
  const std::size_t slab = slab_bytes(pool);
  const auto all = take_many(pool, 4 * 64);
  EXPECT_EQ(pool.figures().reserved_bytes, 4 * slab);
  give_all(pool, all);
  EXPECT_EQ(pool.figures().reserved_bytes, slab);
  EXPECT_EQ(pool.figures().cold, 64u);
}

TEST(fiber_stack, more_than_taken_max_are_refused_and_counted) {
  stack_pool pool({.taken_max = 3});
  const auto all = take_many(pool, 3);
  const auto more = pool.take();
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error(), errc::too_large);
  EXPECT_EQ(pool.figures().refused, 1u);
  EXPECT_EQ(pool.figures().taken, 3u);
  pool.give(all[1]);
  const auto again = pool.take();
  EXPECT_TRUE(again);
  give_all(pool, all);
}

// --- guards -----------------------------------------------------------------------------------------

class fiber_stack_guard : public ::testing::TestWithParam<bool> {
 protected:
  stack_options options() const { return {.guards_by_protection = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(both_kinds, fiber_stack_guard, ::testing::Bool());

TEST_P(fiber_stack_guard, access_below_a_stack_ends_the_program) {
  stack_pool pool(options());
  const auto all = take_many(pool, 64);
  for (const stack& s : {all.front(), all[31], all.back()}) {
    EXPECT_SEGV(*(static_cast<volatile std::byte*>(s.low()) - 1) = std::byte{1});
    EXPECT_SEGV(*(static_cast<volatile std::byte*>(s.low()) - pool.guard_bytes()) = std::byte{1});
    *s.low() = std::byte{1};
  }
  give_all(pool, all);
}

TEST_P(fiber_stack_guard, guard_is_still_there_after_pages_went_back) {
  stack_options o = options();
  o.warm_max = 0;
  stack_pool pool(o);
  const auto a = pool.take().value();
  const auto b = pool.take().value();
  touch(a, pool.stack_bytes() / os::page_size());
  pool.give(a);
  const auto again = pool.take().value();
  ASSERT_EQ(again.low(), a.low());
  EXPECT_SEGV(*(static_cast<volatile std::byte*>(a.low()) - 1) = std::byte{1});
  pool.give(again);
  pool.give(b);
}

TEST_P(fiber_stack_guard, address_in_a_guard_names_its_stack) {
  stack_pool pool(options());
  const auto all = take_many(pool, 130);
  for (const stack& s : all) {
    for (const std::byte* at : {s.low() - 1, s.low() - pool.guard_bytes()}) {
      const auto hit = pool.find_guard(at);
      ASSERT_TRUE(hit);
      EXPECT_EQ(hit->low(), s.low());
      EXPECT_EQ(hit->top(), s.top());
    }
    EXPECT_FALSE(pool.find_guard(s.low()));
    EXPECT_FALSE(pool.find_guard(s.top() - 1));
  }
  int local = 0;
  EXPECT_FALSE(pool.find_guard(&local));
  EXPECT_FALSE(pool.find_guard(nullptr));
  give_all(pool, all);
}

#if !WEFT_TSAN && !WEFT_ASAN
__attribute__((noinline)) int recurse(int depth) {
  volatile char frame[512] = {};
  asm volatile("" : : "r"(frame) : "memory");
  frame[0] = static_cast<char>(depth);
  return depth == 0 ? frame[0] : recurse(depth - 1) + frame[0];
}

TEST_P(fiber_stack_guard, context_that_recurses_too_deep_hits_the_guard) {
  const auto overflow = [&] {
    stack_pool pool(options());
    const auto s = pool.take().value();
    context here;
    static context* back = &here;
    context deep(
        s.low(), s.bytes(),
        [](void*) -> context& {
          recurse(1'000'000);
          return *back;
        },
        nullptr);
    context::switch_to(here, deep);
  };
  EXPECT_SEGV(overflow());
}

__attribute__((noinline)) int touch_the_far_end_of_a_large_frame() {
  volatile char frame[28 << 10];  // from a stack of 16 KiB into the next but for its guard
  asm volatile("" : : "r"(frame) : "memory");  // all of it: not only the byte that is used
  frame[0] = 1;
  return frame[0];
}

TEST_P(fiber_stack_guard, frame_of_many_pages_does_not_jump_over_the_guard) {
  const auto jump = [&] {
    stack_options o = options();
    o.bytes = context::stack_bytes_min;
    stack_pool pool(o);
    const auto below = pool.take().value();
    const auto s = pool.take().value();
    if (below.low() > s.low()) std::_Exit(1);
    context here;
    static context* back = &here;
    context deep(
        s.low(), s.bytes(),
        [](void*) -> context& {
          touch_the_far_end_of_a_large_frame();
          return *back;
        },
        nullptr);
    context::switch_to(here, deep);
    std::_Exit(2);  // it wrote into the neighbour
  };
  EXPECT_SEGV(jump());
}
#endif

TEST(fiber_stack, pools_with_guards_by_protection_share_what_there_is_for_them) {
  const std::size_t most = os::mappings_max() / 4;
  if (most > 100'000) GTEST_SKIP() << "vm.max_map_count is large here: " << os::mappings_max();
  fiber_test::turns::common_pool().trim();
  const stack_options o{.bytes = 4096, .warm_max = 0, .guards_by_protection = true};
  stack_pool b(o);
  {
    stack_pool a(o);
    const auto of_a = take_many(a, most / 2);
    ASSERT_EQ(of_a.size(), most / 2);
    const auto of_b = take_many(b, most);
    EXPECT_LE(of_b.size(), most - most / 2);
    EXPECT_GT(of_b.size() + 2 * 64, most - most / 2);
    give_all(b, of_b);
    give_all(a, of_a);
  }
  const auto of_b = take_many(b, most);  // what is gone counts no more
  EXPECT_GT(of_b.size() + 64, most);
  give_all(b, of_b);
}

TEST(fiber_stack, guards_by_protection_leave_half_of_the_mappings_to_others) {
  const std::size_t most = os::mappings_max() / 4;
  if (most > 100'000) GTEST_SKIP() << "vm.max_map_count is large here: " << os::mappings_max();
  fiber_test::turns::common_pool().trim();
  stack_pool pool({.bytes = 4096, .warm_max = 0, .guards_by_protection = true});
  const auto all = take_many(pool, most + 1);
  EXPECT_LE(all.size(), most);
  EXPECT_GT(all.size(), most - 64);
  const auto more = pool.take();
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error(), errc::too_large);
  EXPECT_EQ(pool.figures().taken, all.size());
  give_all(pool, all);
  const auto again = take_many(pool, all.size());  // slabs that went back count no more
  EXPECT_EQ(again.size(), all.size());
  give_all(pool, again);
}

// --- much, and too much -----------------------------------------------------------------------------

/// A context that is parked with little on its stack. Under TSan there may not be so many.
struct parked {
  stack on;
  context self;
  context& thread;
  static context& run(void* argument) {
    auto& p = *static_cast<parked*>(argument);
    context::switch_to(p.self, p.thread);
    return p.thread;
  }
  parked(const stack& s, context& back) : on(s), self(s.low(), s.bytes(), run, this), thread(back) {
    context::switch_to(thread, self);
  }
};

TEST(fiber_stack, hundred_thousand_parked_contexts_take_a_page_each_and_little_more) {
#if WEFT_TSAN
  constexpr std::size_t count = 1'000;
#elif WEFT_ASAN
  constexpr std::size_t count = 10'000;
#else
  const char* const asked = std::getenv("WEFT_PARKED_CONTEXTS");
  const std::size_t count = asked != nullptr ? std::strtoull(asked, nullptr, 10) : 100'000;
  if (count == 0) GTEST_SKIP() << "WEFT_PARKED_CONTEXTS asks for none: " << asked;
#endif
  stack_pool pool({.warm_max = 0});
  if (count > os::mappings_max() / 4) {  // without marks in the page table there may not be so many
    void* const page = os::reserve_pages(os::page_size()).value();
    const bool known = os::guard_pages(page, os::page_size(), os::guard_kind::advice).has_value();
    ASSERT_TRUE(os::release_pages(page, os::page_size()));
    if (!known) GTEST_SKIP() << "this kernel has no MADV_GUARD_INSTALL (Linux 6.13)";
  }
  std::vector<std::unique_ptr<parked>> all;
  all.reserve(count);
  context here;
  const std::size_t before = memory_of_process();
  for (std::size_t i = 0; i < count; ++i) {
    const auto s = pool.take();
    if (!s) {  // this machine has no room for so many: those that there are go back
      for (auto& p : all) {
        context::switch_to(here, p->self);
        pool.give(p->on);
      }
      GTEST_SKIP() << s.error().message() << " at " << i << " of " << count;
    }
    all.push_back(std::make_unique<parked>(*s, here));
  }
  const std::size_t each = (memory_of_process() - before) / count;
  RecordProperty("bytes_each", static_cast<int>(each));
  std::printf("%zu parked contexts: %zu bytes each\n", count, each);
#if !WEFT_TSAN && !WEFT_ASAN
  // A page of stack, 32 entries of a page table, 20 bytes of the slab's, and this test's own record of it.
  EXPECT_LE(each, os::page_size() + 450);
#endif
  for (auto& p : all) {
    context::switch_to(here, p->self);
    EXPECT_TRUE(p->self.is_over());
    pool.give(p->on);
  }
  EXPECT_EQ(pool.figures().taken, 0u);
  EXPECT_EQ(pool.figures().reserved_bytes, slab_bytes(pool));
#if !WEFT_TSAN && !WEFT_ASAN
  all.clear();
  EXPECT_LE(memory_of_process(), before + count * 400);
#endif
}

#if !WEFT_TSAN && !WEFT_ASAN  // their own memory is counted, too
TEST(fiber_stack, refused_address_space_is_a_result_and_the_pool_goes_on) {
  // In a process of its own, whose limit it is.
  const auto refused = [] {
    constexpr std::size_t bytes = std::size_t{4} << 20;
    stack_pool pool({.bytes = bytes, .warm_max = 0});
    auto all = take_many(pool, 64);
    if (all.size() != 64) std::_Exit(1);
    rlimit limit = {};
    ::getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = 64 * bytes + 64 * bytes / 2;  // no second slab
    if (::setrlimit(RLIMIT_AS, &limit) != 0) std::_Exit(2);
    const auto more = pool.take();
    if (more || more.error() != std::errc::not_enough_memory) std::_Exit(3);
    const auto now = pool.figures();
    if (now.taken != 64 || now.refused != 1 || now.cold != 0) std::_Exit(4);
    if (now.reserved_bytes != slab_bytes(pool)) std::_Exit(5);
    pool.give(all.back());
    const auto again = pool.take();
    if (!again || again->low() != all.back().low()) std::_Exit(6);
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_AS, &limit) != 0) std::_Exit(7);
    const auto now_possible = pool.take();
    if (!now_possible) std::_Exit(8);
    pool.give(*now_possible);
    give_all(pool, all);
    std::_Exit(0);
  };
  EXPECT_EXIT(refused(), ::testing::ExitedWithCode(0), "");
}

TEST(fiber_stack, where_memory_is_locked_guards_are_made_by_protection) {
  // Marks are refused in locked memory; whatever the kernel, a guard guards.
  const auto locked = [] {
    // Refused to some: then it is as everywhere.
    const bool is_locked = ::mlockall(MCL_FUTURE) == 0;
    std::fprintf(stderr, is_locked ? "memory is locked\n" : "memory may not be locked\n");
    stack_pool pool({.bytes = 4096, .warm_max = 0});
    const auto s = pool.take();
    if (!s) {  // more than may be locked: that is a result, too
      const bool refused = s.error() == std::errc::resource_unavailable_try_again ||
                           s.error() == std::errc::not_enough_memory;
      std::fprintf(stderr, "no stack: %s\n", s.error().message().c_str());
      std::_Exit(refused ? 0 : 1);
    }
    touch(*s, 1);
    pool.give(*s);
    const auto again = pool.take();
    if (!again) std::_Exit(2);
    *(static_cast<volatile std::byte*>(again->low()) - 1) = std::byte{1};
  };
  const auto is_right = [](int status) {
    // Exit code 0 proves nothing of guards: so which one it was is told.
    std::printf("where memory is locked: %s\n",
                WIFEXITED(status) ? "no stack was to be had" : "the guard was hit");
    return ::testing::KilledBySignal(SIGSEGV)(status) || ::testing::ExitedWithCode(0)(status);
  };
  EXPECT_EXIT(locked(), is_right, "memory is locked|memory may not be locked");
}
#endif

// --- misuse -----------------------------------------------------------------------------------------

TEST(fiber_stack_death, misuse_is_told) {
  const auto twice = [](std::size_t warm_max) {
    stack_pool pool({.warm_max = warm_max});
    const auto s = pool.take().value();
    const auto other = pool.take().value();
    pool.give(s);
    pool.give(s);
    pool.give(other);
  };
  EXPECT_DEATH(twice(0), "a stack was given back twice");
  EXPECT_DEATH(twice(8), "a stack was given back twice");
  const auto to_another = [] {
    stack_pool a, b;
    b.give(b.take().value());
    b.give(a.take().value());
  };
  EXPECT_DEATH(to_another(), "a stack was given to a pool that it is not of");
  EXPECT_DEATH(stack_pool().give(stack()), "a stack was given to a pool that it is not of");
  EXPECT_DEATH(static_cast<void>(stack_pool().take()), "before all of them were given back");
}

TEST(fiber_stack, how_deep_one_has_been_is_seen_to_a_page_and_the_deepest_is_kept) {
  stack_pool pool;
  const std::size_t page = os::page_size();
  const auto all = take_many(pool, 3);
  for (std::size_t i = 0; i < 3; ++i) {  // their tops are at different places of a page
    EXPECT_EQ(all[i].high_watermark(), 0u);
    touch(all[i], 5 + i);
    EXPECT_GT(all[i].high_watermark(), (4 + i) * page);
    EXPECT_LE(all[i].high_watermark(), (5 + i) * page);
  }
  *(all[0].low()) = std::byte{1};
  EXPECT_EQ(all[0].high_watermark(), all[0].bytes())
      << "the pages between need not have been touched";
  EXPECT_EQ(pool.figures().deepest_bytes, 0u) << "nobody has looked";
  pool.note_depth(all[1]);
  EXPECT_EQ(pool.figures().deepest_bytes, all[1].high_watermark());
  const std::size_t deepest = all[2].high_watermark();
  pool.give(all[2]);
  pool.trim();
  EXPECT_EQ(pool.figures().deepest_bytes, deepest) << "who gives memory back looks";
  pool.note_depth(all[1]);
  EXPECT_EQ(pool.figures().deepest_bytes, deepest);
  pool.give(all[0]);
  pool.give(all[1]);
}

// Down from the top, so that a stack that may be 64 GiB deep is not looked at whole.
TEST(fiber_stack, look_at_how_deep_one_has_been_ends_at_a_gap_of_a_mebibyte) {
  constexpr std::size_t mebibyte = 1 << 20;
  stack_pool pool({.bytes = 4 * mebibyte});
  const auto one = pool.take();
  ASSERT_TRUE(one.has_value());
  const auto touch_at = [&](std::size_t deep) { *(one->top() - deep) = std::byte{1}; };
  const auto is_seen = [&](std::size_t deep) { return one->high_watermark() >= deep; };
  touch(*one, 1);
  std::size_t deep = mebibyte / 2;
  touch_at(deep);
  EXPECT_TRUE(is_seen(deep)) << "a large array that was not written to";
  touch_at(deep += mebibyte - 2 * os::page_size());
  EXPECT_TRUE(is_seen(deep));
  touch_at(3 * mebibyte + mebibyte / 2);
  EXPECT_FALSE(is_seen(3 * mebibyte)) << "the gap is two MiB";
  EXPECT_TRUE(is_seen(deep));
  pool.give(*one);
}

#if WEFT_ASAN
__attribute__((noinline)) void keep_on(const stack& s) {
  *reinterpret_cast<void**>(s.low()) = std::malloc(100);
}

TEST(fiber_stack, what_only_a_taken_stack_points_to_is_no_leak) {
  stack_pool pool;
  const auto s = pool.take().value();
  keep_on(s);
  EXPECT_EQ(__lsan_do_recoverable_leak_check(), 0);
  std::free(*reinterpret_cast<void**>(s.low()));
  pool.give(s);
}

TEST(fiber_stack_death, what_is_on_a_free_stack_is_poisoned) {
  stack_pool pool;
  const auto s = pool.take().value();
  touch(s, 1);
  pool.give(s);
  EXPECT_DEATH(*static_cast<volatile std::byte*>(s.top() - 8) = std::byte{1}, "use-after-poison");
}
#endif

TEST(fiber_stack, threads_share_a_pool) {
  stack_pool pool({.bytes = 4096, .warm_max = 8});
  const auto work = [&](std::byte mark) {
    for (int i = 0; i < 300; ++i) {
      const auto mine = take_many(pool, 20);
      ASSERT_EQ(mine.size(), 20u);
      for (const stack& s : mine) *(s.top() - 1) = mark;
      for (const stack& s : mine) {
        ASSERT_EQ(*(s.top() - 1), mark);
        pool.give(s);
      }
    }
  };
  std::thread other(work, std::byte{1});
  work(std::byte{2});
  other.join();
  const auto now = pool.figures();
  EXPECT_EQ(now.taken, 0u);
  EXPECT_EQ(now.refused, 0u);
  EXPECT_EQ((now.warm + now.cold) % 64, 0u);
  EXPECT_EQ((now.warm + now.cold) / 64 * slab_bytes(pool), now.reserved_bytes);
}

}  // namespace
}  // namespace weft
