// work_deque: nanoseconds of the owner alone and under a thief. Argument: 1 asymmetric, 0 with an
// exchange in pop. Where it says "pair" the time is of a push and its pop.
#include <benchmark/benchmark.h>

#include <thread>
#include <vector>

#include "weft/base/rng.hpp"
#include "weft/os/membarrier.hpp"
#include "weft/queue/work_deque.hpp"

namespace weft {
namespace {

using deque = work_deque<int>;

int item;

bool mode(const benchmark::State& state) {
  return state.range(0) != 0 && os::register_heavy_fence();
}
void heavy() { os::heavy_fence(); }

template <class Deque>
void drain(Deque& d) {
  while (d.pop()) {
  }
}

void pair_alternating(benchmark::State& state) {
  deque d(mode(state));
  for (auto _ : state) {
    d.push(&item);
    benchmark::DoNotOptimize(d.pop());
  }
}
BENCHMARK(pair_alternating)->Arg(1)->Arg(0);

void pair_with_pop_if(benchmark::State& state) {
  deque d(mode(state));
  for (auto _ : state) {
    d.push(&item);
    benchmark::DoNotOptimize(d.pop_if(&item));
  }
}
BENCHMARK(pair_with_pop_if)->Arg(1)->Arg(0);

/// As fork_join calls it, from a depth: there is always something older.
void pair_with_pop_if_above_others(benchmark::State& state) {
  deque d(mode(state));
  int others[8];
  for (int& i : others) d.push(&i);
  for (auto _ : state) {
    d.push(&item);
    benchmark::DoNotOptimize(d.pop_if(&item));
  }
  drain(d);
}
BENCHMARK(pair_with_pop_if_above_others)->Arg(1)->Arg(0);

void pair_in_128_pushes_128_pops(benchmark::State& state) {
  deque d(mode(state));
  while (state.KeepRunningBatch(128)) {
    for (int i = 0; i < 128; ++i) d.push(&item);
    for (int i = 0; i < 128; ++i) benchmark::DoNotOptimize(d.pop());
  }
}
BENCHMARK(pair_in_128_pushes_128_pops)->Arg(1)->Arg(0);

void item_of_a_batch_of_64(benchmark::State& state) {
  deque d(mode(state));
  const std::vector<int*> batch(64, &item);
  while (state.KeepRunningBatch(64)) {
    d.push_batch(batch);
    for (int i = 0; i < 64; ++i) benchmark::DoNotOptimize(d.pop());
  }
}
BENCHMARK(item_of_a_batch_of_64)->Arg(1)->Arg(0);

/// 4 pushes, 2 pops, 1 steal, and so on; the time is of one operation. The thief's fence is left out
/// in the asymmetric mode: membarrier takes microseconds, and this is about the rest.
void mixed_4_push_2_pop_1_steal(benchmark::State& state) {
  deque d(mode(state));
  while (state.KeepRunningBatch(7)) {
    for (int i = 0; i < 4; ++i) d.push(&item);
    for (int i = 0; i < 2; ++i) benchmark::DoNotOptimize(d.pop());
    benchmark::DoNotOptimize(d.steal([] {}));
    if (d.len_hint() > 1000) drain(d);
  }
  drain(d);
}
BENCHMARK(mixed_4_push_2_pop_1_steal)->Arg(1)->Arg(0);

void pop_of_nothing(benchmark::State& state) {
  deque d(mode(state));
  for (auto _ : state) benchmark::DoNotOptimize(d.pop());
}
BENCHMARK(pop_of_nothing)->Arg(1)->Arg(0);

void steal_of_nothing(benchmark::State& state) {
  deque d(mode(state));
  for (auto _ : state) benchmark::DoNotOptimize(d.steal(heavy));
}
BENCHMARK(steal_of_nothing)->Arg(1)->Arg(0);

/// With its fence, uncontended; the time is of one item.
void item_stolen(benchmark::State& state) {
  deque d(mode(state));
  const auto n = static_cast<unsigned>(state.range(1));
  std::vector<int*> batch(2 * n, &item), taken(n);
  while (state.KeepRunningBatch(n)) {
    d.push_batch(batch);
    unsigned got = 0;
    while (got < n) got += d.steal_batch(heavy, taken.data(), n - got);
    benchmark::DoNotOptimize(taken.data());
    drain(d);
  }
}
BENCHMARK(item_stolen)->Args({1, 1})->Args({1, 64})->Args({0, 1})->Args({0, 64});

/// A thief on another core tries all the time.
void pair_under_a_thief(benchmark::State& state) {
  deque d(mode(state));
  atomic<bool> done(false);
  std::uint64_t stolen = 0;
  std::thread thief([&] {
    while (!done.load(order::acquire)) {
      if (d.steal(heavy)) ++stolen;
    }
  });
  for (auto _ : state) {
    d.push(&item);
    d.push(&item);
    benchmark::DoNotOptimize(d.pop());
    benchmark::DoNotOptimize(d.pop());
  }
  done.store(true, order::release);
  thief.join();
  drain(d);
  state.counters["stolen"] =
      benchmark::Counter(static_cast<double>(stolen), benchmark::Counter::kAvgIterations);
}
BENCHMARK(pair_under_a_thief)->Arg(1)->Arg(0)->UseRealTime();

}  // namespace
}  // namespace weft
