// refused: co_await it
// lock() alone locks nothing.
#include "common.hpp"

#ifdef WRONG
weft::task<> f(weft::mutex& m) {
  m.lock();
  co_return;
}
#else
weft::task<> f(weft::mutex& m) { const auto held = co_await m.lock(); }
#endif
