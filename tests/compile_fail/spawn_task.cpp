// refused: write spawn\(f, x\), not spawn\(f\(x\)\)
// A job makes its task itself.
#include "common.hpp"

#ifdef WRONG
void f() { weft::spawn(answer(1)).detach(); }
#else
void f() { weft::spawn(answer, 1).detach(); }
#endif
