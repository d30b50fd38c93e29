// refused: the operands are awaitables
// What is no awaitable cannot be waited for.
#include "common.hpp"

#ifdef WRONG
weft::task<> f() {
  const auto got = co_await weft::when_all(1, 2);
  use(got);
}
#else
weft::task<> f() {
  const auto got = co_await weft::when_all(answer(1), answer(2));
  use(got);
}
#endif
