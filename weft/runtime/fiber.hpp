// fiber: a job's stack and what runs on it. Internal: programs use go.hpp and await.hpp.
//
// Whoever resumes a fiber is a thread that runs a job: it comes in through a coroutine handle, that of a
// fiber_wait, and gets out of it the handle to go on with. So to the rest of the library a fiber
// that waits is a coroutine that waits.
//
//   Threads  one runs it at a time; which one may change while it waits. All that wakes it is ordered by the
//            job's own protocol (job.cpp); there is no other
//   Memory   the object stands at the top of its own stack
//
// Invariants: top of fiber.cpp
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>

#include "weft/fiber/context.hpp"
#include "weft/fiber/preempt.hpp"
#include "weft/fiber/stack.hpp"
#include "weft/runtime/fiber_job.hpp"

namespace weft::detail {

class fiber_wait;

class fiber {
 public:
  /// Throws std::bad_alloc: there is no stack.
  static fiber& make(std::size_t stack_bytes, root_job& owner, const fiber_calls& calls);
  fiber(const fiber&) = delete;
  fiber& operator=(const fiber&) = delete;
  /// The last use of it, on another stack.
  static void give_back(fiber& over) noexcept;

  /// On the stack of a thread: runs it until it waits or is over. Result: what to resume.
  WEFT_ALWAYS_INLINE std::coroutine_handle<> go_on() noexcept;

  // On its own stack.
  /// Leaves it; `w` is begun then, on the thread's stack. Returns when that has ended.
  WEFT_ALWAYS_INLINE void wait_in(fiber_wait& w) noexcept;
  [[noreturn]] void unwind();
  // Of regions, which nest (preemptible.hpp).
  void enter_region() noexcept;
  void leave_region() noexcept;

  /// Of one that waits, by who runs its job: calls look(with), where an unwinder finds what is on its stack.
  void visit(void (*look)(void*), void* with) noexcept { context_.visit(look, with); }

  root_job& owner() const noexcept { return owner_; }
  bool is_unwinding() const noexcept { return unwinding_; }
  stack on() const noexcept { return stack_; }

  /// What runs on the calling thread's processor now, on its own stack; nullptr: no fiber.
  static fiber* running() noexcept;

 private:
  fiber(stack on, std::size_t usable, root_job& owner, const fiber_calls& calls) noexcept;
  ~fiber() = default;
  static context& main(void* self);
  static void tell_of_overflow(const void* address) noexcept;
  static stack_bounds to_give_way() noexcept;
  static void give_way() noexcept;
  static void open_to_signals(bool open) noexcept;

  context context_;
  stack stack_;
  root_job& owner_;
  const fiber_calls& calls_;
  context* thread_ = nullptr;     // I1
  fiber_wait* begins_ = nullptr;  // I2
  unsigned regions_ = 0;          // I4; stays 0 where nobody is preempted
  bool unwinding_ = false;
};

}  // namespace weft::detail
