// refused: an operand that has a name
// A task with a name would be awaited twice, or not where it was made.
#include "common.hpp"

#ifdef WRONG
weft::task<> f() {
  auto t = answer(1);
  const auto got = co_await weft::when_all(t, answer(2));
  use(got);
}
#else
weft::task<> f() {
  const auto got = co_await weft::when_all(answer(1), answer(2));
  use(got);
}
#endif
