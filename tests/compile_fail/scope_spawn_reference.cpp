// refused: pass std::ref\(x\) where a scope guarantees the lifetime of x
// spawn() copies its arguments, so a function that writes through a reference would write to the copy.
#include "common.hpp"

#ifdef WRONG
void f(weft::scope_ref s) {
  int n = 0;
  s.spawn(by_reference, n);
}
#else
void f(weft::scope_ref s) {
  static int n = 0;
  s.spawn(by_reference, std::ref(n));
}
#endif
