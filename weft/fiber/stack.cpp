// Words
//   A slab is the address space of 64 stacks, each a guard and the usable pages above it. Of a slab a stack
//   is cold (free, without pages), warm (free, on the pool's list), taken, or cooling (on its way to cold).
//   A slab is bare when all of its stacks are cold.
// Invariants
//   I1  A slab's bits are its cold stacks. It is on `partial_` while it has one, at the end if it is bare.
//   I2  Each stack of a slab that is on the lists counts once: taken + warm + cooling + cold = 64 * slabs.
//       One that cools is nobody's; the system is called for it without the lock. It is not counted as
//       taken, or others would be refused at taken_max while a stack is given back or trimmed.
//   I3  A slab is released when it is bare, except for one such slab, so that a pool at the edge of a slab
//       does not map and release it by turns. Several threads may each map one at a time: who mapped one
//       looks whether it is one too many. Only what the system would not take back stays besides.
//   I4  What describes slabs, and the list of warm stacks, stands in the heap: a page of a free stack would
//       be committed for it. The list needs no memory of its own, whatever warm_max is.
// Orderings: all by the lock. The count of the process's protected guards orders nothing.
//
// Guards: marks in the page table where the kernel has them, since a million guards by mprotect would be two
// million mappings. Where it refuses them (older than 6.13, or memory that is locked) the pool changes to
// mprotect for good, and all pools together stop at a quarter of vm.max_map_count stacks: half of the mappings
// are the rest of the program's.
//
// A guard is 16 pages, not one: frames of some thousand bytes are common (formatting, paths), and address space
// is not scarce. Of either kind: which one it is shows when the first slab is mapped, and a longer range
// for mprotect is no mapping more.
//
// Address space goes back although it costs no memory: the page table of a stack that was ever used does, one
// page for 16 stacks.
//
// Rejected
//   MADV_FREE: pages that count as the process's until memory is short, so that nobody sees what is in use.
//   Links in free stacks: see I4; and a stray write below a fiber's frames would be the pool's.
#include "weft/fiber/stack.hpp"

#include <bit>
#include <memory>
#include <new>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/os/memory.hpp"
#include "weft/os/stack_pages.hpp"

#if WEFT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

namespace weft {
namespace detail {

struct stack_slab : list_hook<stack_pool::of_pool>, list_hook<stack_pool::with_cold> {
  using in_pool = list_hook<stack_pool::of_pool>;
  using in_partial = list_hook<stack_pool::with_cold>;

  static constexpr std::size_t stacks_of_slab = 64;
  static constexpr std::uint64_t all = ~std::uint64_t{0};

