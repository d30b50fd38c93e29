// refused: a weft::generator cannot co_await
// A generator runs inside its consumer's ++ and never waits.
#include "common.hpp"

#ifdef WRONG
weft::generator<int> f() {
  co_await weft::yield_now();
  co_yield 1;
}
#else
weft::generator<int> f() { co_yield 1; }
#endif
