// Invariants
//   I1  saved_ is null while a context runs and after it is over, else it is what the switch saved.
//       A switch to one that runs, or is over, is refused by that (as far as one thread can see).
//   I2  threads_ of what runs points to the exceptions of the thread that it runs on. Each switch
//       hands the pointer on, so it is looked up only for a thread's own context, or once a thread
//       by who keeps an of_thread.
//   I3  All that is per thread is exchanged before the stack pointer changes, on the thread that both
//       contexts share for that moment. After the switch nothing of a thread is touched, so it does
//       not matter which thread it is.
// Orderings: none of its own. Who hands a context to another thread orders the two.
//
// The sanitizers hear of each switch: ASan needs the bounds of the stack that comes (and has frames of
// its own for each), TSan has a history for each. A thread's bounds are not asked for: ASan says them
// when the thread's stack is left, and LSan is told to look through it until it is come back to.
//
// An exception that would leave the function of a context is told by the personality routine of the
// frame below it, in the search that comes before any unwinding: the stack is whole in the core.
//
// Rejected
//   To intercept __cxa_get_globals(), as userver does: one program, one such layer; ours would meet others.
//   To look them up in each switch: a call into the C++ library, and again after it, on another thread.
//   To switch only the stack and leave exceptions to who catches: silently wrong, a fiber rethrows another's.
#include "weft/fiber/context.hpp"

#include <cxxabi.h>
#include <unwind.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "weft/base/assert.hpp"

#if WEFT_ASAN
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if WEFT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#define WEFT_HIDDEN __attribute__((visibility("hidden")))

// The functions in the middle of which the stack changes. TSan notes each call and return on a stack of its
// own, which changes there, too; ASan has locals elsewhere, and they are gone before the last switch.
#if WEFT_TSAN && defined(__clang__)
#define WEFT_NOT_INSTRUMENTED __attribute__((disable_sanitizer_instrumentation))
#elif WEFT_TSAN
#define WEFT_NOT_INSTRUMENTED __attribute__((no_sanitize_thread))
#elif WEFT_ASAN
#define WEFT_NOT_INSTRUMENTED __attribute__((no_sanitize_address))
#else
#define WEFT_NOT_INSTRUMENTED
#endif

// In context_<processor>.S.
extern "C" {
WEFT_HIDDEN void weft_context_switch(void** save, void* to) noexcept;
WEFT_HIDDEN void weft_context_visit(void* saved, void (*look)(void*), void* with) noexcept;
WEFT_HIDDEN void* weft_context_prepare(void* top, void (*begin)(void*), void* argument) noexcept;
WEFT_HIDDEN std::size_t weft_context_shadow_stack() noexcept;

/// Of the frame that calls a context's function. It is asked whether that catches what is thrown.
WEFT_HIDDEN _Unwind_Reason_Code weft_context_personality(int, _Unwind_Action actions,
                                                         _Unwind_Exception_Class,
                                                         _Unwind_Exception*, _Unwind_Context*) {
  if ((actions & _UA_FORCE_UNWIND) != 0) {
    std::fputs(
        "weft: a thread was ended (pthread_exit, pthread_cancel) in the middle of a fiber: "
        "return from the fiber's function instead, and end threads outside of fibers\n",
        stderr);
    std::abort();
  }
  std::fputs(
      "weft: an exception leaves the function of a fiber: catch it there, or pass it on as a "
      "std::exception_ptr. (Of a fiber that is stopped: the stop met a noexcept function, or a "
      "destructor that awaits outside of a shield_scope.)\n",
      stderr);
  return _URC_CONTINUE_UNWIND;  // to the end of the stack, and so to std::terminate()
}
}

namespace weft {

// __cxa_get_globals() is declared `const`: only a call that is not inlined is a call each time.
WEFT_NOINLINE context::exceptions* context::of_this_thread() noexcept {
  asm volatile("");
  return reinterpret_cast<exceptions*>(abi::__cxa_get_globals());
}

struct context::entry {
  /// The first thing on a context's stack. Not noexcept: see the personality routine.
  static void begin(void* made) {
    auto& self = *static_cast<context*>(made);
    self.arrive();
    leave(self, self.run_(self.argument_));
  }

