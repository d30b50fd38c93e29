// go: nanoseconds of a fiber from go() to its join (target: 150), of two that hand a number to and fro, and
// the same of jobs that are coroutines. One worker: no thread is woken.
#include "weft/runtime/go.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <utility>

#include "weft/channel/mpmc.hpp"
#include "weft/runtime/time.hpp"

namespace weft {
namespace {

constexpr int each =
    10'000;  // a call of block_on(), which wakes the worker's thread, is little beside

void count(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * each);
  state.counters["ns"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * each / 1e9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

task<> nothing() { co_return; }

void go_and_join(benchmark::State& state) {
  runtime rt({.workers = 1});
  for (auto _ : state) {
    rt.block_on(rt.spawn([]() -> task<> {
      for (int i = 0; i < each; ++i) {
        auto handle = go([] {});
        co_await handle;
      }
    }));
  }
  count(state);
}
BENCHMARK(go_and_join)->UseRealTime();

void go_and_join_in_a_fiber(benchmark::State& state) {
  runtime rt({.workers = 1});
  for (auto _ : state) {
    rt.block_on(rt.go([] {
      for (int i = 0; i < each; ++i) await(go([] {}));
    }));
  }
  count(state);
}
BENCHMARK(go_and_join_in_a_fiber)->UseRealTime();

void spawn_and_join(benchmark::State& state) {
  runtime rt({.workers = 1});
  for (auto _ : state) {
    rt.block_on(rt.spawn([]() -> task<> {
      for (int i = 0; i < each; ++i) {
        auto handle = spawn(nothing);
        co_await handle;
      }
    }));
  }
  count(state);
}
BENCHMARK(spawn_and_join)->UseRealTime();

void yield_in_a_fiber(benchmark::State& state) {
  runtime rt({.workers = 1});
  for (auto _ : state) {
    rt.block_on(rt.go([] {
      for (int i = 0; i < each; ++i) await(yield_now());
    }));
  }
  count(state);
}
BENCHMARK(yield_in_a_fiber)->UseRealTime();

/// A round: a number there and back, through channels without room.
void ping_pong_of_fibers(benchmark::State& state) {
  runtime rt({.workers = static_cast<unsigned>(state.range(0))});
  const unsigned other = static_cast<unsigned>(state.range(0)) - 1;
  for (auto _ : state) {
    auto [ping_to, ping_from] = channel<int>(0);
    auto [pong_to, pong_from] = channel<int>(0);
    auto pong = rt.go(spawn_options{.worker = other},
                      [tx = std::move(pong_to), rx = std::move(ping_from)]() mutable {
                        while (const auto got = await(rx.recv())) {
                          if (const auto sent = await(tx.send(*got)); !sent) break;
                        }
                      });
    auto ping = rt.go(spawn_options{.worker = 0},
                      [tx = std::move(ping_to), rx = std::move(pong_from)]() mutable {
                        for (int i = 0; i < each; ++i) {
                          if (const auto sent = await(tx.send(i)); !sent) break;
                          static_cast<void>(await(rx.recv()));
                        }
                      });
    rt.block_on(ping);
    rt.block_on(pong);
  }
  count(state);
}
BENCHMARK(ping_pong_of_fibers)->Arg(1)->Arg(2)->UseRealTime();

}  // namespace
}  // namespace weft
