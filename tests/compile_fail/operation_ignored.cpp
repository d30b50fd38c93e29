// refused: co_await it
// An operation that nobody awaits never begins.
#include "common.hpp"

#ifdef WRONG
weft::task<> f() {
  weft::sleep_for(1s);
  co_return;
}
#else
weft::task<> f() { co_await weft::sleep_for(1s); }
#endif
