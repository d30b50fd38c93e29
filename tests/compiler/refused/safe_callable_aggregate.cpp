// gcc: error "constraints not satisfied"  clang: ok
// G2 at compile time: a functor without a constructor.
#include <string>

#include "weft/base/safe_callable.hpp"

template <weft::safe_in_await F>
void awaits(F&&) {}

struct functor {
  std::string s;
  auto operator()() const { return s.size(); }
};

void f(std::string s) { awaits(functor{s}); }