 private:
  WEFT_NOT_INSTRUMENTED static void leave(context& self, context& next) noexcept {
    self.run_ = nullptr;
    void* const to = hand_over(self, next);
#if WEFT_ASAN
    next.came_from_ = &self;
    __sanitizer_start_switch_fiber(nullptr, next.low_, next.bytes_);  // null: for good
#endif
#if WEFT_TSAN
    __tsan_switch_to_fiber(next.tsan_fiber_, 0);
#endif
    // Not into `self`, which stays as I1 has it, and whose owner may destroy it from here on.
    void* nowhere;
    weft_context_switch(&nowhere, to);
    __builtin_unreachable();
  }
};

context::of_thread context::of_thread::look_up() noexcept {
  detail::refuse_shadow_stack(weft_context_shadow_stack());
  of_thread here;
  here.exceptions_ = of_this_thread();
  return here;
}

#if WEFT_TSAN
void context::name_to_tsan() noexcept { tsan_fiber_ = __tsan_get_current_fiber(); }
#endif

context::context(void* low, std::size_t bytes, function run, void* argument) noexcept
    : run_(run), argument_(argument) {
  WEFT_ASSERT(bytes >= stack_bytes_min, "a stack has at least context::stack_bytes_min bytes");
  WEFT_ASSERT(run != nullptr, "a context needs a function to run");
  saved_ = weft_context_prepare(static_cast<char*>(low) + bytes, entry::begin, this);
#if WEFT_ASAN
  low_ = low;
  bytes_ = bytes;
#endif
#if WEFT_TSAN
  tsan_fiber_ = __tsan_create_fiber(0);
#endif
}

// ASan: the frames that it keeps elsewhere (fake_stack_) are lost with a context that was left in the
// middle. They go when the context is left for good, which only what runs on its stack can do.
#if WEFT_ASAN || WEFT_TSAN
context::~context() {
#if WEFT_ASAN
  if (is_thread_ && saved_ != nullptr) __lsan_unregister_root_region(low_, bytes_);
#endif
#if WEFT_TSAN
  if (!is_thread_) __tsan_destroy_fiber(tsan_fiber_);
#endif
}
#endif

/// All of a switch but the stack. Result: the stack pointer to go on with.
WEFT_NOT_INSTRUMENTED WEFT_ALWAYS_INLINE void* context::hand_over(context& from,
                                                                  context& to) noexcept {
  void* const saved = to.saved_;
  exceptions* const threads = from.threads_;
  WEFT_ASSERT(saved != nullptr,  // I1
              "a switch to a context that runs, or whose function has returned; switch only to one "
              "that was left");
  WEFT_CHECK_SLOW(threads == of_this_thread(),  // I2
                  "a switch from a context that does not run on this thread; construct a thread's "
                  "context on the thread, and name what runs as `from`");
  WEFT_ASSERT(!to.is_thread_ || to.threads_ == threads,
              "a switch to the context of another thread; a fiber goes back to the context of the "
              "thread that it is on now");
  to.saved_ = nullptr;
  from.exceptions_ = *threads;
  *threads = to.exceptions_;
  to.threads_ = threads;
  return saved;
}

/// After a switch, before anything else on this stack.
void context::arrive() noexcept {
#if WEFT_ASAN
  const void* low = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(fake_stack_, &low, &bytes);
  // Nobody else can have `came_from_` yet: it is handed on by what runs after this.
  came_from_->low_ = low;
  came_from_->bytes_ = bytes;
  // LSan looks through the stack that a thread is on, and pools see to theirs. The thread's own would be
  // forgotten while it runs a fiber. (What ASan keeps elsewhere of a stack that was left, it does not
  // look through, whose ever it is: detect_stack_use_after_return=0 keeps all on the stack.)
  if (came_from_->is_thread_) __lsan_register_root_region(low, bytes);
  if (is_thread_) __lsan_unregister_root_region(low_, bytes_);
#endif
}

WEFT_NOT_INSTRUMENTED void context::switch_to(context& from, context& to) noexcept {
  void* const saved = hand_over(from, to);
#if WEFT_ASAN
  to.came_from_ = &from;
  __sanitizer_start_switch_fiber(&from.fake_stack_, to.low_, to.bytes_);
#endif
#if WEFT_TSAN
  __tsan_switch_to_fiber(to.tsan_fiber_, 0);
#endif
  weft_context_switch(&from.saved_, saved);
#if WEFT_ASAN
  from.arrive();
#endif
}

// No switch: the thread goes on being itself, as in a signal's handler. So the sanitizers are not told, and
// `look` throws nothing through it.
void context::visit(void (*look)(void*), void* with) noexcept {
  WEFT_ASSERT(saved_ != nullptr,
              "a look at a context that runs, or is over; look at one that was left");  // I1
  weft_context_visit(saved_, look, with);
}

namespace detail {

void refuse_shadow_stack(std::size_t pointer) noexcept {
  // The switch jumps where a return is expected. The object file does not claim to know shadow stacks,
  // so that the linker and the loader leave them off; here they were forced on.
  WEFT_ASSERT(pointer == 0,
              "fibers do not run on a thread with a shadow stack (CET): start the program with "
              "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off, or link without -z shstk");
}

}  // namespace detail

}  // namespace weft
