// spawn: what a yield of a fiber of Boost costs, and its memory. See benchmarks/README.md.
#include "workers.hpp"

namespace {

namespace fibers = boost::fibers;

void yield(std::size_t n) {
  for (std::size_t i = 0; i < n; i++) boost::this_fiber::yield();
}

void yield_among(std::size_t n, std::size_t tasks) {
  if (tasks == 1) return yield(n);
  std::vector<fibers::fiber> all;
  for (std::size_t t = 0; t < tasks; t++) all.push_back(bench::start([=] { yield(n / tasks); }));
  for (auto& one : all) one.join();
}

struct gate {
  fibers::mutex mutex;
  fibers::condition_variable opened;
  bool open = false;
  std::size_t waiting = 0;
};

void spawn_waiting(std::size_t n, gate& g, std::vector<fibers::fiber>& all) {
  const auto before = g.waiting;
  for (std::size_t i = 0; i < n; i++) {
    all.push_back(bench::start([&g] {
      std::unique_lock lock(g.mutex);
      g.waiting++;
      g.opened.wait(lock, [&g] { return g.open; });
    }));
  }
  while (g.waiting != before + n) boost::this_fiber::yield();
}

double memory(std::size_t n) {
  gate g;
  std::vector<fibers::fiber> all;
  all.reserve(n + 1);
  spawn_waiting(1, g, all);  // what the first one costs is not what a further one does
  const double before = bench::resident_bytes();
  spawn_waiting(n, g, all);
  const double each = (bench::resident_bytes() - before) / static_cast<double>(n);
  g.open = true;
  g.opened.notify_all();
  for (auto& one : all) one.join();
  return each;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"yield", "memory"});
  bench::figures figures;
  bench::on_workers(o.workers, [&] {
    if (o.what == "memory") return figures.add("bytes", memory(o.n));
    for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
      const auto begin = bench::now_ns();
      yield_among(o.n, o.tasks);
      if (i != 0) figures.add_ns_each(begin, o.n);
    }
  });
  figures.print();
}
