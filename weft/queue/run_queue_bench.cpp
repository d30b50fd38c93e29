// run_queue: nanoseconds of the owner alone, of a thief alone, and of both. The targets of the project's
// performance plan: push + pop 6 ns, an item of a half that is stolen 0.6 ns.
#include "weft/queue/run_queue.hpp"

#include <benchmark/benchmark.h>

#include <thread>

namespace weft {
namespace {

struct item {
  item* next = nullptr;
};
using queue = run_queue<item>;

item items[queue::capacity];

/// Only a thief that is descheduled in the middle makes the queue look full; then the item is let go.
struct overflow {
  void push_batch(item*, item*, unsigned) noexcept {}
} sink;

void drain(queue& q) {
  while (q.pop()) {
  }
}

void push_and_pop(benchmark::State& state) {
  queue q;
  for (auto _ : state) {
    q.push_back(&items[0], sink);
    benchmark::DoNotOptimize(q.pop());
  }
}
BENCHMARK(push_and_pop);

void push_and_pop_of_128_together(benchmark::State& state) {
  queue q;
  while (state.KeepRunningBatch(128)) {
    for (int i = 0; i < 128; ++i) q.push_back(&items[i], sink);
    for (int i = 0; i < 128; ++i) benchmark::DoNotOptimize(q.pop());
  }
}
BENCHMARK(push_and_pop_of_128_together);

/// The time is of an item. Two queues hold 128 and 64 items; the shorter one's owner takes half of the
/// longer one, which leaves them as they were, the other way round. The item that steal_into() gives by
/// hand is pushed again, and that is in the time. Both ends are this thread's: how long cache lines
/// travel between cores is not in it.
void item_of_a_stolen_half(benchmark::State& state) {
  queue longer, shorter;
  for (int i = 0; i < 128; ++i) longer.push_back(&items[i], sink);
  for (int i = 128; i < 192; ++i) shorter.push_back(&items[i], sink);
  while (state.KeepRunningBatch(128)) {
    shorter.push_back(longer.steal_into(shorter), sink);
    longer.push_back(shorter.steal_into(longer), sink);
  }
  if (longer.len_hint() != 128) state.SkipWithError("not a half was stolen");
  drain(longer), drain(shorter);
}
BENCHMARK(item_of_a_stolen_half);

void steal_of_nothing(benchmark::State& state) {
  queue mine, empty;
  for (auto _ : state) benchmark::DoNotOptimize(empty.steal_into(mine));
}
BENCHMARK(steal_of_nothing);

/// A thief on another core tries all the time.
void push_and_pop_under_a_thief(benchmark::State& state) {
  queue q;
  atomic<bool> done(false);
  std::uint64_t stolen = 0;
  std::thread thief([&] {
    queue mine;
    while (!done.load(order::acquire)) {
      if (q.steal_into(mine)) ++stolen;
      while (mine.pop()) ++stolen;
    }
  });
  for (auto _ : state) {
    q.push_back(&items[0], sink);
    q.push_back(&items[1], sink);
    benchmark::DoNotOptimize(q.pop());
    benchmark::DoNotOptimize(q.pop());
  }
  done.store(true, order::release);
  thief.join();
  drain(q);
  state.counters["stolen"] =
      benchmark::Counter(static_cast<double>(stolen), benchmark::Counter::kAvgIterations);
}
BENCHMARK(push_and_pop_under_a_thief)->UseRealTime();

}  // namespace
}  // namespace weft
