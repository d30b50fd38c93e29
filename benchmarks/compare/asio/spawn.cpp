// spawn: what a coroutine of Asio, a yield, and a hand-over to another thread cost. See
// benchmarks/README.md.
#include <asio.hpp>
#include <atomic>
#include <thread>

#include "../../measure.hpp"

namespace {

asio::awaitable<void> empty() { co_return; }

// Where the parent waits. Touched on the strand only, so a cancel cannot fall between look and
// wait.
struct meeting {
  explicit meeting(asio::any_io_executor on)
      : strand(asio::make_strand(std::move(on))),
        timer(strand, asio::steady_timer::time_point::max()) {}
  asio::strand<asio::any_io_executor> strand;
  asio::steady_timer timer;
  bool over = false;
};

asio::awaitable<void> wait(meeting& at) {
  asio::error_code cancelled;
  if (!at.over) co_await at.timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
}

// Asio has no join handle: the completion handlers count down, and the last one wakes the parent.
template <class Make>
asio::awaitable<void> spawn(std::size_t n, Make make) {
  const auto here = co_await asio::this_coro::executor;
  meeting at(here);
  std::atomic<std::size_t> left{n};
  for (std::size_t i = 0; i < n; i++) {
    asio::co_spawn(here, make(), [&](std::exception_ptr) {
      if (left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      const auto strand = at.strand;  // a copy: `at` may end as soon as the posted function has run
      asio::post(strand, [&at] {
        at.over = true;
        at.timer.cancel();
      });
    });
  }
  co_await asio::co_spawn(at.strand, wait(at), asio::use_awaitable);
}

asio::awaitable<void> yield(std::size_t n) {
  const auto here = co_await asio::this_coro::executor;
  for (std::size_t i = 0; i < n; i++) co_await asio::post(here, asio::use_awaitable);
}

asio::awaitable<std::int64_t> arrive() { co_return bench::now_ns(); }

// From this context's thread to that of another one. One way: the coroutine there looks at the
// clock.
asio::awaitable<std::vector<double>> hops(std::size_t n, std::int64_t before_ns,
                                          asio::io_context& other) {
  std::vector<double> us(n);
  for (auto& sample : us) {
    bench::spin_ns(before_ns);
    const auto left = bench::now_ns();
    const auto arrived = co_await asio::co_spawn(other, arrive(), asio::use_awaitable);
    sample = static_cast<double>(arrived - left) / 1e3;
  }
  co_return us;
}

asio::awaitable<void> wait_long(std::atomic<std::size_t>& begun) {
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::hours(1));
  begun.fetch_add(1, std::memory_order_relaxed);
  asio::error_code cancelled;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
}

asio::awaitable<void> spawn_waiting(std::size_t n) {
  const auto here = co_await asio::this_coro::executor;
  std::atomic<std::size_t> begun{0};
  for (std::size_t i = 0; i < n; i++) asio::co_spawn(here, wait_long(begun), asio::detached);
  while (begun.load(std::memory_order_relaxed) != n) co_await yield(1);
  co_await yield(2);
}

asio::awaitable<double> memory(std::size_t n) {
  co_await spawn_waiting(1);  // what the first one costs is not what a further one does
  const double before = bench::resident_bytes();
  co_await spawn_waiting(n);
  co_return (bench::resident_bytes() - before) / static_cast<double>(n);
}

asio::awaitable<void> measure(bench::options o, asio::io_context& here, asio::io_context& other,
                              bench::figures& figures) {
  if (o.what == "memory") {
    figures.add("bytes", co_await memory(o.n));
    here.stop();  // the waiting ones end with the context
    co_return;
  }
  for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
    const auto begin = bench::now_ns();
    if (o.what.starts_with("hop")) {
      auto us = co_await hops(o.n, o.what == "hop" ? 0 : 200'000, other);
      if (i != 0) figures.add("p50_us", bench::quantile(us, 0.5));
      continue;
    }
    if (o.what == "spawn") co_await spawn(o.n, empty);
    if (o.what == "yield" && o.tasks == 1) co_await yield(o.n);
    if (o.what == "yield" && o.tasks != 1)
      co_await spawn(o.tasks, [&] { return yield(o.n / o.tasks); });
    if (i != 0) figures.add_ns_each(begin, o.n);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"spawn", "yield", "hop", "hop-parked", "memory"});
  const bool hops = o.what.starts_with("hop");
  // The hint lets Asio leave out what several threads need: its best with one.
  asio::io_context context(hops ? ASIO_CONCURRENCY_HINT_DEFAULT : static_cast<int>(o.workers));
  asio::io_context other;
  auto other_stays = asio::make_work_guard(other);
  bench::figures figures;
  asio::co_spawn(context, measure(o, context, other, figures), [&](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
    other_stays.reset();
  });
  std::vector<std::thread> threads;
  if (hops) threads.emplace_back([&] { other.run(); });
  for (unsigned i = 1; i < o.workers && !hops; i++) threads.emplace_back([&] { context.run(); });
  context.run();
  for (auto& thread : threads) thread.join();
  figures.print();
}
