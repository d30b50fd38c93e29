// Orderings
//   P1  pool_for: a made pool, stored (release)  ->  all who look for one: load (acquire): the pool.
//   Pools are never destroyed: fibers, and the handler of SIGSEGV, may outlive every runtime.
#include "weft/runtime/fiber_stacks.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/base/time.hpp"
#include "weft/os/fork.hpp"
#include "weft/task/frame_trim.hpp"

namespace weft::detail {
namespace {

constexpr unsigned size_bits_min = std::bit_width(fiber_stacks::bytes_min) - 1;
constexpr unsigned size_bits_max = 36;  // 64 GiB
constexpr unsigned pool_count = size_bits_max - size_bits_min + 1;
// A stack beyond costs a system call to give back, and another one, with a page fault, to take: of 10 000 fibers
// at once each took 4.9 us with 256, and takes 0.2. There are never more than there were fibers at once.
constexpr std::size_t warm_max = std::size_t{16} << 10;
constexpr std::size_t trimmed_at_once_max = 256;  // an idle worker is to be back soon

constinit atomic<stack_pool*> pools[pool_count] = {};
constinit spin_lock making;  // of a pool
// When trim() is due; never_ns: no stack was given since all pools were found bare. Relaxed: it carries nothing.
constinit atomic<bool> has_free{false};
constinit atomic<std::int64_t> looked_ns{0};

unsigned index_of(std::size_t bytes) noexcept {
  const unsigned bits = std::bit_width(bytes - 1);
  return bits <= size_bits_min ? 0 : bits - size_bits_min;
}

// A thread may hold one of the locks while another one forks: the child would wait for it for ever.
void before_fork() {
  making.lock();
  for (const auto& each : pools) {
    if (const stack_pool* const there = each.load(order::relaxed)) there->hold();
  }
}
void after_fork() {
  for (const auto& each : pools) {
    if (const stack_pool* const there = each.load(order::relaxed)) there->let_go();
  }
  making.unlock();
}

/// nullptr: no memory.
stack_pool* pool_for(unsigned index) noexcept {
  if (stack_pool* const there = pools[index].load(order::acquire)) return there;  // P1
  [[maybe_unused]] static const bool asked = (os::around_forks(before_fork, after_fork), true);
  auto* const made = new (std::nothrow)
      stack_pool({.bytes = std::size_t{1} << (index + size_bits_min), .warm_max = warm_max});
  stack_pool* there = nullptr;
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
  stack_pool* const from = pool_for(index_of(bytes));
  if (from == nullptr) return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
  return from->take();
}

void fiber_stacks::give(stack free) noexcept {
  // Up to 960 bytes were left out at its top.
  pools[index_of(free.bytes())].load(order::acquire)->give(free);  // P1
  if (!has_free.load(order::relaxed)) has_free.store(true, order::relaxed);
}

void fiber_stacks::note_depth(const stack& taken) noexcept {
  pools[index_of(taken.bytes())].load(order::acquire)->note_depth(taken);  // P1
}

std::optional<stack> fiber_stacks::find_guard(const void* address) noexcept {
  for (const auto& each : pools) {
    const stack_pool* const there = each.load(order::acquire);  // P1
    if (there == nullptr) continue;
    if (auto found = there->find_guard(address)) return found;
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
  // Before the pools are looked at: who gives one meanwhile says so.
  has_free.store(false, order::relaxed);
  bool left = false;
  for (auto& each : pools) {
    stack_pool* const there = each.load(order::acquire);  // P1
    if (there == nullptr) continue;
    if (there->trim_unused(trimmed_at_once_max)) {  // it is still due
      has_free.store(true, order::relaxed);
      return;
    }
    left = left || there->figures().warm != 0;
  }
  if (left) has_free.store(true, order::relaxed);
  looked_ns.store(left ? now_ns : 0, order::relaxed);
}

stack_figures fiber_stacks::figures(std::size_t bytes) noexcept {
  const stack_pool* const there = pools[index_of(bytes)].load(order::acquire);  // P1
  return there != nullptr ? there->figures() : stack_figures{};
}

stack_figures fiber_stacks::figures() noexcept {
  stack_figures sum{};
  for (const auto& each : pools) {
    const stack_pool* const there = each.load(order::acquire);  // P1
    if (there == nullptr) continue;
    const stack_figures f = there->figures();
    sum.taken += f.taken;
    sum.warm += f.warm;
    sum.cooling += f.cooling;
    sum.cold += f.cold;
    sum.refused += f.refused;
    sum.reserved_bytes += f.reserved_bytes;
    sum.deepest_bytes = std::max(sum.deepest_bytes, f.deepest_bytes);
  }
  return sum;
}

}  // namespace weft::detail
