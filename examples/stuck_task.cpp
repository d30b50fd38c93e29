// A job that computes for 300 ms, and a clock that ticks beside it on the same worker.
#include <weft/weft.hpp>

#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

/// Never awaits, and says nothing of it.
long parse() {
  long sum = 0;
  for (const auto end = weft::now() + 300ms; weft::now() < end;) ++sum;
  return sum;
}

weft::task<> tick(int* count) {
  for (;; ++*count) co_await weft::sleep_for(1ms);
}

weft::task<> program() {
  int count = 0;
  auto clock = weft::spawn(tick, &count);
  auto stuck = weft::spawn(weft::spawn_options{.name = "parse"}, parse);
  const long sum = co_await stuck;
  const auto figures = weft::current_metrics();
  std::printf("%s; %d ticks meanwhile; the worker changed hands %llu times\n",
              sum > 0 ? "parsed" : "not parsed", count,
              static_cast<unsigned long long>(figures.handoffs));
}

int main() { return weft::run(program(), {.workers = 1}); }
