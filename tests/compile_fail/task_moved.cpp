// refused: it stays where it was made
// A task cannot be moved out of the scope that made it.
#include "common.hpp"

#ifdef WRONG
void f() {
  auto t = answer(1);
  auto moved = std::move(t);
}
#else
weft::task<> f() {
  const int n = co_await answer(1);
  use(n);
}
#endif
