// timer: arming, cancelling, sleeping. README.md says what each measures.
#include <deque>
#include <weft/weft.hpp>

#include "measure.hpp"

namespace {

using std::chrono::nanoseconds;
constexpr std::uint64_t hour_ns = 3'600'000'000'000;

// The set of timers that every worker has, by itself: what a sleep adds to being suspended.
bench::figures arm(const bench::options& o) {
  bench::figures figures;
  weft::timer_set timers;
  std::deque<weft::timer_entry> entries;  // they cannot be moved
  for (std::size_t i = 0; i < o.n; i++)
    entries.emplace_back([](weft::timer_entry&) noexcept { bench::wrong("an hour was over"); });
  for (unsigned r = 0; r <= o.repeat; r++) {  // the first one warms up
    const auto begin = bench::now_ns();
    for (std::size_t i = 0; i < o.n; i++) {
      const auto due = begin + static_cast<std::int64_t>(hour_ns + bench::mixed(i) % hour_ns);
      if (!timers.arm(entries[i], due)) bench::wrong("a timer was not armed");
    }
    const auto armed = bench::now_ns();
    for (auto& entry : entries)
      if (!timers.cancel(entry)) bench::wrong("a timer was not armed");
    const auto cancelled = bench::now_ns();
    if (r == 0) continue;
    figures.add("arm_ns", static_cast<double>(armed - begin) / static_cast<double>(o.n));
    figures.add("cancel_ns", static_cast<double>(cancelled - armed) / static_cast<double>(o.n));
  }
  return figures;
}

weft::task<> timeout(std::size_t n) {
  for (std::size_t i = 0; i < n; i++) {
    const auto in_time = co_await weft::timeout(std::chrono::hours(1), weft::yield_now());
    if (!in_time) bench::wrong("an hour was over");
  }
}

weft::task<std::vector<double>> sleep(std::size_t n) {
  std::vector<double> us(n);
  for (auto& sample : us) {
    const auto begin = bench::now_ns();
    co_await weft::sleep_for(std::chrono::milliseconds(1));
    sample = static_cast<double>(bench::now_ns() - begin) / 1e3;
    if (sample < 1000) bench::wrong("a sleep of 1 ms took %.1f us", sample);
  }
  co_return us;
}

weft::task<double> late_ms(std::size_t i) {
  const auto length = static_cast<std::int64_t>(bench::mixed(i) % 2'000'000'000);
  const auto begin = bench::now_ns();
  co_await weft::sleep_for(nanoseconds(length));
  co_return static_cast<double>(bench::now_ns() - begin - length) / 1e6;
}

// Many sleep for 0 to 2 s each: how late do they wake, and what does it cost?
weft::task<> crowd(std::size_t n, bench::figures& figures) {
  const double before = bench::cpu_s();
  std::vector<weft::join_handle<double>> all;
  all.reserve(n);
  for (std::size_t i = 0; i < n; i++) all.push_back(weft::spawn(late_ms, i));
  std::vector<double> late;
  late.reserve(n);
  for (auto& one : all) {
    const double ms = co_await one;
    late.push_back(ms);
  }
  figures.add("cpu_s", bench::cpu_s() - before);
  if (bench::quantile(late, 0) < 0) bench::wrong("a sleep was too short");
  figures.add("p99_ms", bench::quantile(late, 0.99));
}

weft::task<bench::figures> measure(bench::options o) {
  bench::figures figures;
  if (o.what == "sleep") co_await sleep(20);  // warms up
  if (o.what == "timeout") co_await timeout(o.n);
  for (unsigned r = 0; r < o.repeat; r++) {
    if (o.what == "crowd") {
      co_await crowd(o.n, figures);
    } else if (o.what == "timeout") {
      const auto begin = bench::now_ns();
      co_await timeout(o.n);
      figures.add_ns_each(begin, o.n);
    } else {
      auto us = co_await sleep(o.n);
      figures.add("p50_us", bench::quantile(us, 0.5));
      figures.add("p99_us", bench::quantile(us, 0.99));
    }
  }
  co_return figures;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"arm", "timeout", "sleep", "crowd"});
  if (o.what == "arm") {
    arm(o).print();
    return 0;
  }
  weft::runtime rt({.workers = o.workers});
  rt.block_on(rt.spawn(measure, o)).print();
}
