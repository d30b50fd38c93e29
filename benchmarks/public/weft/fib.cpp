// fib N [THREADS]: the recursion, with a fork at every call.
#include <weft/together/fork_join.hpp>

#include "entry.hpp"

namespace {

weft::task<std::uint64_t> fib(std::uint64_t n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await weft::fork_join([n] { return fib(n - 1); }, [n] { return fib(n - 2); });
  co_return a + b;
}

std::uint64_t by_adding(std::uint64_t n) {
  std::uint64_t a = 0, b = 1;
  for (; n != 0; n--) b += std::exchange(a, b);
  return a;
}

weft::task<> checked(std::uint64_t n) {
  const auto value = co_await fib(n);
  entry::expect(value, by_adding(n));
}

}  // namespace

int main(int argc, char** argv) {
  const auto n = entry::argument(argc, argv, 1, 39);
  entry::measure(
      entry::threads(argc, argv, 2), [] { return checked(30); }, [n] { return checked(n); });
}
