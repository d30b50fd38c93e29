// refused: pass std::ref\(x\) where a scope guarantees the lifetime of x
// The same behind options.
#include "common.hpp"

#ifdef WRONG
void f() {
  int n = 0;
  weft::spawn(weft::spawn_options{.name = "n"}, by_reference, n).detach();
}
#else
void f() {
  static int n = 0;
  weft::spawn(weft::spawn_options{.name = "n"}, by_reference, std::ref(n)).detach();
}
#endif
