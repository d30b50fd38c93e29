// gcc: name it first
// clang: accepted
// GCC 12 destroys an owning closure that is made in a co_await expression twice.
#include "common.hpp"

#include <functional>
#include <vector>

#ifdef WRONG
weft::task<> f(std::string s) {
  std::vector<int> v(3);
  const auto first =
      co_await weft::race(v, [s](int n) { return answer(n + static_cast<int>(s.size())); });
  use(first.index);
}
#else
weft::task<> f(std::string s) {
  auto named = [s](int n) { return answer(n + static_cast<int>(s.size())); };
  std::vector<int> v(3);
  const auto first = co_await weft::race(v, named);
  use(first.index);
}
#endif
