// debugger: what a debugger stops in. check.py breaks at stop_here(), and where a preempted fiber gives way, and
// looks at the stack.
#include <weft/weft.hpp>

#include <chrono>
#include <cstdio>

namespace {

using namespace std::chrono_literals;

volatile int seen = 0;

}  // namespace

// Not inlined, and not the last call of its caller: each is to be a frame.
#define FRAME [[gnu::noinline]]

extern "C" FRAME void stop_here() { seen = seen + 1; }

FRAME void inner_of_fiber() {
  stop_here();
  seen = seen + 1;
}
FRAME void outer_of_fiber() {
  weft::await(weft::sleep_for(1ms));  // it has left its stack, and come back
  inner_of_fiber();
  seen = seen + 1;
}

FRAME weft::task<> task_in_fiber() {
  co_await weft::yield_now();
  stop_here();
}
FRAME void fiber_with_task() {
  weft::await(task_in_fiber());
  seen = seen + 1;
}

WEFT_PREEMPTIBLE void computes(bool* over) {
  // A call that is not inlined, as of std::atomic in a debug build, would not be in the section.
  while (!__atomic_load_n(over, __ATOMIC_RELAXED)) {
  }
}
FRAME void fiber_that_computes(bool* over) {
  weft::preemptible(computes, over);
  seen = seen + 1;
}
weft::task<> says_that_it_is_over(bool* over) {
  __atomic_store_n(over, true, __ATOMIC_RELAXED);
  co_return;
}

weft::task<> program() {
  co_await weft::go(outer_of_fiber);
  co_await weft::go(fiber_with_task);
  bool over = false;
  auto computing = weft::go(fiber_that_computes, &over);
  auto other = weft::spawn(says_that_it_is_over, &over);
  co_await computing;
  co_await other;
  std::printf("ended\n");
}

// It is asked to give way after half of that, and loses its worker after all of it: while the debugger stops it, time goes on.
int main() { return weft::run(program(), {.workers = 1, .preempt_after = 2s}); }
