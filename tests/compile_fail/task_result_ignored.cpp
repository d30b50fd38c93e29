// gcc: accepted
// clang: it may have failed: look at the result
// The same of a task that gives a result.
#include "common.hpp"

weft::task<weft::result<int>> load() { co_return 1; }

#ifdef WRONG
weft::task<> f() { co_await load(); }
#else
weft::task<> f() {
  const int n = co_await weft::ok(load());
  use(n);
}
#endif
