// gcc: accepted
// clang: it may have failed: look at the result
// The same of a timeout: it may be over.
#include "common.hpp"

#ifdef WRONG
weft::task<> f() { co_await weft::timeout(1s, answer(1)); }
#else
weft::task<> f() {
  const auto n = co_await weft::timeout(1s, answer(1));
  if (n) use(*n);
}
#endif
