// spawn: what a task with its join handle, a yield, a hand-over to another thread, and a suspended
// task cost. README.md says what each measures.
#include <atomic>
#include <weft/weft.hpp>

#include "measure.hpp"

namespace {

weft::task<> empty() { co_return; }

weft::task<> spawn_and_join(std::size_t n) {
  std::vector<weft::join_handle<>> handles;
  handles.reserve(n);
  for (std::size_t i = 0; i < n; i++) handles.push_back(weft::spawn(empty));
  for (auto& handle : handles) co_await handle;
}

weft::task<> yield(std::size_t n) {
  for (std::size_t i = 0; i < n; i++) co_await weft::yield_now();
}

weft::task<> yield_among(std::size_t n, std::size_t tasks) {
  std::vector<weft::join_handle<>> handles;
  for (std::size_t t = 0; t < tasks; t++) handles.push_back(weft::spawn(yield, n / tasks));
  for (auto& handle : handles) co_await handle;
}

weft::task<std::int64_t> arrive() { co_return bench::now_ns(); }

// From this runtime's worker to that of another one. One way: the task there looks at the clock.
weft::task<std::vector<double>> hops(std::size_t n, std::int64_t before_ns, weft::runtime& other) {
  std::vector<double> us(n);
  for (auto& sample : us) {
    bench::spin_ns(before_ns);
    const auto left = bench::now_ns();
    auto there = other.spawn(arrive);
    const auto arrived = co_await there;
    sample = static_cast<double>(arrived - left) / 1e3;
  }
  co_return us;
}

struct gate {
  std::atomic<std::size_t> begun{0};
  weft::event never;
};
weft::task<> wait_in_event(gate& at) {
  at.begun.fetch_add(1, std::memory_order_relaxed);
  co_await at.never.wait();
}
weft::task<> wait_in_sleep(gate& at) {
  at.begun.fetch_add(1, std::memory_order_relaxed);
  co_await weft::sleep_for(std::chrono::hours(1));
}

weft::task<> spawn_waiting(std::size_t n, bool sleeping) {
  static gate at;
  at.begun = 0;
  for (std::size_t i = 0; i < n; i++) {
    weft::spawn(sleeping ? wait_in_sleep : wait_in_event, std::ref(at)).detach();
  }
  auto& begun = at.begun;
  while (begun.load(std::memory_order_relaxed) != n) co_await weft::yield_now();
  co_await yield(2);
}

weft::task<double> memory(std::size_t n, bool sleeping) {
  co_await spawn_waiting(1, sleeping);  // what the first one costs is not what a further one does
  const double before = bench::resident_bytes();
  co_await spawn_waiting(n, sleeping);
  co_return (bench::resident_bytes() - before) / static_cast<double>(n);
}

weft::task<bench::figures> measure(bench::options o, weft::runtime* other) {
  bench::figures figures;
  if (o.what.starts_with("memory")) {
    const double bytes = co_await memory(o.n, o.what == "memory-sleep");
    figures.add("bytes", bytes);
    co_return figures;
  }
  for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
    const auto begin = bench::now_ns();
    if (other != nullptr) {
      auto us = co_await hops(o.n, o.what == "hop" ? 0 : 200'000, *other);
      if (i != 0) figures.add("p50_us", bench::quantile(us, 0.5));
      continue;
    }
    if (o.what == "spawn")
      co_await spawn_and_join(o.n);
    else if (o.tasks == 1)
      co_await yield(o.n);
    else
      co_await yield_among(o.n, o.tasks);
    if (i != 0) figures.add_ns_each(begin, o.n);
  }
  co_return figures;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"spawn", "yield", "hop", "hop-parked", "memory", "memory-sleep"});
  // Spawned, so that it runs on a worker and not on this thread.
  if (o.what.starts_with("hop")) {
    weft::runtime other({.workers = 1});
    weft::runtime here({.workers = 1});
    here.block_on(here.spawn(measure, o, &other)).print();
  } else {
    weft::runtime rt({.workers = o.workers});
    rt.block_on(rt.spawn(measure, o, nullptr)).print();
  }
}
