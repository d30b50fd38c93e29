// context: what runs on a stack of its own, while it does not run, and the switch from one to another.
// Internal: programs start fibers; this is what fibers, and only they, stand on.
//
//   Threads  a context runs on one thread at a time. One with a stack of its own may go on on another
//            thread than the one that left it; whoever hands it over orders the two (a lock, a
//            queue). The context of a thread stays with its thread
//   Cost     5 ns one way: 3 for the registers, 2 for the floating-point modes, the exceptions beside. No
//            system call, no thread-local variable, no lock
//   Memory   56 bytes; on the stack 64 (x86-64) or 176 (AArch64) for what is saved
//
// What a switch keeps: the registers that a callee keeps, the floating-point modes (rounding, masks,
// flush to zero; of the sticky flags nothing is promised), and the exceptions that are caught or on
// their way, with std::uncaught_exceptions(). What it does not: the signal mask, errno,
// thread-local variables: they are the thread's.
//
// A function that switches, and may go on on another thread then, must not keep the address of a
// thread-local variable across it, nor may the compiler: reach such a variable through a function
// that is not inlined, again after each switch. errno is one; so is the thread's id, since compilers take
// pthread_self(), and with it std::this_thread::get_id(), to be the same all through a function.
#pragma once

#include <cstddef>

#include "weft/base/config.hpp"

namespace weft {

class context {
  struct exceptions {  // as the C++ ABI has it for a thread
    void* caught = nullptr;
    unsigned uncaught = 0;
  };

 public:
  /// What runs on a context's stack. The context that it returns is what goes on then, for good.
  /// No exception may leave it: that ends the program, with the stack as it was at the throw.
  using function = context& (*)(void* argument);

  /// What there is to know of a thread before it leaves its own stack. It stays true for the thread's life:
  /// who switches often keeps it.
  class of_thread {
   public:
    constexpr of_thread() noexcept = default;
    /// Of the calling thread. Ends the program if that has a shadow stack.
    static of_thread look_up() noexcept;
    bool is_known() const noexcept { return exceptions_ != nullptr; }

   private:
    friend class context;
    exceptions* exceptions_ = nullptr;
  };

  /// What runs here and now: the place that switch_to() leaves first. On the thread that uses it.
  context() noexcept : context(of_thread::look_up()) {}
  /// The same; `here` is of the calling thread.
  explicit context(of_thread here) noexcept : threads_(here.exceptions_), is_thread_(true) {
#if WEFT_TSAN
    name_to_tsan();
#endif
  }
  /// The first switch to it calls run(argument) on the `bytes` from `low` on, which nobody else uses
  /// until it is over; the floating-point modes are those of here and now.
  context(void* low, std::size_t bytes, function run, void* argument) noexcept;
  /// One that was left in the middle may be destroyed; what stands on its stack then is not.
#if WEFT_ASAN || WEFT_TSAN
  ~context();
#else
  ~context() = default;
#endif
  context(const context&) = delete;
  context& operator=(const context&) = delete;

  /// Leaves `from`, which is what runs now, and goes on with `to`. Returns when somebody switches to
  /// `from`, perhaps on another thread. From then on, and no earlier, is `from` anybody's to switch to:
  /// it is handed on by what `to` does, not before the switch.
  static void switch_to(context& from, context& to) noexcept;

  /// Of one that was left in the middle, by who may switch to it: calls look(with) so that an unwinder in there finds
  /// what it waits in. It stays as it is, and its stack is not used.
  void visit(void (*look)(void*), void* with) noexcept;

  /// Whether its function has returned: nobody can switch to it. It says so a little before the stack
  /// is left. For who runs after that, in the context that the function returned or told by it, the
  /// stack is free and the context may be destroyed; nobody else can tell by this.
  bool is_over() const noexcept { return run_ == nullptr && !is_thread_; }

  /// Enough for a throw that is caught, formatting and a signal's handler, all at once: the first throw
  /// resolves symbols and reads tables. A signal's frame is up to 4 KiB of it (AVX-512); programs that
  /// ask the kernel for AMX (AT_MINSIGSTKSZ is 11 KiB then) need 8 KiB more.
  static constexpr std::size_t stack_bytes_min = std::size_t{16} << 10;

 private:
  struct entry;
  friend struct entry;

  static void* hand_over(context& from, context& to) noexcept;
  static exceptions* of_this_thread() noexcept;
  void arrive() noexcept;
#if WEFT_TSAN
  void name_to_tsan() noexcept;
#endif

  void* saved_ = nullptr;  // the stack pointer; null: it runs, or is over
  // Of the thread that runs it. Written by whoever switches here, so nothing is looked up.
  exceptions* threads_ = nullptr;
  exceptions exceptions_;  // its own, while it does not run
  bool is_thread_ = false;
  function run_ = nullptr;
  void* argument_ = nullptr;
#if WEFT_ASAN
  void* fake_stack_ = nullptr;
  const void* low_ = nullptr;  // null: a thread's, and not left yet
  std::size_t bytes_ = 0;
  context* came_from_ = nullptr;
#endif
#if WEFT_TSAN
  void* tsan_fiber_ = nullptr;
#endif
};

namespace detail {
/// Ends the program if the thread has a shadow stack, whose pointer this is; 0: it has none.
void refuse_shadow_stack(std::size_t pointer) noexcept;
}  // namespace detail

}  // namespace weft
