// Words
//   A slab is the address space of 64 stacks, each a guard page and the usable pages above it. Of a slab
//   a stack is cold (free, without pages), warm (free, on the pool's list) or taken.
// Invariants
//   I1  A slab's bits are its cold stacks. It is on `partial_` while it has one.
//   I2  A stack is taken from the moment it leaves `warm_` or the bits until it is in one of them again; the
//       calls to the system are made in between, by who has the stack, without the lock.
//   I3  A slab is released when all its stacks are cold, except for one such slab, so that a pool at the
//       edge of a slab does not map and release it by turns. It is off all lists then.
//   I4  What describes slabs stands in the heap: a page of a free stack would be committed for it.
// Orderings: all by the lock.
//
// Guards: marks in the page table where the kernel has them, since a million guards by mprotect would be two
// million mappings. Where it refuses them (older than 6.13, or memory that is locked) the pool changes to
// mprotect for good, and stops at a quarter of vm.max_map_count stacks: half of the mappings are the rest of
// the program's.
//
// Address space goes back although it costs no memory: the page table of a stack that was ever used does, one
// page for 30 stacks.
//
// Rejected
//   MADV_FREE: pages that count as the process's until memory is short, so that nobody sees what is in use.
//   Links in free stacks: see I4; and a stray write below a fiber's frames would be the pool's.
#include "weft/fiber/stack.hpp"

#include <bit>
#include <new>

#include "weft/base/assert.hpp"
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

  static constexpr std::uint64_t all = ~std::uint64_t{0};

  std::byte* base = nullptr;
  std::uint64_t cold = all;  // I1
  std::uint64_t warm = 0;    // so that who gives a stack twice is told
  bool by_protection = false;
};

}  // namespace detail

