// refused: what was not sent is in it
// A channel gives back what it does not take.
#include "common.hpp"

#ifdef WRONG
void f(weft::sender<int> to) { to.try_send(1); }
#else
void f(weft::sender<int> to) {
  const auto sent = to.try_send(1);
  if (!sent) use(0);
}
#endif
