// timer: libuv's timers, in its loop's thread. See benchmarks/README.md.
#include <uv.h>

#include "../../measure.hpp"

namespace {

constexpr std::uint64_t hour_ms = 3'600'000;

void never(uv_timer_t*) { bench::wrong("a timer of an hour fired"); }

void arm(const bench::options& o, uv_loop_t& loop, bench::figures& figures) {
  std::vector<uv_timer_t> timers(o.n);
  for (auto& timer : timers) uv_timer_init(&loop, &timer);
  for (unsigned r = 0; r <= o.repeat; r++) {  // the first one warms up
    const auto begin = bench::now_ns();
    for (std::size_t i = 0; i < o.n; i++)
      uv_timer_start(&timers[i], never, hour_ms + bench::mixed(i) % hour_ms, 0);
    const auto armed = bench::now_ns();
    for (auto& timer : timers) uv_timer_stop(&timer);
    const auto cancelled = bench::now_ns();
    if (r == 0) continue;
    figures.add("arm_ns", static_cast<double>(armed - begin) / static_cast<double>(o.n));
    figures.add("cancel_ns", static_cast<double>(cancelled - armed) / static_cast<double>(o.n));
  }
}

struct sleeper {
  std::size_t left = 0;
  std::int64_t began = 0;
  std::vector<double> us;
};

void fired(uv_timer_t* timer) {
  auto& s = *static_cast<sleeper*>(timer->data);
  s.us.push_back(static_cast<double>(bench::now_ns() - s.began) / 1e3);
  if (--s.left == 0) return;
  // The loop's clock is of the turn's beginning: without this a sleep would be too short.
  uv_update_time(timer->loop);
  s.began = bench::now_ns();
  uv_timer_start(timer, fired, 1, 0);
}

std::vector<double> sleep(std::size_t n, uv_loop_t& loop) {
  sleeper s;
  s.left = n;
  uv_timer_t timer;
  uv_timer_init(&loop, &timer);
  timer.data = &s;
  uv_update_time(&loop);
  s.began = bench::now_ns();
  uv_timer_start(&timer, fired, 1, 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
  uv_run(&loop, UV_RUN_DEFAULT);
  return s.us;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"arm", "sleep"});
  uv_loop_t loop;
  uv_loop_init(&loop);
  bench::figures figures;
  if (o.what == "arm") arm(o, loop, figures);
  if (o.what == "sleep") {
    sleep(20, loop);
    for (unsigned r = 0; r < o.repeat; r++) {
      auto us = sleep(o.n, loop);
      if (us.size() != o.n) bench::wrong("%zu of %zu sleeps ended", us.size(), o.n);
      figures.add("p50_us", bench::quantile(us, 0.5));
      figures.add("p99_us", bench::quantile(us, 0.99));
    }
  }
  figures.print();
}
