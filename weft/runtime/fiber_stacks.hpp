// fiber_stacks: the stacks of all fibers of the process, one pool for each size. Internal.
//
//   Threads  any
//   Cost     take() and give() of a warm stack: 20 ns
//   Memory   sizes are powers of two: few pools, and one that is there for each
//   Trim     an idle worker looks once a second: a pool of which none was taken for that long gives the pages
//            of its free stacks back
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "weft/fiber/stack.hpp"

namespace weft::detail {

class fiber_stacks {
 public:
  static constexpr std::size_t bytes_min = std::size_t{16} << 10;  // less is taken as this

  [[nodiscard]] static result<stack> take(std::size_t bytes) noexcept;
  static void give(stack free) noexcept;
  /// For a handler of SIGSEGV: the stack whose guard `address` is in.
  static std::optional<stack> find_guard(const void* address) noexcept;

  /// Units: the monotonic clock. When trim() wants to be called; never_ns: nothing is to be done.
  [[nodiscard]] static std::int64_t trim_due_ns(std::int64_t now_ns) noexcept;
  static void trim(std::int64_t now_ns) noexcept;

  /// Of the pool for stacks of that size.
  static stack_figures figures(std::size_t bytes) noexcept;
};

}  // namespace weft::detail
