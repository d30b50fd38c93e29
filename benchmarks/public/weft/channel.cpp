// channel [THREADS [mt]]: 10^7 numbers through one channel; half of the threads send, half receive.
// Bounded: a sender waits where 1024 are in line.
#include "entry.hpp"
#if __has_include(<weft/channel/channel.hpp>)
#include <weft/channel/channel.hpp>
#else
#include <weft/channel/mpmc.hpp>
#endif

#include <vector>

namespace {

constexpr std::uint64_t elements = 10'000'000;
constexpr std::size_t capacity = 1024;

weft::task<> send(weft::sender<std::uint64_t> to, std::uint64_t begin, std::uint64_t end) {
  for (auto i = begin; i != end; i++) {
    const auto sent = co_await to.send(i);
    entry::expect(sent.has_value(), true);
  }
}

weft::task<std::uint64_t> receive(weft::receiver<std::uint64_t> from) {
  std::uint64_t sum = 0;
  while (true) {
    const auto got = co_await from.recv();
    if (!got) co_return sum;
    sum += *got;
  }
}

weft::task<> pass(std::size_t pairs) {
  std::vector<weft::join_handle<>> senders;
  std::vector<weft::join_handle<std::uint64_t>> receivers;
  {
    auto [to, from] = weft::channel<std::uint64_t>(capacity);
    for (std::size_t p = 0; p < pairs; p++) {
      receivers.push_back(weft::spawn(receive, from));
      senders.push_back(weft::spawn(send, to, p * elements / pairs, (p + 1) * elements / pairs));
    }
  }  // the last sender that ends closes it
  for (auto& one : senders) co_await one;
  std::uint64_t sum = 0;
  for (auto& one : receivers) {
    const auto part = co_await one;
    sum += part;
  }
  entry::expect(sum, elements * (elements - 1) / 2);
}

}  // namespace

int main(int argc, char** argv) {
  const auto threads = entry::threads(argc, argv, 1);
  const auto pairs = argc > 1 ? std::max<std::size_t>(threads / 2, 1) : 4;
  weft::runtime rt({.workers = static_cast<unsigned>(threads)});
  std::printf("threads: %zu\nproducers: %zu\nconsumers: %zu\n", threads, pairs, pairs);
  rt.block_on(rt.spawn(pass, pairs));  // warms up
  const auto begin = entry::clock::now();
  rt.block_on(rt.spawn(pass, pairs));
  const auto us = entry::us_since(begin);
  std::printf("runs:\n  - iteration_count: 1\n    elements: %lu\n    duration: %lld us\n", elements,
              us);
  std::printf("    elements/sec: %.0f\n    max_rss: %ld KiB\n",
              static_cast<double>(elements) * 1e6 / static_cast<double>(us), entry::peak_kib());
}
