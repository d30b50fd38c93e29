// stack_pool: stacks for contexts, by the hundred thousand. Address space for 64 at a time, a guard
// page below each, memory only for what was touched.
// Internal: programs start fibers.
//
//   Threads  any; one lock a pool, never held across a system call
//   Cost     take() and give() of a warm stack: the lock, 20 ns. A cold one: a system call, and a page
//            fault for each page that is used
//   Memory   a page for a stack that is used shallowly, and 140 bytes of page table; a free stack has its
//            pages only if it is one of `warm_max`
//   Errors   no memory, or no address space, is a result; the pool stays as it was
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "weft/base/intrusive_list.hpp"
#include "weft/base/result.hpp"
#include "weft/base/spin_lock.hpp"

namespace weft {

struct stack_options {
  std::size_t bytes = std::size_t{64} << 10;  // usable, of each; rounded up to pages
  std::size_t warm_max = 256;                 // free stacks that keep their pages
  std::size_t taken_max = SIZE_MAX;           // more are refused
  // Guards by mprotect also where the kernel has better ones: those cost two of the mappings that a
  // process may have (vm.max_map_count), so that a pool has at most a quarter of that number of stacks.
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

 private:
  friend class stack_pool;
  std::byte* low_ = nullptr;
  std::size_t bytes_ = 0;
  detail::stack_slab* slab_ = nullptr;
};

struct stack_figures {
  std::size_t taken;           // stacks
  std::size_t warm;            // free ones that keep their pages
  std::size_t cold;            // free ones without
  std::size_t refused;         // calls of take() that failed, ever
  std::size_t reserved_bytes;  // address space
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
  /// mappings than a pool may; not_enough_memory, and what else the system says.
  [[nodiscard]] result<stack> take() noexcept;

  /// The stack is free; nothing runs on it, not even who calls this.
  void give(stack free) noexcept;

  /// Free stacks lose their pages, and what is free of address space goes back.
  void trim() noexcept;

  stack_figures figures() const noexcept;

  /// Bytes between guards: what the options said, in whole pages.
  std::size_t stack_bytes() const noexcept { return bytes_; }

  /// The stack whose guard `address` is in: one that overflowed, if it is taken. For a handler of SIGSEGV:
  /// it waits for nothing. nullopt also if the pool's lock was held all the while.
  std::optional<stack> find_guard(const void* address) const noexcept;

 private:
  struct of_pool;
  struct with_cold;
  friend struct detail::stack_slab;
  using slab = detail::stack_slab;

  bool take_free(stack& found) noexcept;
  void cool(stack free) noexcept;
  stack stack_of(slab& s, std::size_t number) const noexcept;
  std::uint64_t bit_of(const stack& s) const noexcept;
  void put_in(slab& s) noexcept;
  void take_out(slab& s) noexcept;
  result<slab*> map_slab() noexcept;
  result<void> install_guards(slab& s) noexcept;
  void release(slab& s) noexcept;

  const std::size_t page_;
  const std::size_t bytes_;   // usable
  const std::size_t stride_;  // with the guard
  const std::size_t taken_max_;
  const std::size_t protected_max_;  // stacks with a guard by mprotect

  mutable spin_lock lock_;     // all below
  bool guards_by_protection_;  // from the options, or learnt
  std::unique_ptr<stack[]> warm_;
  const std::size_t warm_max_;
  std::size_t warm_count_ = 0;
  intrusive_list<slab, of_pool> slabs_;
  intrusive_list<slab, with_cold> partial_;  // bare ones at the end
  std::size_t slab_count_ = 0;
  std::size_t bare_ = 0;  // slabs, all of whose stacks are cold
  std::size_t taken_ = 0;
  std::size_t cold_ = 0;
  std::size_t refused_ = 0;
  std::size_t protected_ = 0;
};

}  // namespace weft
