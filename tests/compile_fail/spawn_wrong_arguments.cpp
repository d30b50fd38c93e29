// refused: f cannot be called with copies of these arguments
// Too many arguments.
#include "common.hpp"

#ifdef WRONG
void f() { weft::spawn(answer, 1, 2).detach(); }
#else
void f() { weft::spawn(answer, 1).detach(); }
#endif
