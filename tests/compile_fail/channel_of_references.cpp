// refused: a channel of references: send a pointer
// A message is a value.
#include "common.hpp"

#ifdef WRONG
void f() { const auto ends = weft::channel<int&>(1); }
#else
void f() { const auto ends = weft::channel<int*>(1); }
#endif
