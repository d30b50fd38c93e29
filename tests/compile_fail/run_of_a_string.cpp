// refused: the main task gives nothing, an int, or a weft::result
// A string is no exit code.
#include "common.hpp"

weft::task<std::string> text() { co_return std::string(); }

#ifdef WRONG
int f() { return weft::run(text()); }
#else
int f() { return weft::run(answer(0)); }
#endif
