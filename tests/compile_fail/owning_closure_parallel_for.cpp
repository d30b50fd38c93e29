// gcc: name it first
// clang: accepted
// GCC 12 destroys an owning closure that is made in a co_await expression twice.
#include "common.hpp"

#include <functional>
#include <vector>

#ifdef WRONG
weft::task<> f(std::string s) {
  std::vector<int> v(3);
  co_await weft::parallel_for(v, [s](int) { use(s); });
}
#else
weft::task<> f(std::string s) {
  auto named = [s](int) { use(s); };
  std::vector<int> v(3);
  co_await weft::parallel_for(v, named);
}
#endif
