// fork_join: oneTBB's recursion and structured spawn. See benchmarks/README.md.
#include "../../work.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_invoke.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

namespace {

std::uint64_t fib(unsigned n) {
  if (n < 2) return n;
  std::uint64_t a = 0, b = 0;
  tbb::parallel_invoke([&] { a = fib(n - 1); }, [&] { b = fib(n - 2); });
  return a + b;
}

std::uint64_t skynet(std::uint64_t first, std::uint64_t leaves) {
  if (leaves == 1) return first;
  const auto each = leaves / 10;
  std::array<std::uint64_t, 10> sums;
  tbb::task_group children;
  for (std::size_t i = 0; i < 9; i++)
    children.run([=, &sums] { sums[i] = skynet(first + i * each, each); });
  children.run_and_wait([=, &sums] { sums[9] = skynet(first + 9 * each, each); });
  std::uint64_t sum = 0;
  for (const auto s : sums) sum += s;
  return sum;
}

std::uint64_t queens(bench::board placed, int row, int n) {
  if (row == n) return 1;
  std::array<std::uint64_t, bench::queens_max> found{};
  tbb::task_group children;
  for (char column = 0; column < n; column++) {
    if (!bench::fits(placed, row, column)) continue;
    placed[static_cast<std::size_t>(row)] = column;
    children.run(
        [=, &found] { found[static_cast<std::size_t>(column)] = queens(placed, row + 1, n); });
  }
  children.wait();
  std::uint64_t sum = 0;
  for (const auto f : found) sum += f;
  return sum;
}

void multiply(const int* a, const int* b, int* c, std::size_t n, std::size_t stride) {
  if (n <= bench::matmul_leaf) return bench::multiply_block(a, b, c, n, stride);
  const auto h = n / 2, down = h * stride;
  for (const std::size_t half : {0, 1}) {  // the second half adds to what the first one wrote
    const int* const left = a + half * h;
    const int* const top = b + half * down;
    tbb::parallel_invoke([=] { multiply(left, top, c, h, stride); },
                         [=] { multiply(left, top + h, c + h, h, stride); },
                         [=] { multiply(left + down, top, c + down, h, stride); },
                         [=] { multiply(left + down, top + h, c + down + h, h, stride); });
  }
}

void children(std::size_t n) {
  tbb::task_group all;
  for (std::size_t i = 0; i < n; i++) all.run([] {});
  all.wait();
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"fib", "skynet", "nqueens", "matmul", "children"});
  const auto n = o.n;
  // The control counts the main thread, which works in the arena, too.
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, o.workers);
  tbb::task_arena arena(static_cast<int>(o.workers));
  bench::matrices m(o.what == "matmul" ? n : 1);
  bench::figures figures;
  for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
    m.clear();
    std::uint64_t result = 0;
    const auto begin = bench::now_ns();
    arena.execute([&] {
      if (o.what == "fib") result = fib(static_cast<unsigned>(n));
      if (o.what == "skynet") result = skynet(0, n);
      if (o.what == "nqueens") result = queens({}, 0, static_cast<int>(n));
      if (o.what == "matmul") multiply(m.a.data(), m.b.data(), m.c.data(), n, n);
      if (o.what == "children") children(n);
    });
    const auto ns = static_cast<double>(bench::now_ns() - begin);
    if (o.what == "fib" && result != bench::fib_value(static_cast<unsigned>(n)))
      bench::wrong("fib: %lu", result);
    if (o.what == "skynet") bench::check_skynet(result, n);
    if (o.what == "nqueens") bench::check_queens(result, n);
    if (o.what == "matmul") m.check();
    if (i == 0) continue;
    if (o.what == "fib") figures.add("ns", ns / bench::fib_calls(static_cast<unsigned>(n)));
    if (o.what == "skynet") figures.add("ns", ns / bench::skynet_tasks(n));
    if (o.what == "children") figures.add("ns", ns / n);
    if (o.what == "nqueens" || o.what == "matmul") figures.add("ms", ns / 1e6);
  }
  if (o.what == "skynet") figures.add("peak_mb", bench::peak_mb());
  figures.print();
}
