// fork_join: recursion that forks, and structured spawn. README.md says what each measures.
#include <ranges>
#include <weft/weft.hpp>

#include "work.hpp"

#if __has_include(<weft/together/fork_join.hpp>)
#include <weft/together/fork_join.hpp>
#define HAS_FORK_JOIN 1
#else
#define HAS_FORK_JOIN 0
#endif
#if __has_include(<weft/together/scope.hpp>)
#include <weft/together/scope.hpp>
#define HAS_SCOPE 1
#else
#define HAS_SCOPE 0
#endif

namespace {

#if HAS_FORK_JOIN

weft::task<std::uint64_t> fib(unsigned n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await weft::fork_join([n] { return fib(n - 1); }, [n] { return fib(n - 2); });
  co_return a + b;
}

weft::task<std::uint64_t> skynet(std::uint64_t first, std::uint64_t leaves);

template <std::size_t... I>
weft::task<std::uint64_t> skynet_node(std::uint64_t first, std::uint64_t each,
                                      std::index_sequence<I...>) {
  const auto sums = co_await weft::fork_join([=] { return skynet(first + I * each, each); }...);
  co_return (std::get<I>(sums) + ...);
}

weft::task<std::uint64_t> skynet_leaf(std::uint64_t number) { co_return number; }

weft::task<std::uint64_t> skynet(std::uint64_t first, std::uint64_t leaves) {
  if (leaves == 1) return skynet_leaf(first);
  return skynet_node(first, leaves / 10, std::make_index_sequence<10>());
}

using columns = std::array<char, bench::queens_max>;

weft::task<std::uint64_t> queens(bench::board placed, int row, int n);
weft::task<std::uint64_t> queens_leaf(std::uint64_t found) { co_return found; }

/// As many branches as the row has safe places.
template <std::size_t... I>
weft::task<std::uint64_t> queens_node(bench::board placed, int row, int n, columns safe,
                                      std::index_sequence<I...>) {
  const auto branch = [&](char column) {
    bench::board with = placed;
    with[static_cast<std::size_t>(row)] = column;
    return queens(with, row + 1, n);
  };
  const auto found = co_await weft::fork_join([&] { return branch(safe[I]); }...);
  co_return (std::get<I>(found) + ...);
}

template <std::size_t Count = 1>
weft::task<std::uint64_t> queens_of(std::size_t count, const bench::board& placed, int row, int n,
                                    const columns& safe) {
  if constexpr (Count < bench::queens_max)
    if (count != Count) return queens_of<Count + 1>(count, placed, row, n, safe);
  return queens_node(placed, row, n, safe, std::make_index_sequence<Count>());
}

weft::task<std::uint64_t> queens(bench::board placed, int row, int n) {
  if (row == n) return queens_leaf(1);
  columns safe;
  std::size_t count = 0;
  for (char column = 0; column < n; column++)
    if (bench::fits(placed, row, column)) safe[count++] = column;
  if (count == 0) return queens_leaf(0);
  return queens_of(count, placed, row, n, safe);
}

weft::task<> multiply(const int* a, const int* b, int* c, std::size_t n, std::size_t stride) {
  if (n <= bench::matmul_leaf) {
    bench::multiply_block(a, b, c, n, stride);
    co_return;
  }
  const auto h = n / 2, down = h * stride;
  for (const std::size_t half : {0, 1}) {  // the second half adds to what the first one wrote
    const int* const left = a + half * h;
    const int* const top = b + half * down;
    co_await weft::fork_join(
        [=] { return multiply(left, top, c, h, stride); },
        [=] { return multiply(left, top + h, c + h, h, stride); },
        [=] { return multiply(left + down, top, c + down, h, stride); },
        [=] { return multiply(left + down, top + h, c + down + h, h, stride); });
  }
}

weft::task<bench::figures> measure(bench::options o) {
  const auto n = o.n;
  bench::matrices m(o.what == "matmul" ? n : 1);
  bench::figures figures;
  for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
    m.clear();
    std::uint64_t result = 0;
    const auto begin = bench::now_ns();
    if (o.what == "fib")
      result = co_await fib(static_cast<unsigned>(n));
    else if (o.what == "skynet")
      result = co_await skynet(0, n);
    else if (o.what == "nqueens")
      result = co_await queens({}, 0, static_cast<int>(n));
    else
      co_await multiply(m.a.data(), m.b.data(), m.c.data(), n, n);
    const auto ns = static_cast<double>(bench::now_ns() - begin);
    if (o.what == "fib" && result != bench::fib_value(static_cast<unsigned>(n)))
      bench::wrong("fib: %lu", result);
    if (o.what == "skynet") bench::check_skynet(result, n);
    if (o.what == "nqueens") bench::check_queens(result, n);
    if (o.what == "matmul") m.check();
    if (i == 0) continue;
    if (o.what == "fib") figures.add("ns", ns / bench::fib_calls(static_cast<unsigned>(n)));
    if (o.what == "skynet") figures.add("ns", ns / bench::skynet_tasks(n));
    if (o.what == "nqueens" || o.what == "matmul") figures.add("ms", ns / 1e6);
  }
  if (o.what == "skynet") figures.add("peak_mb", bench::peak_mb());
  co_return figures;
}

#else
weft::task<bench::figures> measure(bench::options) { bench::not_built("weft::fork_join"); }
#endif

weft::task<> empty() { co_return; }

#if HAS_SCOPE
weft::task<bench::figures> measure_children(bench::options o) {
  bench::figures figures;
  for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
    const auto begin = bench::now_ns();
    const auto body = [n = o.n](weft::scope_ref s) -> weft::task<> {
      for (std::size_t c = 0; c < n; c++) s.spawn(empty);
      co_return;
    };
    co_await weft::scope(body);
    if (i != 0) figures.add_ns_each(begin, o.n);
  }
  co_return figures;
}
#else
weft::task<bench::figures> measure_children(bench::options) { bench::not_built("weft::scope"); }
#endif

/// The same children by what takes a range: a job each (when_all), or a call each, in pieces that may
/// be stolen (parallel_for).
weft::task<bench::figures> measure_range(bench::options o) {
  bench::figures figures;
  const auto range = std::views::iota(std::size_t{0}, o.n);
  const auto child = [](std::size_t) { return empty(); };
  for (unsigned i = 0; i <= o.repeat; i++) {  // the first one warms up
    const auto begin = bench::now_ns();
    if (o.what == "when_all")
      co_await weft::when_all(range, child);
    else
      co_await weft::parallel_for(range, child);
    if (i != 0) figures.add_ns_each(begin, o.n);
  }
  co_return figures;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(
      argc, argv, {"fib", "skynet", "nqueens", "matmul", "children", "when_all", "parallel_for"});
  weft::runtime rt({.workers = o.workers});
  if (o.what == "children")
    rt.block_on(rt.spawn(measure_children, o)).print();
  else if (o.what == "when_all" || o.what == "parallel_for")
    rt.block_on(rt.spawn(measure_range, o)).print();
  else
    rt.block_on(rt.spawn(measure, o)).print();
}
