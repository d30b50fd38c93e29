// gcc: error "use of deleted function"  clang: error "deleted function"
// G1: moved() is for what has a name, on every compiler: code that builds with one builds with both.
#include "weft/base/safe_callable.hpp"

void f() { (void)weft::moved([] {}); }