  const stack_pool* owner = nullptr;  // so that who gives a stack to another pool is told
  std::byte* base = nullptr;
  std::uint64_t cold = all;  // I1
  std::uint64_t warm = 0;    // so that who gives a stack twice is told
  bool by_protection = false;
  stack_pool::place
      warm_below[stacks_of_slab];  // of a warm stack: the one that was given before it
};

}  // namespace detail

namespace {

constexpr std::size_t stacks_of_slab = detail::stack_slab::stacks_of_slab;
// Stacks are whole pages apart, so their tops would all be in the same few sets of the nearest cache. Those
// of neighbours are these steps apart: 1000 fibers in turns take 14 ns each, where it was 20.
constexpr std::size_t spread_steps = 16;
constexpr std::size_t spread_from = std::size_t{32} << 10;  // of smaller stacks it would be much
constexpr std::size_t locking_tries_max = 1 << 20;  // about 40 ms of a thread that is in a handler
constexpr std::size_t bytes_max = std::size_t{1} << 40;  // so that sums of sizes do not overflow

std::size_t whole_pages(std::size_t bytes, std::size_t page) noexcept {
  WEFT_ASSERT(bytes != 0 && bytes <= bytes_max,
              "a stack has between 1 byte and 1 TiB, and so has its guard");
  return (bytes + page - 1) & ~(page - 1);
}

// Stacks with a guard by mprotect, of all pools: the mappings that these cost are the process's.
atomic<std::size_t> protected_stacks;

/// False: a slab more would be too many.
bool count_protected_slab() noexcept {
  const std::size_t most = os::mappings_max() / 4;
  std::size_t seen = protected_stacks.load(order::relaxed);
  do {
    if (seen + stacks_of_slab > most) return false;
  } while (!protected_stacks.compare_exchange(seen, seen + stacks_of_slab, order::relaxed,
                                              order::relaxed));
  return true;
}
void uncount_protected_slab() noexcept {
  protected_stacks.fetch_sub(stacks_of_slab, order::relaxed);
}

// ASan: what is on a free stack is nobody's. LSan: what a taken one points to is in use. (TSan needs no
// word: the lock orders who gives before who takes.)
void poison([[maybe_unused]] const stack& s) noexcept {
#if WEFT_ASAN
  __asan_poison_memory_region(s.low(), s.bytes());
#endif
}
void unpoison([[maybe_unused]] const stack& s) noexcept {
#if WEFT_ASAN
  __asan_unpoison_memory_region(s.low(), s.bytes());
#endif
}
void open_to_use([[maybe_unused]] const stack& s) noexcept {
  unpoison(s);
#if WEFT_ASAN
  __lsan_register_root_region(s.low(), s.bytes());
#endif
}
void close_to_use([[maybe_unused]] const stack& s) noexcept {
#if WEFT_ASAN
  __lsan_unregister_root_region(s.low(), s.bytes());
#endif
  poison(s);
}

}  // namespace

stack_pool::stack_pool(const stack_options& options) noexcept
    : guard_bytes_(whole_pages(options.guard_bytes, os::page_size())),
      bytes_(whole_pages(options.bytes, os::page_size())),
      stride_(bytes_ + guard_bytes_),
      taken_max_(options.taken_max),
      warm_max_(options.warm_max),
      guards_by_protection_(options.guards_by_protection) {}

stack_pool::~stack_pool() {
  WEFT_ASSERT(taken_ + cooling_ == 0,
              "a pool of stacks was destroyed before all of them were given back");
  trim();
  // What the system would not take back (see unmap()) stays address space without pages.
  slabs_.for_each([](slab& s) {
    s.in_pool::unlink();
    s.in_partial::unlink();
    delete &s;
  });
}

WEFT_ALWAYS_INLINE stack stack_pool::stack_of(slab& s, std::size_t number) const noexcept {
  stack made;
  made.low_ = s.base + number * stride_ + guard_bytes_;
  made.bytes_ = bytes_;
  if (bytes_ >= spread_from) made.bytes_ -= number % spread_steps * cache_line;
  made.number_ = number % stacks_of_slab;
  made.slab_ = &s;
  return made;
}

/// Under the lock; there is one, and the caller counts it (I2).
WEFT_ALWAYS_INLINE stack stack_pool::take_warm() noexcept {
  slab& s = *warm_top_.in;
  const std::size_t number = warm_top_.number;
  s.warm &= ~(std::uint64_t{1} << number);
  warm_top_ = s.warm_below[number];
  --warm_count_;
  if (warm_unused_ > warm_count_) warm_unused_ = warm_count_;
  return stack_of(s, number);
}

result<stack> stack_pool::take() noexcept {
  stack found;
  {
    spin_guard guard(lock_);
    if (WEFT_LIKELY(warm_count_ != 0 && taken_ < taken_max_)) {
      found = take_warm();
      ++taken_;
    }
  }
  if (WEFT_UNLIKELY(found.slab_ == nullptr)) return take_slowly();
  open_to_use(found);
  return found;
}

WEFT_NOINLINE result<stack> stack_pool::take_slowly() noexcept {
  stack found;
  std::error_code why;
  slab* mapped = nullptr;
  bool has_mapped = false;
  for (;;) {
    {
      spin_guard guard(lock_);
      if (mapped != nullptr) put_in(*mapped);
      if (taken_ >= taken_max_) {
        why = make_error_code(errc::too_large);
      } else if (take_free(found)) {
        ++taken_;
        why = {};  // who could not map may have been given to meanwhile
        break;
      }
      if (why) {
        ++refused_;
        break;
      }
    }
    const auto made = map_slab();
    mapped = made ? *made : nullptr;
    if (made) has_mapped = true;
    if (!made) why = made.error();
  }
  if (has_mapped) {  // I3
    if (slab* const bare = take_bare(1)) release(*bare);
  }
  if (why) return std::unexpected(why);
  open_to_use(found);
  return found;
}

/// Under the lock; the caller counts it (I2). False: there is no free one.
bool stack_pool::take_free(stack& found) noexcept {
  if (warm_count_ != 0) {
    found = take_warm();
    return true;
  }
  if (partial_.empty()) return false;
  slab& s = partial_.front();
  if (s.cold == slab::all) --bare_;
  const auto number = static_cast<std::size_t>(std::countr_zero(s.cold));
  s.cold &= s.cold - 1;
  if (s.cold == 0) s.in_partial::unlink();  // I1
  --cold_;
  found = stack_of(s, number);
  return true;
}

void stack_pool::give(stack free) noexcept {
  WEFT_ASSERT(free.slab_ != nullptr && free.slab_->owner == this,
              "a stack was given to a pool that it is not of");
  slab& s = *free.slab_;
  const std::size_t number = free.number_;
  const std::uint64_t bit = std::uint64_t{1} << number;
  {
    spin_guard guard(lock_);
    WEFT_ASSERT(((s.cold | s.warm) & bit) == 0, "a stack was given back twice");
    close_to_use(free);  // before it can be anybody else's
    --taken_;
    if (warm_count_ < warm_max_) {
      s.warm |= bit;
      s.warm_below[number] = warm_top_;
      warm_top_ = {&s, number};
      ++warm_count_;
      return;
    }
    ++cooling_;
  }
  cool(free);
}

std::size_t stack::high_watermark() const noexcept {
  const std::size_t spread = bytes_ % os::page_size();  // the last page is not all the stack's
  const std::size_t whole = spread == 0 ? bytes_ : bytes_ + os::page_size() - spread;
  const std::size_t touched = os::touched_bytes(low_, whole);
  return touched != 0 ? touched - (whole - bytes_) : 0;
}

void stack_pool::note_depth(const stack& taken) noexcept {
  const std::size_t deep = taken.high_watermark();
  spin_guard guard(lock_);
  if (deep > deepest_) deepest_ = deep;
}

/// With time for it: nobody waits.
void stack_pool::look_and_cool(stack free) noexcept {
  note_depth(free);
  cool(free);
}

/// A cooling stack becomes a cold one.
void stack_pool::cool(stack free) noexcept {
  os::forget_reserved_pages(free.low(), bytes_);
  slab& s = *free.slab_;
  {
    spin_guard guard(lock_);
    if (s.cold == 0) {
      partial_.push_front(s);  // I1; those that are nearly bare are left to become so
    }
    s.cold |= std::uint64_t{1} << free.number_;
    ++cold_;
    --cooling_;
    if (s.cold != slab::all) return;
    s.in_partial::unlink();
    partial_.push_back(s);
    if (++bare_ <= 1) return;  // I3
    take_out(s);
  }
  release(s);
}

void stack_pool::trim() noexcept {
  // As many as there are now: who gives and takes meanwhile would keep it here for ever.
  std::size_t warm = 0;
  {
    spin_guard guard(lock_);
    warm = warm_count_;
  }
  for (; warm != 0; --warm) {
    stack free;
    {
      spin_guard guard(lock_);
      if (warm_count_ == 0) break;
      take_free(free);
      ++cooling_;
    }
    look_and_cool(free);
  }
  release_bare();
}

bool stack_pool::trim_unused(std::size_t most) noexcept {
  stack free;
  for (; most != 0 && take_unused(free); --most) look_and_cool(free);
  bool none_is_warm = false;
  {
    spin_guard guard(lock_);
    if (warm_unused_ != 0) return true;
    warm_unused_ = warm_count_;
    none_is_warm = warm_count_ == 0;
  }
  if (none_is_warm) release_bare();
  return false;
}

/// False: none was left over.
bool stack_pool::take_unused(stack& found) noexcept {
  spin_guard guard(lock_);
  if (warm_unused_ == 0) return false;
  const std::size_t left = warm_unused_ - 1;
  take_free(found);  // there is a warm one: there were as many all the time
  warm_unused_ = left;
  ++cooling_;
  return true;
}

/// As many as there are now: who maps meanwhile would keep it here for ever.
void stack_pool::release_bare() noexcept {
  std::size_t bare = 0;
  {
    spin_guard guard(lock_);
    bare = bare_;
  }
  intrusive_list<slab, with_cold> refused;  // aside, so that the others have their turn
  for (; bare != 0; --bare) {
    slab* const s = take_bare(0);
    if (s == nullptr) break;
    if (!unmap(*s)) refused.push_back(*s);
  }
  spin_guard guard(lock_);
  while (!refused.empty()) put_in(refused.pop_front());
}

stack_figures stack_pool::figures() const noexcept {
  spin_guard guard(lock_);
  return {.taken = taken_,
          .warm = warm_count_,
          .cooling = cooling_,
          .cold = cold_,
          .refused = refused_,
          .reserved_bytes = slab_count_ * slab_bytes(),
          .deepest_bytes = deepest_};
}

std::optional<stack> stack_pool::find_guard(const void* address) const noexcept {
  const auto* const at = static_cast<const std::byte*>(address);
  for (std::size_t i = 0; !lock_.try_lock(); ++i) {
    if (i == locking_tries_max) return std::nullopt;  // who is in the handler may hold it
    cpu_pause();
  }
  std::optional<stack> found;
  slabs_.any_of([&](const slab& s) {
    if (at < s.base || at >= s.base + slab_bytes()) return false;
    const auto offset = static_cast<std::size_t>(at - s.base);
    if (offset % stride_ < guard_bytes_) found = stack_of(const_cast<slab&>(s), offset / stride_);
    return true;
  });
  lock_.unlock();
  return found;
}

// --- slabs ----------------------------------------------------------------------------------------

std::size_t stack_pool::slab_bytes() const noexcept { return stacks_of_slab * stride_; }

/// Under the lock.
void stack_pool::put_in(slab& s) noexcept {
  slabs_.push_back(s);
  partial_.push_back(s);
  ++slab_count_;
  ++bare_;
  cold_ += stacks_of_slab;
}

/// Under the lock; of a bare one.
void stack_pool::take_out(slab& s) noexcept {
  s.in_pool::unlink();
  s.in_partial::unlink();
  --slab_count_;
  --bare_;
  cold_ -= stacks_of_slab;
}

/// A bare slab off all lists, if there are more than `most`; null: there are not.
detail::stack_slab* stack_pool::take_bare(std::size_t most) noexcept {
  spin_guard guard(lock_);
  if (bare_ <= most) return nullptr;
  slab& s = partial_.back();  // I1
  take_out(s);
  return &s;
}

result<detail::stack_slab*> stack_pool::map_slab() noexcept {
  std::unique_ptr<slab> made(new (std::nothrow) slab);
  if (!made) return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
  const auto pages = os::reserve_pages(slab_bytes());
  if (!pages) return std::unexpected(pages.error());
  made->owner = this;
  made->base = static_cast<std::byte*>(*pages);
  const auto guarded = install_guards(*made);
  if (!guarded) {
    static_cast<void>(os::release_pages(made->base, slab_bytes()));  // nothing in it was touched
    return std::unexpected(guarded.error());
  }
  for (std::size_t i = 0; i < stacks_of_slab; ++i) poison(stack_of(*made, i));
  return made.release();
}

result<void> stack_pool::install_guards(slab& s) noexcept {
  const auto install = [&](os::guard_kind kind) noexcept {
    result<void> done;
    for (std::size_t i = 0; i < stacks_of_slab && done; ++i) {
      done = os::guard_pages(s.base + i * stride_, guard_bytes_, kind);
    }
    return done;
  };
  bool protection = false;
  {
    spin_guard guard(lock_);
    protection = guards_by_protection_;
  }
  if (!protection) {
    const auto done = install(os::guard_kind::advice);
    if (done || done.error() != std::errc::invalid_argument) return done;
  }
  {
    spin_guard guard(lock_);
    guards_by_protection_ = true;
  }
  if (!count_protected_slab()) return std::unexpected(make_error_code(errc::too_large));
  s.by_protection = true;
  const auto done = install(os::guard_kind::protection);
  if (!done) uncount_protected_slab();  // who called unmaps what has guards already
  return done;
}

/// Of one that is on no list. True: it is gone. False: the process has as many mappings as it may, and to
/// cut this one out of a larger one would be one more. It can still be used.
bool stack_pool::unmap(slab& s) noexcept {
  for (std::size_t i = 0; i < stacks_of_slab; ++i) unpoison(stack_of(s, i));
  if (!os::release_pages(s.base, slab_bytes())) {
    for (std::size_t i = 0; i < stacks_of_slab; ++i) poison(stack_of(s, i));
    return false;
  }
  if (s.by_protection) uncount_protected_slab();
  delete &s;
  return true;
}

/// The same; what is not gone is back on the lists.
void stack_pool::release(slab& s) noexcept {
  if (unmap(s)) return;
  spin_guard guard(lock_);
  put_in(s);
}

}  // namespace weft
