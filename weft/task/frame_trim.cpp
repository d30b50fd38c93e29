// A pass begins when it is due: blocks at the depot go home, and half of the empty slabs that nobody
// needed since the last pass are to go (all, if they are few). They go in slices, each by whoever
// comes next and has nothing else to do. A pass that leaves too much, or blocks that came home
// meanwhile, make another one due a period later; otherwise nobody is woken again.
//
// Invariants
//   I1  `due` is changed from a time that has come by one thread only, which puts it a period on: so
//       of many workers that wake at that time one does the pass, or the slice, and the others sleep.
//   I2  Who has changed it so, sets it again at the end: to now, if slices are left, or a period on,
//       or never.
// A second thread may be at it, too, if the first takes longer than a period: both keep to `quota`,
// by its lock, and a slab goes only once.
#include "weft/task/frame_trim.hpp"

#include "weft/base/atomic.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/task/frame_pool.hpp"
#include "weft/task/frame_slabs.hpp"

namespace weft {
namespace {

using namespace detail;

constexpr std::size_t slabs_kept = frame_bytes_kept / frame_slab_bytes;
constexpr std::size_t slabs_by_halves_min = 128;  // 8 MiB: fewer go at once

struct trimming {
  atomic<std::int64_t> due_ns{never_ns};  // I1
  spin_lock lock;
  std::size_t quota = 0;  // slabs of this pass that have not gone
};
constinit trimming state;

/// Down to half of what may stay: a program that does little then, and takes a slab or two now and
/// then, is not above it again at once, and has no pass each second.
std::size_t share(std::size_t unneeded) noexcept {
  if (unneeded <= slabs_kept / 2) return 0;
  const std::size_t surplus = unneeded - slabs_kept / 2;
  return surplus <= slabs_by_halves_min ? surplus : surplus / 2;
}

/// How many slabs go now.
std::size_t take_slice() noexcept {
  spin_guard guard(state.lock);
  const std::size_t n = state.quota < trim_slabs_max ? state.quota : trim_slabs_max;
  state.quota -= n;
  return n;
}

void begin_pass() noexcept {
  send_depot_home();
  forget_homecoming();  // our own, too, or there would be one more pass for nothing
  const std::size_t n = share(count_empty_slabs().least);
  note_empty_slabs();
  spin_guard guard(state.lock);
  state.quota = n;
}

bool in_pass() noexcept {
  spin_guard guard(state.lock);
  return state.quota != 0;
}

}  // namespace

namespace detail {

std::int64_t trim_due_ns(std::int64_t now_ns) noexcept {
  const std::int64_t due = state.due_ns.load(order::relaxed);
  if (WEFT_LIKELY(due != never_ns || !have_blocks_come_home())) return due;
  std::int64_t never = never_ns;
  const std::int64_t later = saturating_add_ns(now_ns, trim_period_ns);
  note_empty_slabs();
  if (!state.due_ns.compare_exchange(never, later, order::relaxed, order::relaxed)) {
    return never;  // what another one has set
  }
  return later;
}

void trim_frames(std::int64_t now_ns) noexcept {
  flush_frame_cache();
  std::int64_t due = state.due_ns.load(order::relaxed);
  const std::int64_t later = saturating_add_ns(now_ns, trim_period_ns);
  if (due > now_ns || !state.due_ns.compare_exchange(due, later, order::relaxed, order::relaxed)) {
    return;  // I1
  }
  if (!in_pass()) begin_pass();
  static_cast<void>(forget_empty_slabs(take_slice()));
  if (in_pass()) {  // I2
    state.due_ns.store(now_ns, order::relaxed);
  } else if (count_empty_slabs().now <= slabs_kept) {
    state.due_ns.store(never_ns, order::relaxed);
  }
}

}  // namespace detail

void trim_frame_pool() noexcept {
  flush_frame_cache();
  send_depot_home();
  while (forget_empty_slabs(trim_slabs_max) == trim_slabs_max) {
  }
}

frame_pool_figures frame_pool_now() noexcept {
  const slab_figures slabs = count_slabs();
  const std::size_t depot = depot_bytes();
  return {.mapped_bytes = slabs.mapped_bytes,
          .used_bytes = slabs.used_bytes,
          .empty_bytes = slabs.empty_bytes,
          .out_bytes = slabs.out_bytes > depot ? slabs.out_bytes - depot : 0,
          .depot_bytes = depot};
}

}  // namespace weft
