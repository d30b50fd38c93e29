// A job that computes for 300 ms, and a heart that beats each millisecond beside it on the same worker: how late its
// latest beat is when the worker is handed on, and when it is not.
#include <weft/weft.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

/// Never awaits, and says nothing of it.
long parse() {
  long sum = 0;
  for (const auto end = weft::now() + 300ms; weft::now() < end;) ++sum;
  return sum;
}

struct beats {
  int count = 0;
  std::chrono::nanoseconds latest{};
};

weft::task<> heart(const std::atomic<bool>* over, beats* mine) {
  for (; !*over; ++mine->count) {
    const auto due = weft::now() + 1ms;
    co_await weft::sleep_until(due);
    mine->latest = std::max<std::chrono::nanoseconds>(mine->latest, weft::now() - due);
  }
}

weft::task<> program() {
  beats seen;
  std::atomic<bool> over{false};
  auto beating = weft::spawn(heart, &over, &seen);
  co_await weft::sleep_for(5ms);
  const long sum = co_await weft::spawn(weft::spawn_options{.name = "parse"}, parse);
  over = true;
  co_await beating;
  std::printf("%s; %d beats, the latest %.1f ms late; the worker changed hands %llu times\n",
              sum > 0 ? "parsed" : "not parsed", seen.count,
              std::chrono::duration<double, std::milli>(seen.latest).count(),
              static_cast<unsigned long long>(weft::current_metrics().handoffs));
}

int main() {
  std::printf("handed on:     ");
  std::fflush(stdout);
  weft::run(program(), {.workers = 1});
  std::printf("not handed on: ");
  std::fflush(stdout);
  weft::run(program(), {.workers = 1, .preempt_after = 0ms});
}
