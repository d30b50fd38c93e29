// Orderings
//   P1  pool_for: a made pool, stored (release)  ->  all who look for one: load (acquire): the pool.
//   Pools are never destroyed: fibers, and the handler of SIGSEGV, may outlive every runtime.
#include "weft/runtime/fiber_stacks.hpp"

#include <bit>
#include <new>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/base/time.hpp"
#include "weft/task/frame_trim.hpp"

namespace weft::detail {
namespace {

constexpr unsigned size_bits_min = std::bit_width(fiber_stacks::bytes_min) - 1;
constexpr unsigned size_bits_max = 36;  // 64 GiB
constexpr unsigned pool_count = size_bits_max - size_bits_min + 1;

struct sized_pool {
  explicit sized_pool(unsigned bits) noexcept : stacks({.bytes = std::size_t{1} << bits}) {}
  stack_pool stacks;
  atomic<bool> in_use{false};  // one was taken since the last look. Relaxed: it carries nothing
};

constinit atomic<sized_pool*> pools[pool_count] = {};
constinit spin_lock making;  // of a pool
// When trim() is due; never_ns: no stack was given since all pools were found bare. Relaxed: it carries nothing.
constinit atomic<bool> has_free{false};
constinit atomic<std::int64_t> looked_ns{0};

unsigned index_of(std::size_t bytes) noexcept {
  const unsigned bits = std::bit_width(bytes - 1);
  return bits <= size_bits_min ? 0 : bits - size_bits_min;
}

/// nullptr: no memory.
sized_pool* pool_for(unsigned index) noexcept {
  if (sized_pool* const there = pools[index].load(order::acquire)) return there;  // P1
  auto* const made = new (std::nothrow) sized_pool(index + size_bits_min);
  sized_pool* there = nullptr;
  {
    spin_guard guard(making);
    there = pools[index].load(order::relaxed);
    if (there == nullptr) pools[index].store(made, order::release);  // P1
  }
  if (there == nullptr) return made;
  delete made;
  return there;
}

}  // namespace

result<stack> fiber_stacks::take(std::size_t bytes) noexcept {
  WEFT_ASSERT(bytes != 0 && index_of(bytes) < pool_count,
              "a fiber's stack has between 1 byte and 64 GiB; see spawn_options::stack and "
              "runtime_options::fiber_stack");
  sized_pool* const from = pool_for(index_of(bytes));
  if (from == nullptr) return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
  if (!from->in_use.load(order::relaxed)) from->in_use.store(true, order::relaxed);
  return from->stacks.take();
}

void fiber_stacks::give(stack free) noexcept {
  // Up to 960 bytes were left out at its top.
  pools[index_of(free.bytes())].load(order::acquire)->stacks.give(free);  // P1
  if (!has_free.load(order::relaxed)) has_free.store(true, order::relaxed);
}

std::optional<stack> fiber_stacks::find_guard(const void* address) noexcept {
  for (const auto& each : pools) {
    const sized_pool* const there = each.load(order::acquire);  // P1
    if (there == nullptr) continue;
    if (auto found = there->stacks.find_guard(address)) return found;
  }
  return std::nullopt;
}

std::int64_t fiber_stacks::trim_due_ns(std::int64_t now_ns) noexcept {
  if (!has_free.load(order::relaxed)) return never_ns;
  std::int64_t looked = looked_ns.load(order::relaxed);
  if (looked == 0) {
    // The first look: a period begins. Whoever else does so has nearly the same time.
    looked_ns.store(looked = now_ns, order::relaxed);
  }
  return looked + trim_period_ns;
}

void fiber_stacks::trim(std::int64_t now_ns) noexcept {
  if (trim_due_ns(now_ns) > now_ns) return;
  looked_ns.store(now_ns, order::relaxed);
  has_free.store(
      false, order::relaxed);  // before the pools are looked at: who gives one meanwhile says so
  bool left = false;
  for (auto& each : pools) {
    sized_pool* const there = each.load(order::acquire);  // P1
    if (there == nullptr) continue;
    if (there->in_use.load(order::relaxed)) {
      there->in_use.store(false, order::relaxed);
      left = left || there->stacks.figures().warm != 0;
    } else {
      there->stacks.trim();
    }
  }
  if (left) {
    has_free.store(true, order::relaxed);
  } else {
    looked_ns.store(0, order::relaxed);
  }
}

stack_figures fiber_stacks::figures(std::size_t bytes) noexcept {
  const sized_pool* const there = pools[index_of(bytes)].load(order::acquire);  // P1
  return there != nullptr ? there->stacks.figures() : stack_figures{};
}

}  // namespace weft::detail
