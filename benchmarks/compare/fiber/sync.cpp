// sync: Boost.Fiber's bounded channel and mutex. See benchmarks/README.md.
#include "workers.hpp"

namespace {

namespace fibers = boost::fibers;
constexpr std::size_t capacity = 1024;

void pass(std::size_t n, std::size_t pairs) {
  fibers::buffered_channel<std::uint64_t> messages(capacity);
  std::vector<std::uint64_t> sums(pairs);
  std::vector<fibers::fiber> senders, receivers;
  for (std::size_t p = 0; p < pairs; p++) {
    senders.push_back(bench::start([&messages, begin = p * n / pairs, end = (p + 1) * n / pairs] {
      for (auto i = begin; i != end; i++)
        if (messages.push(i) != fibers::channel_op_status::success) bench::wrong("a refused push");
    }));
    receivers.push_back(bench::start([&messages, &sum = sums[p]] {
      std::uint64_t got = 0, mine = 0;
      while (messages.pop(got) == fibers::channel_op_status::success) mine += got;
      sum = mine;
    }));
  }
  for (auto& one : senders) one.join();
  messages.close();
  for (auto& one : receivers) one.join();
  std::uint64_t sum = 0;
  for (const auto s : sums) sum += s;
  if (sum != n * (n - 1) / 2) bench::wrong("the messages add up to %lu", sum);
}

void mutex(std::size_t n, std::size_t tasks) {
  fibers::mutex lock;
  std::size_t counter = 0;
  std::vector<fibers::fiber> all;
  for (std::size_t t = 0; t < tasks; t++) {
    all.push_back(bench::start([&, n, tasks] {
      for (std::size_t i = 0; i < n / tasks; i++) {
        const std::scoped_lock held(lock);
        counter++;
      }
    }));
  }
  for (auto& one : all) one.join();
  if (counter != n / tasks * tasks) bench::wrong("the counter is %zu", counter);
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"channel", "mutex"});
  bench::figures figures;
  bench::on_workers(o.workers, [&] {
    for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
      const auto begin = bench::now_ns();
      if (o.what == "channel") pass(o.n, o.tasks);
      if (o.what == "mutex") mutex(o.n, o.tasks);
      if (i != 0) figures.add_ns_each(begin, o.n);
    }
  });
  figures.print();
}
