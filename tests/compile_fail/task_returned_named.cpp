// refused: it stays where it was made
// A task that has a name would be moved out: return the call.
#include "common.hpp"

#ifdef WRONG
weft::task<int> f() {
  auto t = answer(1);
  return t;
}
#else
weft::task<int> f() { return answer(1); }
#endif
