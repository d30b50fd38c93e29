// refused: pass std::ref\(x\) where a scope guarantees the lifetime of x
// spawn() copies its arguments, so a function that writes through a reference would write to the copy.
#include "common.hpp"

#ifdef WRONG
void f(weft::runtime& rt) {
  int n = 0;
  rt.spawn(by_reference, n).detach();
}
#else
void f(weft::runtime& rt) {
  static int n = 0;
  rt.spawn(by_reference, std::ref(n)).detach();
}
#endif
