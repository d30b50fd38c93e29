// refused: a channel of references: send a pointer
// A message is a value.
#include "common.hpp"

#ifdef WRONG
void f() { const auto ends = weft::unbounded<int&>(); }
#else
void f() { const auto ends = weft::unbounded<int*>(); }
#endif
