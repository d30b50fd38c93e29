// work: the arithmetic of the fork-join benchmarks, the same code for everybody, and what must come
// out of it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "measure.hpp"

namespace bench {

// --- fib ---------------------------------------------------------------------------------------------

constexpr std::uint64_t fib_value(unsigned n) {
  std::uint64_t a = 0, b = 1;
  while (n-- != 0) {
    const auto next = a + b;
    a = b;
    b = next;
  }
  return a;
}

/// How many calls the recursion makes.
constexpr std::size_t fib_calls(unsigned n) { return 2 * fib_value(n + 1) - 1; }

// --- skynet: a tree of ten children a node; the leaves are numbered, and added up ----------------------

constexpr std::size_t skynet_tasks(std::size_t leaves) {
  std::size_t all = 0;
  for (; leaves != 0; leaves /= 10) all += leaves;
  return all;
}

inline void check_skynet(std::uint64_t sum, std::uint64_t leaves) {
  const auto expected = leaves * (leaves - 1) / 2;
  if (sum != expected) wrong("skynet %lu: %lu", expected, sum);
}

// --- nqueens: a task for each safe place of the next row's queen ---------------------------------------

constexpr std::size_t queens_max = 14;
using board = std::array<char, queens_max>;  // the column of each row's queen

inline bool fits(const board& queens, int row, char column) {
  for (int above = 0; above < row; above++) {
    const int distance = row - above;
    const char other = queens[static_cast<std::size_t>(above)];
    if (other == column || other - column == distance || column - other == distance) return false;
  }
  return true;
}

inline void check_queens(std::uint64_t found, std::size_t n) {
  constexpr std::uint64_t known[queens_max + 1] = {1,  1,   0,   0,    2,     10,    4,     40,
                                                   92, 352, 724, 2680, 14200, 73712, 365596};
  if (found != known[n]) wrong("nqueens(%zu): %lu", n, found);
}

// --- matmul: quarters, twice, down to 32 x 32 ---------------------------------------------------------

constexpr std::size_t matmul_leaf = 32;

/// c += a * b for n x n blocks of matrices with `stride` columns. Never inlined: in a coroutine its
/// arguments would live in the frame, and Clang would not vectorise it.
[[gnu::noinline]] inline void multiply_block(const int* a, const int* b, int* c, std::size_t n,
                                             std::size_t stride) {
  for (std::size_t i = 0; i < n; i++)
    for (std::size_t k = 0; k < n; k++)
      for (std::size_t j = 0; j < n; j++)
        c[i * stride + j] += a[i * stride + k] * b[k * stride + j];
}

struct matrices {
  std::size_t n;
  std::vector<int> a, b, c;

  explicit matrices(std::size_t size) : n(size), a(n * n), b(n * n), c(n * n) {
    for (std::size_t i = 0; i < n * n; i++) {
      a[i] = static_cast<int>(mixed(i) % 7);
      b[i] = static_cast<int>(mixed(i + n * n) % 5);
    }
  }
  void clear() { std::fill(c.begin(), c.end(), 0); }

  /// By a vector: (ab)x = a(bx) costs n^2 and sees nearly every wrong cell.
  void check() const {
    std::vector<std::int64_t> x(n), bx(n);
    for (std::size_t i = 0; i < n; i++) x[i] = static_cast<std::int64_t>(mixed(i) % 1000) + 1;
    for (std::size_t i = 0; i < n; i++)
      for (std::size_t j = 0; j < n; j++) bx[i] += b[i * n + j] * x[j];
    for (std::size_t i = 0; i < n; i++) {
      std::int64_t cx = 0, abx = 0;
      for (std::size_t j = 0; j < n; j++) {
        cx += c[i * n + j] * x[j];
        abx += a[i * n + j] * bx[j];
      }
      if (cx != abx) wrong("matmul(%zu), row %zu", n, i);
    }
  }
};

}  // namespace bench
