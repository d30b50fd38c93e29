// gcc: name it first
// clang: accepted
// GCC 12 destroys an owning closure that is made in a co_await expression twice.
#include "common.hpp"

#ifdef WRONG
weft::task<> f(std::string s) {
  weft::once first;
  co_await first.call([s] { use(s); });
}
#else
weft::task<> f(std::string s) {
  auto named = [s] { use(s); };
  weft::once first;
  co_await first.call(named);
}
#endif
