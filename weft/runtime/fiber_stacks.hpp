// fiber_stacks: the stacks of all fibers of the process, one pool for each size. Internal.
//
//   Threads  any
//   Cost     take() and give() of a warm stack: 20 ns
//   Memory   sizes are powers of two: few pools, and one that is there for each. Up to 16 384 free stacks of
//            a size keep their pages, never more than were taken at once
//   Fork     nobody holds a lock at a fork, so that a child can have fibers, too
//   Trim     an idle worker looks once a second, and what of the free stacks was not needed all the while
//            gives its pages back, some at a time
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "weft/fiber/stack.hpp"

namespace weft::detail {

class fiber_stacks {
 public:
  // Less is taken as this: a fiber's own object is to leave context::stack_bytes_min.
  static constexpr std::size_t bytes_min = std::size_t{32} << 10;

  [[nodiscard]] static result<stack> take(std::size_t bytes) noexcept;
  static void give(stack free) noexcept;
  /// Looks how deep a stack has been that is to be given.
  static void note_depth(const stack& taken) noexcept;
  /// For a handler of SIGSEGV: the stack whose guard `address` is in.
  static std::optional<stack> find_guard(const void* address) noexcept;

  /// Units: the monotonic clock. When trim() wants to be called; never_ns: nothing is to be done.
  [[nodiscard]] static std::int64_t trim_due_ns(std::int64_t now_ns) noexcept;
  /// A part of it; as long as it is still due there is more.
  static void trim(std::int64_t now_ns) noexcept;

  /// Of the pool for stacks of that size.
  static stack_figures figures(std::size_t bytes) noexcept;
  /// Of all pools.
  static stack_figures figures() noexcept;
};

}  // namespace weft::detail
