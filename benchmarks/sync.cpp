// sync: what many tasks share: channels and locks. README.md says what each measures.
#include <weft/weft.hpp>

#include "measure.hpp"

namespace {

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

weft::task<> pass(weft::channel_ends<std::uint64_t> ends, std::size_t n, std::size_t pairs) {
  std::vector<weft::join_handle<>> senders;
  std::vector<weft::join_handle<std::uint64_t>> receivers;
  {
    const auto [to, from] = std::move(ends);  // the last sender that ends closes it
    for (std::size_t p = 0; p < pairs; p++) {
      senders.push_back(weft::spawn(send, to, p * n / pairs, (p + 1) * n / pairs));
      receivers.push_back(weft::spawn(receive, from));
    }
  }
  for (auto& one : senders) co_await one;
  std::uint64_t sum = 0;
  for (auto& one : receivers) {
    const auto part = co_await one;
    sum += part;
  }
  if (sum != n * (n - 1) / 2) bench::wrong("the messages add up to %lu", sum);
}

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

weft::task<> acquire(weft::semaphore& one, std::size_t& counter, std::size_t n) {
  for (std::size_t i = 0; i < n; i++) {
    co_await one.acquire();
    counter++;
    one.release();
  }
}

weft::task<> semaphore(std::size_t n, std::size_t tasks) {
  weft::semaphore one(1);
  std::size_t counter = 0;
  std::vector<weft::join_handle<>> all;
  for (std::size_t t = 0; t < tasks; t++)
    all.push_back(weft::spawn(acquire, std::ref(one), std::ref(counter), n / tasks));
  for (auto& each : all) co_await each;
  if (counter != n / tasks * tasks) bench::wrong("the counter is %zu", counter);
}

struct guarded {
  weft::shared_mutex lock;
  std::size_t a = 0, b = 0;
};
constexpr std::size_t write_every = 64;

weft::task<> read_mostly(guarded& g, std::size_t n) {
  for (std::size_t i = 0; i < n; i++) {
    if (i % write_every == 0) {
      const auto held = co_await g.lock.lock();
      g.a++;
      g.b++;
    } else {
      const auto held = co_await g.lock.lock_shared();
      if (g.a != g.b) bench::wrong("half a write was read");
    }
  }
}

weft::task<> rwlock(std::size_t n, std::size_t tasks) {
  guarded g;
  std::vector<weft::join_handle<>> all;
  for (std::size_t t = 0; t < tasks; t++)
    all.push_back(weft::spawn(read_mostly, std::ref(g), n / tasks));
  for (auto& each : all) co_await each;
  const std::size_t writes = (n / tasks + write_every - 1) / write_every * tasks;
  if (g.a != writes) bench::wrong("%zu writes of %zu", g.a, writes);
}

weft::task<bench::figures> measure(bench::options o) {
  bench::figures figures;
  for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
    const auto begin = bench::now_ns();
    if (o.what == "channel") {
      co_await pass(weft::channel<std::uint64_t>(capacity), o.n, o.tasks);
    } else if (o.what == "rendezvous") {
      co_await pass(weft::channel<std::uint64_t>(0), o.n, o.tasks);
    } else if (o.what == "unbounded") {
      co_await pass(weft::unbounded<std::uint64_t>(), o.n, o.tasks);
    } else if (o.what == "mutex") {
      co_await mutex(o.n, o.tasks);
    } else if (o.what == "semaphore") {
      co_await semaphore(o.n, o.tasks);
    } else {
      co_await rwlock(o.n, o.tasks);
    }
    if (i != 0) figures.add_ns_each(begin, o.n);
  }
  co_return figures;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(
      argc, argv, {"channel", "rendezvous", "unbounded", "mutex", "semaphore", "rwlock"});
  weft::runtime rt({.workers = o.workers});
  rt.block_on(rt.spawn(measure, o)).print();
}
