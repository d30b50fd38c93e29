// preempt: nanoseconds of a signal to the own thread that is for nothing (the program counter is elsewhere), of
// one that is refused in the section, of one that makes a fiber give way and come back, of entering and
// leaving a region, and of asking whether to give way. By the clock of the worker's thread: what others do
// meanwhile is not in it.
#include <benchmark/benchmark.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>

#include "weft/fiber/preempt.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/go.hpp"
#include "weft/runtime/preempt.hpp"
#include "weft/runtime/preemptible.hpp"
#include "weft/runtime/worker.hpp"
#include "weft/runtime/yield_if_due.hpp"

namespace weft {
namespace {

constexpr int each = 20'000;

double thread_seconds() {
  timespec now = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

/// Runs `body`, which does `each` of something, in a fiber.
template <class F>
void measure(benchmark::State& state, F body) {
  if (const char* const why = detail::preemption::why_not()) return state.SkipWithError(why);
  runtime rt({.workers = 1, .preempt_after = std::chrono::milliseconds(0)});  // nobody else asks
  for (auto _ : state) {
    state.SetIterationTime(rt.block_on(rt.go([&body] {
      const double before = thread_seconds();
      body();
      return thread_seconds() - before;
    })));
  }
  state.counters["ns"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * each / 1e9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// In the section, so that the signal comes in it, right behind the system call.
WEFT_PREEMPTIBLE long signal_here(long process, long thread) {
  long result = 0;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(234L), "D"(process), "S"(thread), "d"(23L)
               : "rcx", "r11", "memory");
  return result;
}

template <bool due>
void signal_in_a_region(benchmark::State& state) {
  measure(state, [] {
    auto& turns = detail::current_worker()->current_turn;
    const long process = ::getpid();
    const long thread = static_cast<long>(os::current_thread_id());
    preemptible([&] {
      for (int i = 0; i < each; ++i) {
        if (due) turns.ask_to_end(turns.now());
        signal_here(process, thread);
      }
    });
  });
}
BENCHMARK(signal_in_a_region<false>)->Name("refused_in_a_region")->UseManualTime();
BENCHMARK(signal_in_a_region<true>)->Name("gives_way_and_comes_back")->UseManualTime();

void signal_elsewhere(benchmark::State& state) {
  measure(state, [] {
    const std::uint64_t thread = os::current_thread_id();
    preemptible([&] {
      for (int i = 0; i < each; ++i) detail::preemption::interrupt(thread);
    });
  });
}
BENCHMARK(signal_elsewhere)->UseManualTime();

void region(benchmark::State& state) {
  measure(state, [] {
    for (int i = 0; i < each; ++i) preemptible([] { benchmark::ClobberMemory(); });
  });
}
BENCHMARK(region)->UseManualTime();

void yield_if_not_due(benchmark::State& state) {
  measure(state, [] {
    for (int i = 0; i < each; ++i) await(yield_if_due());
  });
}
BENCHMARK(yield_if_not_due)->UseManualTime();

void should_not_yield(benchmark::State& state) {
  measure(state, [] {
    for (int i = 0; i < each; ++i) benchmark::DoNotOptimize(this_task::should_yield());
  });
}
BENCHMARK(should_not_yield)->UseManualTime();

}  // namespace
}  // namespace weft
