// refused: f returns a task or another awaitable; for plain calls there is parallel_for
// when_all() is for what waits.
#include "common.hpp"

#include <vector>

#ifdef WRONG
weft::task<> f(std::vector<int>& v) {
  const auto got = co_await weft::when_all(v, [](int n) { return n; });
  use(got);
}
#else
weft::task<> f(std::vector<int>& v) {
  const auto got = co_await weft::when_all(v, [](int n) { return answer(n); });
  use(got);
}
#endif
