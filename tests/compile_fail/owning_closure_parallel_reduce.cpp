// gcc: name it first
// clang: accepted
// GCC 12 destroys an owning closure that is made in a co_await expression twice.
#include "common.hpp"

#include <functional>
#include <vector>

#ifdef WRONG
weft::task<> f(std::string s) {
  std::vector<int> v(3);
  const auto sum = co_await weft::parallel_reduce(
      v, 0, std::plus<>(), [s](int n) { return n + static_cast<int>(s.size()); });
  use(sum);
}
#else
weft::task<> f(std::string s) {
  auto named = [s](int n) { return n + static_cast<int>(s.size()); };
  std::vector<int> v(3);
  const auto sum = co_await weft::parallel_reduce(v, 0, std::plus<>(), named);
  use(sum);
}
#endif
