// gcc: error  clang: error
// A stream<T&> gives what lives elsewhere: a temporary is none.
#include "weft/together/stream.hpp"

weft::stream<int&> f() { co_yield 1; }
