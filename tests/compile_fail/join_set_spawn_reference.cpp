// refused: pass std::ref\(x\) where a scope guarantees the lifetime of x
// spawn() copies its arguments, so a function that writes through a reference would write to the copy.
#include "common.hpp"

#ifdef WRONG
void f(weft::join_set<void>& set) {
  int n = 0;
  set.spawn(by_reference, n);
}
#else
void f(weft::join_set<void>& set) {
  static int n = 0;
  set.spawn(by_reference, std::ref(n));
}
#endif