namespace {

constexpr std::size_t stacks_of_slab = 64;
// Stacks are whole pages apart, so their tops would all be in the same few sets of the nearest cache. Those
// of neighbours are these steps apart: 1000 fibers in turns take 14 ns each, where it was 20.
constexpr std::size_t spread_steps = 16;
constexpr std::size_t spread_max = (spread_steps - 1) * cache_line;
constexpr std::size_t spread_from = std::size_t{32} << 10;  // of smaller stacks it would be much
constexpr std::size_t locking_tries_max = 1 << 20;  // about 40 ms of a thread that is in a handler
constexpr std::size_t bytes_max = std::size_t{1} << 40;  // so that sums of sizes do not overflow

std::size_t whole_pages(std::size_t bytes, std::size_t page) noexcept {
  WEFT_ASSERT(bytes != 0 && bytes <= bytes_max, "a stack has between 1 byte and 1 TiB");
  return (bytes + page - 1) & ~(page - 1);
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
    : page_(os::page_size()),
      bytes_(whole_pages(options.bytes, page_)),
      stride_(bytes_ + page_),
      taken_max_(options.taken_max),
      protected_max_(os::mappings_max() / 4),
      guards_by_protection_(options.guards_by_protection),
      warm_(new(std::nothrow) stack[options.warm_max]),
      warm_max_(warm_ ? options.warm_max : 0) {}

stack_pool::~stack_pool() {
  WEFT_ASSERT(taken_ == 0, "a pool of stacks was destroyed before all of them were given back");
  trim();
  // What the system would not take back (see release()) stays address space without pages.
  slabs_.for_each([](slab& s) {
    s.in_pool::unlink();
    s.in_partial::unlink();
    delete &s;
  });
}

result<stack> stack_pool::take() noexcept {
  slab* mapped = nullptr;
  stack found;
  for (;;) {
    {
      spin_guard guard(lock_);
      if (mapped != nullptr) put_in(*mapped);
      if (taken_ >= taken_max_) {
        ++refused_;
        return std::unexpected(make_error_code(errc::too_large));
      }
      if (take_free(found)) break;
    }
    // Two threads may come here at once; then one slab is there for later.
    const auto made = map_slab();
    if (!made) {
      spin_guard guard(lock_);
      ++refused_;
      return std::unexpected(made.error());
    }
    mapped = *made;
  }
  open_to_use(found);
  return found;
}

/// Under the lock. False: there is no free one.
bool stack_pool::take_free(stack& found) noexcept {
  if (warm_count_ != 0) {
    found = warm_[--warm_count_];
    found.slab_->warm &= ~bit_of(found);
  } else {
    if (partial_.empty()) return false;
    slab& s = partial_.front();
    if (s.cold == slab::all) --bare_;
    const auto number = static_cast<std::size_t>(std::countr_zero(s.cold));
    s.cold &= s.cold - 1;
    if (s.cold == 0) s.in_partial::unlink();  // I1
    --cold_;
    found = stack_of(s, number);
  }
  ++taken_;  // I2
  return true;
}

void stack_pool::give(stack free) noexcept {
  WEFT_ASSERT(free.slab_ != nullptr && free.bytes_ <= bytes_ && free.bytes_ + spread_max >= bytes_,
              "a stack was given to a pool that it is not of");
  {
    spin_guard guard(lock_);
    WEFT_ASSERT(((free.slab_->cold | free.slab_->warm) & bit_of(free)) == 0,
                "a stack was given back twice");
    close_to_use(free);  // before it can be anybody else's
    if (warm_count_ < warm_max_) {
      free.slab_->warm |= bit_of(free);
      warm_[warm_count_++] = free;
      --taken_;
      return;
    }
  }
  cool(free);
}

/// A taken stack becomes a cold one.
void stack_pool::cool(stack free) noexcept {
  os::forget_pages(free.low(), bytes_);
  slab& s = *free.slab_;
  {
    spin_guard guard(lock_);
    if (s.cold == 0)
      partial_.push_front(s);  // I1; those that are nearly bare are left to become so
    s.cold |= bit_of(free);
    ++cold_;
    --taken_;
    if (s.cold != slab::all) return;
    s.in_partial::unlink();
    partial_.push_back(s);
    if (++bare_ <= 1) return;  // I3
    take_out(s);
  }
  release(s);
}

void stack_pool::trim() noexcept {
  for (;;) {
    stack free;
    {
      spin_guard guard(lock_);
      if (warm_count_ == 0) break;
      take_free(free);
    }
    cool(free);
  }
  slab* bare = nullptr;
  {
    spin_guard guard(lock_);
    if (bare_ == 0 || partial_.back().cold != slab::all) return;
    bare = &partial_.back();
    take_out(*bare);
  }
  release(*bare);
}

stack_figures stack_pool::figures() const noexcept {
  spin_guard guard(lock_);
  return {.taken = taken_,
          .warm = warm_count_,
          .cold = cold_,
          .refused = refused_,
          .reserved_bytes = slab_count_ * stacks_of_slab * stride_};
}

std::optional<stack> stack_pool::find_guard(const void* address) const noexcept {
  const auto* const at = static_cast<const std::byte*>(address);
  for (std::size_t i = 0; !lock_.try_lock(); ++i) {
    if (i == locking_tries_max) return std::nullopt;  // who is in the handler may hold it
    cpu_pause();
  }
  std::optional<stack> found;
  slabs_.any_of([&](const slab& s) {
    if (at < s.base || at >= s.base + stacks_of_slab * stride_) return false;
    const auto offset = static_cast<std::size_t>(at - s.base);
    if (offset % stride_ < page_) found = stack_of(const_cast<slab&>(s), offset / stride_);
    return true;
  });
  lock_.unlock();
  return found;
}

// --- slabs ----------------------------------------------------------------------------------------

stack stack_pool::stack_of(slab& s, std::size_t number) const noexcept {
  stack made;
  made.low_ = s.base + number * stride_ + page_;
  made.bytes_ = bytes_;
  if (bytes_ >= spread_from) made.bytes_ -= number % spread_steps * cache_line;
  made.slab_ = &s;
  return made;
}

std::uint64_t stack_pool::bit_of(const stack& s) const noexcept {
  return std::uint64_t{1} << (static_cast<std::size_t>(s.low_ - s.slab_->base) / stride_);
}

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

result<detail::stack_slab*> stack_pool::map_slab() noexcept {
  std::unique_ptr<slab> made(new (std::nothrow) slab);
  if (!made) return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
  const std::size_t size = stacks_of_slab * stride_;
  const auto pages = os::reserve_pages(size);
  if (!pages) return std::unexpected(pages.error());
  made->base = static_cast<std::byte*>(*pages);
  const auto guarded = install_guards(*made);
  if (!guarded) {
    static_cast<void>(os::release_pages(made->base, size));  // nothing in it was touched
    return std::unexpected(guarded.error());
  }
  for (std::size_t i = 0; i < stacks_of_slab; ++i) poison(stack_of(*made, i));
  return made.release();
}

result<void> stack_pool::install_guards(slab& s) noexcept {
  const auto install = [&](os::guard_kind kind) noexcept {
    result<void> done;
    for (std::size_t i = 0; i < stacks_of_slab && done; ++i) {
      done = os::guard_pages(s.base + i * stride_, page_, kind);
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
    if (protected_ + stacks_of_slab > protected_max_) {
      return std::unexpected(make_error_code(errc::too_large));
    }
    protected_ += stacks_of_slab;
    s.by_protection = true;
  }
  const auto done = install(os::guard_kind::protection);
  if (!done) {
    spin_guard guard(lock_);
    protected_ -= stacks_of_slab;
  }
  return done;
}

/// Of one that is on no list.
void stack_pool::release(slab& s) noexcept {
  const std::size_t size = stacks_of_slab * stride_;
  for (std::size_t i = 0; i < stacks_of_slab; ++i) unpoison(stack_of(s, i));
  const auto released = os::release_pages(s.base, size);
  spin_guard guard(lock_);
  if (!released) {  // as many mappings as there may be: it can still be used
    for (std::size_t i = 0; i < stacks_of_slab; ++i) poison(stack_of(s, i));
    put_in(s);
    return;
  }
  if (s.by_protection) protected_ -= stacks_of_slab;
  delete &s;
}

}  // namespace weft
