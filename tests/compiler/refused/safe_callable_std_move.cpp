// gcc: error "constraints not satisfied"  clang: ok
// The price of G1 at compile time: this would be right, but its type is that of a temporary.
#include <string>
#include <utility>

#include "weft/base/safe_callable.hpp"

template <weft::safe_in_await F>
void awaits(F&&) {}

void f(std::string s) {
  auto g = [s] { return s.size(); };
  awaits(std::move(g));
}
