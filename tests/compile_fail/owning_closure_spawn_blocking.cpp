// gcc: name it first
// clang: accepted
// GCC 12 destroys an owning closure that is made in a co_await expression twice.
#include "common.hpp"

#ifdef WRONG
weft::task<> f(std::string s) {
  const auto n = co_await weft::spawn_blocking([s] { return s.size(); });
  use(n);
}
#else
weft::task<> f(std::string s) {
  auto named = [s] { return s.size(); };
  const auto n = co_await weft::spawn_blocking(named);
  use(n);
}
#endif
