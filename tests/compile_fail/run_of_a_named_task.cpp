// refused: it stays where it was made
// The main task, too, is made where it is run.
#include "common.hpp"

#ifdef WRONG
int f() {
  auto t = answer(0);
  return weft::run(t);
}
#else
int f() { return weft::run(answer(0)); }
#endif
