// blocking: to a thread that may block, and back. README.md says what it measures.
#include <weft/weft.hpp>

#include "measure.hpp"

namespace {

std::size_t next(std::size_t i) { return i + 1; }

weft::task<bench::figures> measure(bench::options o) {
  bench::figures figures;
  for (unsigned r = 0; r <= o.repeat; r++) {  // the first one warms up
    const auto begin = bench::now_ns();
    for (std::size_t i = 0; i < o.n; i++) {
      const auto got = co_await weft::spawn_blocking(next, i);
      if (got != i + 1) bench::wrong("trip %zu gave %zu", i, got);
    }
    const auto us = static_cast<double>(bench::now_ns() - begin) / 1e3;
    if (r != 0) figures.add("us", us / static_cast<double>(o.n));
  }
  co_return figures;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"blocking"});
  weft::runtime rt({.workers = o.workers});
  rt.block_on(rt.spawn(measure, o)).print();
}
