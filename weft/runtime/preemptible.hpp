// preemptible: computation in a fiber that shares its worker with others although it never waits.
//
//   WEFT_PREEMPTIBLE double sum_of(const double* from, std::size_t n) {       // may be left anywhere
//     double sum = 0;
//     for (std::size_t i = 0; i < n; ++i) sum += from[i];
//     return sum;
//   }
//   auto handle = weft::go([&] { return weft::preemptible(sum_of, data, size); });
//
// A fiber inside of preemptible() whose turn has lasted too long gives way wherever it is in a function
// that is marked, and goes on when its turn comes again; as if it had called await(yield_now()) there, but for
// a stop, which it does not notice before its next await. What is not marked runs on until it returns to
// what is: a library's function, an operator() without the mark, or what the compiler did not inline.
//
// What a marked function must not do, nor what it inlines; nothing checks it:
//   use what is thread-local, errno, or std::this_thread
//   allocate, lock, throw, or touch what belongs to code that does so and is in the middle of it
//   be called back by a function that is not marked and holds a lock, or is in the middle of a change
//   call weft, except for this_task::should_yield() and await(yield_if_due())
// It may call functions that are not marked and do any of this: in them nobody is preempted. It is not called
// inlined, so mark loops, not their bodies.
//
//   Threads  any; elsewhere than in a fiber on a worker it only calls the function
//   Cost     entering and leaving: 9 ns. Giving way: 2.7 us, of which the signal is 2.2. It needs 10 KiB of the fiber's stack (18 with AMX)
//   Signals  SIGURG, whose handler is installed by the first region; one that the program had before is called
//            for each, too. A system call inside of a region may end with EINTR
//   Limits   x86-64 Linux. Elsewhere, with WEFT_PREEMPT=off in the environment, and under valgrind and
//            ThreadSanitizer, nobody is preempted, and a region gives way where it asks: yield_if_due().
//            Turns are asked to end by the runtime's monitor. With scheduling::per_core, current_thread and
//            guest, on virtual time, with preempt_after = 0 or WEFT_HANDOFF=off in the environment, and where the
//            system refused its thread, there is none: regions are not interrupted, and yield_if_due() is never due
#pragma once

#include <functional>
#include <utility>

#include "weft/base/config.hpp"

/// A function that may be left at any instruction. Before a declaration; of a lambda, behind its parameters.
/// Not of inline functions, which GCC refuses, nor of templates, which it leaves unmarked.
#define WEFT_PREEMPTIBLE __attribute__((noinline, section("weft_preemptible")))

namespace weft {

namespace detail {

class fiber;

/// As long as it lives, the fiber that made it is inside of a region. Regions nest.
class preemptible_region {
 public:
  preemptible_region() noexcept;
  ~preemptible_region();
  preemptible_region(const preemptible_region&) = delete;
  preemptible_region& operator=(const preemptible_region&) = delete;

 private:
  fiber* const of_;  // nullptr: no fiber runs here
};

}  // namespace detail

/// Gives what f(args...) gives, which it calls here and now, inside of a region.
template <class F, class... A>
  requires std::invocable<F, A...>
decltype(auto) preemptible(F&& f, A&&... args) {
  const detail::preemptible_region here;
  return std::invoke(std::forward<F>(f), std::forward<A>(args)...);
}

}  // namespace weft
