// spawn: what a coroutine of Asio and a yield cost. See benchmarks/README.md for the protocol.
#include <algorithm>
#include <asio.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

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
asio::awaitable<void> spawn(std::size_t n) {
  const auto here = co_await asio::this_coro::executor;
  meeting at(here);
  std::atomic<std::size_t> left{n};
  for (std::size_t i = 0; i < n; i++) {
    asio::co_spawn(here, empty(), [&](std::exception_ptr) {
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

asio::awaitable<void> measure(bool yields, std::size_t n, unsigned repeat,
                              std::vector<double>& all) {
  for (unsigned i = 0; i <= repeat; i++) {  // the first one warms up
    const auto begin = std::chrono::steady_clock::now();
    if (yields)
      co_await yield(n);
    else
      co_await spawn(n);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    if (i != 0) all.push_back(took.count() / static_cast<double>(n));
  }
}

const char* option(int argc, char** argv, const char* name, const char* otherwise) {
  for (int i = 1; i + 1 < argc; i++)
    if (std::strcmp(argv[i], name) == 0) return argv[i + 1];
  return otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  const auto workers = std::strtoul(option(argc, argv, "--workers", "1"), nullptr, 10);
  const auto n = std::strtoul(option(argc, argv, "--n", "10000"), nullptr, 10);
  const auto repeat = std::strtoul(option(argc, argv, "--repeat", "5"), nullptr, 10);
  const std::string what = option(argc, argv, "--what", "spawn");
  if (workers == 0 || n == 0 || repeat == 0 || (what != "spawn" && what != "yield")) {
    std::fprintf(stderr, "usage: spawn [--what spawn|yield] [--workers W] [--n N] [--repeat R]\n");
    return 2;
  }
  // The hint lets Asio leave out what several threads need: its best with one.
  asio::io_context context(static_cast<int>(workers));
  std::vector<double> all;
  asio::co_spawn(context, measure(what == "yield", n, static_cast<unsigned>(repeat), all),
                 [](std::exception_ptr failure) {
                   if (failure) std::rethrow_exception(failure);
                 });
  std::vector<std::thread> threads;
  for (unsigned long i = 1; i < workers; i++) threads.emplace_back([&] { context.run(); });
  context.run();
  for (auto& thread : threads) thread.join();
  std::printf("{\"ns\": %.2f, \"all\": [", *std::min_element(all.begin(), all.end()));
  for (std::size_t i = 0; i < all.size(); i++) std::printf("%s%.2f", i == 0 ? "" : ", ", all[i]);
  std::printf("]}\n");
}
