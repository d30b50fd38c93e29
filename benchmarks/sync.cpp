// sync: a bounded channel and a mutex. README.md says what each measures.
#include <weft/weft.hpp>

#include "measure.hpp"

#if __has_include(<weft/channel/channel.hpp>)
#include <weft/channel/channel.hpp>
#define HAS_CHANNEL 1
#elif __has_include(<weft/channel/mpmc.hpp>)
#include <weft/channel/mpmc.hpp>
#define HAS_CHANNEL 1
#else
#define HAS_CHANNEL 0
#endif
#if __has_include(<weft/sync/mutex.hpp>)
#include <weft/sync/mutex.hpp>
#define HAS_MUTEX 1
#else
#define HAS_MUTEX 0
#endif

namespace {

#if HAS_CHANNEL
constexpr std::size_t capacity = 1024;

weft::task<> send(weft::sender<std::uint64_t> to, std::uint64_t begin, std::uint64_t end) {
  for (auto i = begin; i != end; i++) {
    const auto sent = co_await to.send(i);
    if (!sent) bench::wrong("a refused message");
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

weft::task<> pass(std::size_t n, std::size_t pairs) {
  std::vector<weft::join_handle<>> senders;
  std::vector<weft::join_handle<std::uint64_t>> receivers;
  {
    auto [to, from] = weft::channel<std::uint64_t>(capacity);
    for (std::size_t p = 0; p < pairs; p++) {
      senders.push_back(weft::spawn(send, to, p * n / pairs, (p + 1) * n / pairs));
      receivers.push_back(weft::spawn(receive, from));
    }
  }  // the last sender that ends closes it
  for (auto& one : senders) co_await one;
  std::uint64_t sum = 0;
  for (auto& one : receivers) {
    const auto part = co_await one;
    sum += part;
  }
  if (sum != n * (n - 1) / 2) bench::wrong("the messages add up to %lu", sum);
}
#else
weft::task<> pass(std::size_t, std::size_t) { bench::not_built("weft::channel"); }
#endif

#if HAS_MUTEX
weft::task<> count(weft::mutex& lock, std::size_t& counter, std::size_t n) {
  for (std::size_t i = 0; i < n; i++) {
    const auto held = co_await lock.lock();
    counter++;
  }
}

weft::task<> mutex(std::size_t n, std::size_t tasks) {
  weft::mutex lock;
  std::size_t counter = 0;
  std::vector<weft::join_handle<>> all;
  for (std::size_t t = 0; t < tasks; t++)
    all.push_back(weft::spawn(count, std::ref(lock), std::ref(counter), n / tasks));
  for (auto& one : all) co_await one;
  if (counter != n / tasks * tasks) bench::wrong("the counter is %zu", counter);
}
#else
weft::task<> mutex(std::size_t, std::size_t) { bench::not_built("weft::mutex"); }
#endif

weft::task<bench::figures> measure(bench::options o) {
  bench::figures figures;
  for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
    const auto begin = bench::now_ns();
    if (o.what == "channel")
      co_await pass(o.n, o.tasks);
    else
      co_await mutex(o.n, o.tasks);
    if (i != 0) figures.add_ns_each(begin, o.n);
  }
  co_return figures;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"channel", "mutex"});
  weft::runtime rt({.workers = o.workers});
  rt.block_on(rt.spawn(measure, o)).print();
}
