// gcc: error "use of deleted function"  clang: error "deleted function"
// G1: moved() takes only what has a name, on every compiler: what builds with one builds with both.
#include "weft/base/safe_callable.hpp"

void f() { (void)weft::moved([] {}); }
