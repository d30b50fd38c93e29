// context: nanoseconds of a switch there and back. The target of the project's performance plan: 4 ns one
// way, so 8 here.
#include "weft/fiber/context.hpp"

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "weft/fiber/stack.hpp"

namespace weft {
namespace {

struct echo {
  context thread;
  context* self = nullptr;
  bool last = false;
};

context& go_back_at_once(void* argument) {
  auto& e = *static_cast<echo*>(argument);
  while (!e.last) context::switch_to(*e.self, e.thread);
  return e.thread;
}

void there_and_back(benchmark::State& state) {
  stack_pool pool;
  auto on = pool.take().value();
  echo e;
  context fiber(on.low(), on.bytes(), go_back_at_once, &e);
  e.self = &fiber;
  for (auto _ : state) context::switch_to(e.thread, fiber);
  e.last = true;
  context::switch_to(e.thread, fiber);
  pool.give(on);
}
BENCHMARK(there_and_back);

/// Round robin over many: their stacks are not in the nearest cache.
void there_and_back_of_many(benchmark::State& state) {
  stack_pool pool;
  echo e;
  struct one {
    stack on;
    std::unique_ptr<context> fiber;
  };
  struct seat {
    echo* e;
    context* self = nullptr;
  };
  static constexpr auto run = [](void* argument) -> context& {
    auto& s = *static_cast<seat*>(argument);
    while (!s.e->last) context::switch_to(*s.self, s.e->thread);
    return s.e->thread;
  };
  const auto count = static_cast<std::size_t>(state.range(0));
  std::vector<seat> seats(count, seat{&e});
  std::vector<one> all;
  for (std::size_t i = 0; i < count; ++i) {
    const auto on = pool.take().value();
    all.push_back({on, std::make_unique<context>(on.low(), on.bytes(), run, &seats[i])});
    seats[i].self = all.back().fiber.get();
  }
  std::size_t i = 0;
  for (auto _ : state) {
    context::switch_to(e.thread, *all[i].fiber);
    if (++i == count) i = 0;
  }
  e.last = true;
  for (one& o : all) {
    context::switch_to(e.thread, *o.fiber);
    pool.give(o.on);
  }
}
BENCHMARK(there_and_back_of_many)->Arg(10)->Arg(100)->Arg(1000)->Arg(10000);

void take_and_give_a_stack(benchmark::State& state) {
  stack_pool pool;
  for (auto _ : state) pool.give(pool.take().value());
}
BENCHMARK(take_and_give_a_stack);

}  // namespace
}  // namespace weft
