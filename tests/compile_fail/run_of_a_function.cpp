// refused: run\(f\(\)\), not run\(f\)
// run() takes the task.
#include "common.hpp"

weft::task<> program() { co_return; }

#ifdef WRONG
int f() { return weft::run(program); }
#else
int f() { return weft::run(program()); }
#endif
