// How much of its stack a fiber has used: what programs choose spawn_options::stack by.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

#include "weft/base/config.hpp"
#include "weft/os/memory.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/time.hpp"

namespace weft {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t own_size =
    8 * kib * kib;  // no other test has stacks of it: none was used before
constexpr std::size_t deep = 3 * kib * kib;
constexpr std::size_t frames_max = 64 * kib;  // of all that stands around what is measured

/// So many bytes below its caller, each page of them written.
template <std::size_t n>
WEFT_NOINLINE int goes_down() {
  volatile std::byte here[n];
  int pages = 0;
  for (std::size_t at = n; at >= kib; at -= kib) {
    here[at - 1] = std::byte{1};
    ++pages;
  }
  return pages + static_cast<int>(here[n - 1]);
}

TEST(go_depth, a_fiber_asks_how_deep_it_has_been) {
  runtime rt({.workers = 1});
  struct seen {
    std::size_t first, after, end;
  };
  const auto got = rt.block_on(rt.go(spawn_options{.stack = own_size}, [] {
    seen s{};
    s.first = this_task::stack_high_watermark();
    EXPECT_GT(goes_down<deep>(), 0);
    s.after = this_task::stack_high_watermark();
    await(yield_now());
    s.end = this_task::stack_high_watermark();
    return s;
  }));
  EXPECT_GT(got.first, 0u);
  EXPECT_LE(got.first, got.after);
  EXPECT_GE(got.after, deep);
  EXPECT_LE(got.after, deep + frames_max);
  EXPECT_EQ(got.end, got.after) << "it is the deepest, not where the fiber stands";
}

TEST(go_depth, where_there_is_no_fiber_there_is_no_stack_of_one) {
  EXPECT_EQ(this_task::stack_high_watermark(), 0u);
  runtime rt({.workers = 1});
  const auto asks = []() -> task<std::size_t> { co_return this_task::stack_high_watermark(); };
  EXPECT_EQ(rt.block_on(rt.spawn(asks)), 0u);
  EXPECT_EQ(rt.block_on(rt.go([&] { return await(asks()); })), 0u) << "a coroutine is no fiber";
}

TEST(go_depth, the_metrics_tell_the_deepest_and_how_many_there_are) {
  runtime rt({.workers = 1});  // its thread is new, and so its first fiber is looked at
  const std::uint64_t before = rt.metrics().fibers;
  const auto inside = rt.block_on(rt.go(spawn_options{.stack = own_size}, [] {
    EXPECT_GT(goes_down<deep + deep>(), 0);
    return current_metrics();
  }));
  EXPECT_EQ(inside.fibers, before + 1);
  EXPECT_GE(inside.fiber_stacks_reserved_bytes, own_size);
  const auto after = rt.metrics();
  EXPECT_EQ(after.fibers, before);
  EXPECT_GE(after.fiber_stacks_free, 1u);
  EXPECT_GE(after.fiber_stack_high_watermark_bytes, deep + deep);
  EXPECT_LE(after.fiber_stack_high_watermark_bytes, own_size);
}

}  // namespace
}  // namespace weft
