// fiber: what a switch between stacks, a yield, a fiber from its start to its join, one that waits, and a
// channel between two cost. README.md says what each measures.
#include <vector>
#include <weft/fiber/context.hpp>
#include <weft/fiber/stack.hpp>
#include <weft/weft.hpp>

#include "measure.hpp"

namespace {

using weft::await;
using weft::go;

// --- the bare switch ------------------------------------------------------------------------------

struct two_contexts {
  weft::context thread;
  weft::context* other = nullptr;
  std::size_t passes = 0;
  bool last = false;
};

weft::context& come_back(void* argument) {
  auto& both = *static_cast<two_contexts*>(argument);
  while (!both.last) {
    both.passes++;
    weft::context::switch_to(*both.other, both.thread);
  }
  return both.thread;
}

/// ns one way.
double bare_switch(std::size_t n) {
  weft::stack_pool pool;
  const auto on = pool.take();
  if (!on) bench::wrong("no stack");
  two_contexts both;
  weft::context other(on->low(), on->bytes(), come_back, &both);
  both.other = &other;
  const auto begin = bench::now_ns();
  for (std::size_t i = 0; i < n; i++) weft::context::switch_to(both.thread, other);
  const auto end = bench::now_ns();
  if (both.passes != n) bench::wrong("%zu passes", both.passes);
  both.last = true;
  weft::context::switch_to(both.thread, other);
  pool.give(*on);
  return static_cast<double>(end - begin) / static_cast<double>(2 * n);
}

// --- fibers ---------------------------------------------------------------------------------------

void yield(std::size_t n) {
  for (std::size_t i = 0; i < n; i++) await(weft::yield_now());
}

void yield_among(std::size_t n, std::size_t tasks) {
  if (tasks == 1) return yield(n);
  std::vector<weft::join_handle<>> all;
  for (std::size_t t = 0; t < tasks; t++) all.push_back(go(yield, n / tasks));
  for (auto& one : all) await(one);
}

void spawn_and_join(std::size_t n, std::size_t at_once) {
  std::vector<weft::join_handle<>> all;
  all.reserve(at_once);
  for (std::size_t done = 0; done < n; done += at_once) {
    for (std::size_t i = 0; i < at_once; i++) all.push_back(go([] {}));
    for (auto& one : all) await(one);
    all.clear();
  }
}

struct gate {
  std::size_t begun = 0;
  weft::event opened;
};

/// For one worker.
void start_waiting(std::size_t n, gate& at, std::vector<weft::join_handle<>>& all) {
  const auto before = at.begun;
  for (std::size_t i = 0; i < n; i++) {
    all.push_back(go([&at] {
      at.begun++;
      await(at.opened.wait());
    }));
  }
  while (at.begun != before + n) await(weft::yield_now());
}

void memory(std::size_t n, bench::figures& figures) {
  gate at;
  std::vector<weft::join_handle<>> all;
  all.reserve(n + 1);
  start_waiting(1, at, all);  // what the first one costs is not what a further one does
  const double before = bench::resident_bytes();
  const double tables_before = bench::page_table_bytes();
  start_waiting(n, at, all);
  const auto each = [n](double bytes) { return bytes / static_cast<double>(n); };
  figures.add("bytes", each(bench::resident_bytes() - before));
  figures.add("table_bytes", each(bench::page_table_bytes() - tables_before));
  const auto begin = bench::now_ns();
  at.opened.set();
  for (auto& one : all) await(one);
  figures.add_ns_each(begin, n);
}

/// There and back are two passes.
void pingpong(std::size_t n) {
  auto [to, from_us] = weft::channel<std::uint64_t>(1);
  auto [to_us, from] = weft::channel<std::uint64_t>(1);
  auto other = go([from_us = std::move(from_us), to_us = std::move(to_us)]() mutable {
    std::uint64_t sum = 0;
    while (const auto got = await(from_us.recv())) {
      sum += *got;
      const auto sent = await(to_us.send(*got));
      if (!sent) break;
    }
    return sum;
  });
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n / 2; i++) {
    const auto sent = await(to.send(i));
    const auto got = await(from.recv());
    if (!sent || !got) bench::wrong("it was closed");
    sum += *got;
  }
  to.close();
  const auto theirs = await(other);
  if (sum != theirs || sum != (n / 2) * (n / 2 - 1) / 2) {
    bench::wrong("the messages add up to %lu", sum);
  }
}

bench::figures measure(const bench::options& o) {
  bench::figures figures;
  if (o.what == "memory") {
    memory(o.n, figures);
    return figures;
  }
  for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
    const auto begin = bench::now_ns();
    if (o.what == "yield") yield_among(o.n, o.tasks);
    if (o.what == "spawn") spawn_and_join(o.n, o.tasks);
    if (o.what == "pingpong") pingpong(o.n);
    if (i != 0) figures.add_ns_each(begin, o.n);
  }
  return figures;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"yield", "switch", "spawn", "memory", "pingpong"});
  if (o.what == "switch") {
    bench::figures figures;
    for (unsigned i = 0; i <= o.repeat; i++) {
      const double ns = bare_switch(o.n);
      if (i != 0) figures.add("ns", ns);
    }
    figures.print();
    return 0;
  }
  weft::runtime rt({.workers = o.workers});
  auto measured = rt.go(measure, o);
  rt.block_on(measured).print();
}
