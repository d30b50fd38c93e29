// refused: a channel of nothing: send an empty struct
// The same of void.
#include "common.hpp"

#ifdef WRONG
void f() { const auto ends = weft::channel<void>(1); }
#else
class tick {};
void f() { const auto ends = weft::channel<tick>(1); }
#endif
