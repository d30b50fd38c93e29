// fiber: the same work by Boost.Fiber, and its switch by Boost.Context. See benchmarks/README.md.
#include <boost/context/fiber.hpp>

#include "workers.hpp"

namespace {

namespace fibers = boost::fibers;
namespace contexts = boost::context;

/// ns one way.
double bare_switch(std::size_t n) {
  std::size_t passes = 0;
  bool last = false;
  contexts::fiber other([&](contexts::fiber&& thread) {
    while (!last) {
      passes++;
      thread = std::move(thread).resume();
    }
    return std::move(thread);
  });
  const auto begin = bench::now_ns();
  for (std::size_t i = 0; i < n; i++) other = std::move(other).resume();
  const auto end = bench::now_ns();
  if (passes != n) bench::wrong("%zu passes", passes);
  last = true;
  other = std::move(other).resume();
  return static_cast<double>(end - begin) / static_cast<double>(2 * n);
}

void yield(std::size_t n) {
  for (std::size_t i = 0; i < n; i++) boost::this_fiber::yield();
}

void yield_among(std::size_t n, std::size_t tasks) {
  if (tasks == 1) return yield(n);
  std::vector<fibers::fiber> all;
  for (std::size_t t = 0; t < tasks; t++) all.push_back(bench::start([=] { yield(n / tasks); }));
  for (auto& one : all) one.join();
}

/// With stacks that are kept, as its manual advises for speed.
void spawn_and_join(std::size_t n, std::size_t at_once) {
  fibers::pooled_fixedsize_stack stacks;
  std::vector<fibers::fiber> all;
  all.reserve(at_once);
  for (std::size_t done = 0; done < n; done += at_once) {
    for (std::size_t i = 0; i < at_once; i++) {
      all.emplace_back(fibers::launch::post, std::allocator_arg, stacks, [] {});
    }
    for (auto& one : all) one.join();
    all.clear();
  }
}

struct gate {
  fibers::mutex mutex;
  fibers::condition_variable opened;
  bool open = false;
  std::size_t waiting = 0;
};

void start_waiting(std::size_t n, gate& g, std::vector<fibers::fiber>& all) {
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

void memory(std::size_t n, bench::figures& figures) {
  gate g;
  std::vector<fibers::fiber> all;
  all.reserve(n + 1);
  start_waiting(1, g, all);  // what the first one costs is not what a further one does
  const double before = bench::resident_bytes();
  const double tables_before = bench::page_table_bytes();
  start_waiting(n, g, all);
  const auto each = [n](double bytes) { return bytes / static_cast<double>(n); };
  figures.add("bytes", each(bench::resident_bytes() - before));
  figures.add("table_bytes", each(bench::page_table_bytes() - tables_before));
  const auto begin = bench::now_ns();
  g.open = true;
  g.opened.notify_all();
  for (auto& one : all) one.join();
  figures.add_ns_each(begin, n);
}

/// There and back are two passes. Two is the least that its channel may hold, of which it uses one.
void pingpong(std::size_t n) {
  using fibers::channel_op_status;
  fibers::buffered_channel<std::uint64_t> to(2), from(2);
  std::uint64_t theirs = 0;
  auto other = bench::start([&] {
    std::uint64_t got = 0;
    while (to.pop(got) == channel_op_status::success) {
      theirs += got;
      if (from.push(got) != channel_op_status::success) bench::wrong("a refused push");
    }
  });
  std::uint64_t sum = 0, got = 0;
  for (std::size_t i = 0; i < n / 2; i++) {
    if (to.push(i) != channel_op_status::success) bench::wrong("a refused push");
    if (from.pop(got) != channel_op_status::success) bench::wrong("it was closed");
    sum += got;
  }
  to.close();
  other.join();
  if (sum != theirs || sum != (n / 2) * (n / 2 - 1) / 2)
    bench::wrong("the messages add up to %lu", sum);
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"yield", "switch", "spawn", "memory", "pingpong"});
  bench::figures figures;
  bench::on_workers(o.workers, [&] {
    if (o.what == "memory") return memory(o.n, figures);
    for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
      if (o.what == "switch") {
        const double ns = bare_switch(o.n);
        if (i != 0) figures.add("ns", ns);
        continue;
      }
      const auto begin = bench::now_ns();
      if (o.what == "yield") yield_among(o.n, o.tasks);
      if (o.what == "spawn") spawn_and_join(o.n, o.tasks);
      if (o.what == "pingpong") pingpong(o.n);
      if (i != 0) figures.add_ns_each(begin, o.n);
    }
  });
  figures.print();
}
