// stack_pool: stacks for contexts, by the hundred thousand. Address space for 64 at a time, a guard
// below each, memory only for what was touched.
// Internal: programs start fibers.
//
//   Threads  any; one lock a pool, never held across a system call
//   Cost     take() and give() of a warm stack: the lock, 20 ns. A cold one: a system call, and a page
//            fault for each page that is used
//   Memory   a page for a stack that is used shallowly, 260 bytes of page table and 20 of the heap; a free
//            stack has its pages only if it is one of `warm_max`
//   Errors   no memory, or no address space, is a result; the pool stays as it was
//
// A guard stops what comes into it. A function whose frame is larger than the guard, and that touches the
// far end first, jumps over it and writes into the stack below without a word. Where a program has such
// frames (arrays, alloca), compile it with -fstack-clash-protection: every page is touched in turn then, and
// the smallest guard is enough. (Some distributions' compilers do so by themselves; weft does not ask for it.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "weft/base/intrusive_list.hpp"
#include "weft/base/result.hpp"
#include "weft/base/spin_lock.hpp"

namespace weft {

struct stack_options {
  std::size_t bytes = std::size_t{64} << 10;  // usable, of each; rounded up to pages
  std::size_t warm_max = 256;                 // free stacks that keep their pages
  std::size_t taken_max = SIZE_MAX;           // more are refused
  // Of each guard; rounded up to pages. No frame may be larger, see above. It costs address space and 8
  // bytes of page table a page, whatever kind the guard is.
  std::size_t guard_bytes = std::size_t{64} << 10;
  // Guards by mprotect also where the kernel has better ones: those cost two of the mappings that a process
  // may have (vm.max_map_count), so that all pools together have at most a quarter of that number of them.
  bool guards_by_protection = false;
};

namespace detail {
struct stack_slab;
}

/// One stack of a pool: a handle that is copied, and owns nothing. Below low() is the guard. Of one of 32 KiB
/// or more up to 960 bytes at the top are left out, so that the tops of many do not meet in the cache.
class stack {
 public:
  stack() noexcept = default;
  std::byte* low() const noexcept { return low_; }
  std::size_t bytes() const noexcept { return bytes_; }
  std::byte* top() const noexcept { return low_ + bytes_; }

  /// From the top down to the deepest page that was touched since the stack had none, by whom ever: it may
  /// have been given and taken meanwhile. Of one that is taken. Cost: a system call.
  std::size_t high_watermark() const noexcept;

 private:
  friend class stack_pool;
  std::byte* low_ = nullptr;
  std::size_t bytes_ : 58 = 0;
  std::size_t number_ : 6 = 0;  // in its slab: to work it out takes a division
  detail::stack_slab* slab_ = nullptr;
};

struct stack_figures {
  std::size_t taken;           // stacks
  std::size_t warm;            // free ones that keep their pages
  std::size_t cooling;         // free ones whose pages are on their way back
  std::size_t cold;            // free ones without
  std::size_t refused;         // calls of take() that failed, ever
  std::size_t reserved_bytes;  // address space
  std::size_t deepest_bytes;  // the highest watermark that a look has found, ever; see note_depth()
};

class stack_pool {
 public:
  explicit stack_pool(const stack_options& options = {}) noexcept;
  /// All stacks were given back.
  ~stack_pool();
  stack_pool(const stack_pool&) = delete;
  stack_pool& operator=(const stack_pool&) = delete;

  /// A stack; what stands on it is anything. The last one that was given back first.
  /// Errors: errc::too_large beyond taken_max, and where guards would take more of the process's
  /// mappings than pools may; not_enough_memory, and what else the system says.
  [[nodiscard]] result<stack> take() noexcept;

  /// The stack is free; nothing runs on it, not even who calls this.
  void give(stack free) noexcept;

  /// Stacks that are free now lose their pages, and what is free of address space goes back.
  void trim() noexcept;

  /// Of the free stacks those that nobody needed since the last call that gave false lose their pages, up
  /// to `most` of them. True: there are more, call it again. With the last warm stack address space goes, too.
  [[nodiscard]] bool trim_unused(std::size_t most) noexcept;

  /// Looks how deep a taken stack has been, and keeps the deepest. Those that trimming takes are looked at, too.
  void note_depth(const stack& taken) noexcept;

  stack_figures figures() const noexcept;

  /// Around a fork(): holds the pool still, and lets it go in the parent and in the child.
  void hold() const noexcept { lock_.lock(); }
  void let_go() const noexcept { lock_.unlock(); }

  /// Bytes between guards: what the options said, in whole pages.
  std::size_t stack_bytes() const noexcept { return bytes_; }

  /// Bytes of each guard: what the options said, in whole pages.
  std::size_t guard_bytes() const noexcept { return guard_bytes_; }

  /// The stack whose guard `address` is in: one that overflowed, if it is taken. For a handler of SIGSEGV:
  /// it never sleeps, but spins up to 40 ms for the pool's lock, which the thread that the handler stands
  /// on may hold itself; then it is nullopt, too. It looks at slab after slab.
  std::optional<stack> find_guard(const void* address) const noexcept;

 private:
  struct of_pool;
  struct with_cold;
  friend struct detail::stack_slab;
  using slab = detail::stack_slab;

  result<stack> take_slowly() noexcept;
  stack take_warm() noexcept;
  bool take_free(stack& found) noexcept;
  bool take_unused(stack& found) noexcept;
  void release_bare() noexcept;
  void cool(stack free) noexcept;
  void look_and_cool(stack free) noexcept;
  stack stack_of(slab& s, std::size_t number) const noexcept;
  void put_in(slab& s) noexcept;
  void take_out(slab& s) noexcept;
  slab* take_bare(std::size_t most) noexcept;
  std::size_t slab_bytes() const noexcept;
  result<slab*> map_slab() noexcept;
  result<void> install_guards(slab& s) noexcept;
  bool unmap(slab& s) noexcept;
  void release(slab& s) noexcept;

  // A stack by its slab and its number there.
  struct place {
    slab* in = nullptr;
    std::size_t number = 0;
  };

  const std::size_t guard_bytes_;
  const std::size_t bytes_;   // usable
  const std::size_t stride_;  // with the guard
  const std::size_t taken_max_;
  const std::size_t warm_max_;

  mutable spin_lock lock_;     // all below
  bool guards_by_protection_;  // from the options, or learnt
  place warm_top_;             // the last one given; the one before it stands in its slab
  std::size_t warm_count_ = 0;
  std::size_t warm_unused_ =
      0;  // so many, at least, there were since the last look of trim_unused()
  intrusive_list<slab, of_pool> slabs_;
  intrusive_list<slab, with_cold> partial_;  // bare ones at the end
  std::size_t slab_count_ = 0;
  std::size_t bare_ = 0;  // slabs, all of whose stacks are cold
  std::size_t taken_ = 0;
  std::size_t cooling_ = 0;
  std::size_t cold_ = 0;
  std::size_t refused_ = 0;
  std::size_t deepest_ = 0;  // bytes
};

}  // namespace weft
