// preempt: takes the processor from what runs on a stack of its own, at any instruction of a function that
// stands in the section `weft_preemptible`. Internal: programs use preemptible.hpp of weft/runtime.
//
//   Threads  any
//   Cost     a signal for nothing 2.2 us; to give way and come back 2.7 us, and 4 KiB of the stack
//   Memory   no byte of the heap
//   Limits   x86-64 with XSAVEC. Elsewhere, and under what cannot see it (why_not()), nobody is preempted, and all
//            else stays as it is: regions have to look for themselves whether they are due
//   After    Go's asynchronous preemption: a call is pushed on the stack that was interrupted
//
// Protocol, and what may stand in the section: docs/internals/preemption.md
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/base/config.hpp"

namespace weft::detail {

struct stack_bounds {
  const std::byte* low = nullptr;  // nullptr: there is none
  const std::byte* top = nullptr;
};

/// What the handler asks of whoever runs contexts. Both are called on the thread that was interrupted.
struct preempt_calls {
  /// In the handler: the stack of what is to give way now. It may look at what no code of the section writes.
  stack_bounds (*due)() noexcept;
  /// On that stack, outside of the handler, with all registers saved. Returns when it is its turn again,
  /// perhaps on another thread. It must not throw: nothing in the section expects it.
  void (*give_way)() noexcept;
};

class preemption {
 public:
  /// Why nobody is preempted on this machine, or in this process; nullptr: there is no reason.
  static const char* why_not() noexcept;
  /// From now on `calls` are asked; the handler of SIGURG is installed at the first call. Result: whether
  /// anybody is preempted.
  static bool use(const preempt_calls& calls) noexcept;
  /// The calling thread takes the signal, on a stack for handlers, if there is memory for one.
  static void open_this_thread() noexcept;
  /// Sends the signal. A thread that is not of this process, any more, is no error.
  static void interrupt(std::uint64_t thread) noexcept;
};

struct preempt_figures {
  std::uint64_t calls_pushed = 0;  // ever, of this process
};
/// For tests and benchmarks.
preempt_figures preempt_statistics() noexcept;

}  // namespace weft::detail
