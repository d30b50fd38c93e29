// sync: Asio's bounded channel. See benchmarks/README.md.
#include <asio.hpp>
#include <asio/experimental/concurrent_channel.hpp>
#include <atomic>
#include <thread>

#include "../../measure.hpp"

namespace {

constexpr std::size_t capacity = 1024;
using channel = asio::experimental::concurrent_channel<void(asio::error_code, std::uint64_t)>;

asio::awaitable<void> send(channel& to, std::uint64_t begin, std::uint64_t end,
                           std::atomic<std::size_t>& senders) {
  for (auto i = begin; i != end; i++)
    co_await to.async_send(asio::error_code(), i, asio::use_awaitable);
  if (senders.fetch_sub(1, std::memory_order_acq_rel) == 1) to.close();
}

asio::awaitable<void> receive(channel& from, std::atomic<std::uint64_t>& sum) {
  std::uint64_t mine = 0;
  asio::error_code closed;
  while (true) {
    const auto got = co_await from.async_receive(asio::redirect_error(asio::use_awaitable, closed));
    if (closed) break;
    mine += got;
  }
  sum.fetch_add(mine, std::memory_order_relaxed);
}

void pass(asio::io_context& context, const bench::options& o) {
  channel messages(context, capacity);
  std::atomic<std::size_t> senders{o.tasks};
  std::atomic<std::uint64_t> sum{0};
  for (std::size_t p = 0; p < o.tasks; p++) {
    asio::co_spawn(context, send(messages, p * o.n / o.tasks, (p + 1) * o.n / o.tasks, senders),
                   asio::detached);
    asio::co_spawn(context, receive(messages, sum), asio::detached);
  }
  context.restart();
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < o.workers; i++) threads.emplace_back([&] { context.run(); });
  context.run();
  for (auto& thread : threads) thread.join();
  if (sum != o.n * (o.n - 1) / 2) bench::wrong("the messages add up to %lu", sum.load());
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"channel"});
  asio::io_context context(static_cast<int>(o.workers));
  bench::figures figures;
  for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
    const auto begin = bench::now_ns();
    pass(context, o);
    if (i != 0) figures.add_ns_each(begin, o.n);
  }
  figures.print();
}
