// refused: ok\(\) is for what gives a weft::result
// ok() takes a result apart.
#include "common.hpp"

#ifdef WRONG
weft::task<> f() {
  const int n = co_await weft::ok(answer(1));
  use(n);
}
#else
weft::task<> f() {
  const int n = co_await answer(1);
  use(n);
}
#endif
