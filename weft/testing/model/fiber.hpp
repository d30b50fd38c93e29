// fiber: a stack of its own for each thread of a model, so that the checker can stop any of them
// between two operations and go on with another, a hundred thousand times a second.
//
//   Threads  one OS thread runs them all
//   Cost     a switch is 14 instructions on x86-64, a swapcontext elsewhere
#pragma once

#include <cstddef>

#include "weft/base/config.hpp"

#if !WEFT_X86_64
#include <ucontext.h>
#endif

namespace weft::model {

class fiber {
 public:
  fiber() noexcept = default;
  fiber(const fiber&) = delete;
  fiber& operator=(const fiber&) = delete;
  ~fiber();

  /// The next switch to this fiber calls `entry` on an empty stack. What stood on the stack before
  /// is forgotten, not unwound: an execution that found a bug is simply dropped.
  void prepare(void (*entry)());
  /// Saves the running context in `this` and goes on with `to`.
  void switch_to(fiber& to) noexcept;

 private:
  static constexpr std::size_t stack_bytes = 256 * 1024;

  void* stack_ = nullptr;  // none for the host's context
#if WEFT_X86_64
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_{};
#endif
};

}  // namespace weft::model
