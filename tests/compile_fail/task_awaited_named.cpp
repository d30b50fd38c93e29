// refused: co_await it where it is made|await it where it is made
// A task is awaited in the expression that makes it.
#include "common.hpp"

#ifdef WRONG
weft::task<> f() {
  auto t = answer(1);
  const int n = co_await t;
  use(n);
}
#else
weft::task<> f() {
  const int n = co_await answer(1);
  use(n);
}
#endif
