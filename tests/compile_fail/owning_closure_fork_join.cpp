// gcc: name it first
// clang: accepted
// GCC 12 destroys an owning closure that is made in a co_await expression twice.
#include "common.hpp"

#ifdef WRONG
weft::task<> f(std::string s) {
  const auto both = co_await weft::fork_join([s] { return s.size(); }, [] { return 1; });
  use(both);
}
#else
weft::task<> f(std::string s) {
  auto named = [s] { return s.size(); };
  const auto both = co_await weft::fork_join(named, [] { return 1; });
  use(both);
}
#endif
