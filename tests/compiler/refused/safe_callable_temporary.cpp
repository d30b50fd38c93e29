// gcc: error "name it first"  clang: ok
// G1 at compile time: a temporary closure that owns something.
#include <string>

#include "weft/base/safe_callable.hpp"

template <class F>
void awaits(F&&) {
  static_assert(weft::safe_in_await<F>, WEFT_SAFE_IN_AWAIT_MESSAGE);
}

void f(std::string s) {
  awaits([s] { return s.size(); });
}
