// matmul N [THREADS]: an N x N product of integers by quarters, in two steps so that no two branches
// write the same cell; blocks of 32 x 32 are multiplied in place.
#include <weft/together/fork_join.hpp>

#include <vector>

#include "entry.hpp"

namespace {

/// Never inlined: in a coroutine the arguments live in the frame, and Clang does not vectorise it.
[[gnu::noinline]] void multiply_block(const int* a, const int* b, int* c, std::size_t n,
                                      std::size_t stride) {
  for (std::size_t i = 0; i < n; i++)
    for (std::size_t k = 0; k < n; k++)
      for (std::size_t j = 0; j < n; j++)
        c[i * stride + j] += a[i * stride + k] * b[k * stride + j];
}

weft::task<> multiply(const int* a, const int* b, int* c, std::size_t n, std::size_t stride) {
  if (n <= 32) {
    multiply_block(a, b, c, n, stride);
    co_return;
  }
  const auto h = n / 2, down = h * stride;
  for (const std::size_t step : {0, 1}) {
    const int* const left = a + step * h;
    const int* const top = b + step * down;
    co_await weft::fork_join(
        [=] { return multiply(left, top, c, h, stride); },
        [=] { return multiply(left, top + h, c + h, h, stride); },
        [=] { return multiply(left + down, top, c + down, h, stride); },
        [=] { return multiply(left + down, top + h, c + down + h, h, stride); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto n = entry::argument(argc, argv, 1, 2048);
  const auto threads = entry::threads(argc, argv, 2);
  if ((n & (n - 1)) != 0) {
    std::fprintf(stderr, "matmul: the size is a power of two\n");
    return 2;
  }
  weft::runtime rt({.workers = static_cast<unsigned>(threads)});
  std::printf("threads: %zu\n", threads);
  long long us = 0;
  for (int round = 0; round < 2; round++) {  // the first one warms up
    const auto begin = entry::clock::now();  // making the matrices counts, as in the other entries
    const std::vector<int> a(n * n, 1), b(n * n, 1);
    std::vector<int> c(n * n, 0);
    rt.block_on(rt.spawn(multiply, a.data(), b.data(), c.data(), n, n));
    us = entry::us_since(begin);
    for (const int cell : c) entry::expect(static_cast<std::uint64_t>(cell), n);
  }
  std::printf("runs:\n  - matrix_size: %zu\n    duration: %lld us\n    max_rss: %ld KiB\n", n, us,
              entry::peak_kib());
}
