// refused: co_await it where it is made, or hand function and arguments to spawn
// A task that nobody awaits never runs.
#include "common.hpp"

#ifdef WRONG
weft::task<> f() {
  answer(1);
  co_return;
}
#else
weft::task<> f() {
  const int n = co_await answer(1);
  use(n);
}
#endif
