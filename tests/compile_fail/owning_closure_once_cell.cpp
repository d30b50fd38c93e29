// gcc: name it first
// clang: accepted
// GCC 12 destroys an owning closure that is made in a co_await expression twice.
#include "common.hpp"

#ifdef WRONG
weft::task<> f(std::string s) {
  weft::once_cell<std::size_t> cell;
  const auto n = co_await cell.get_or_init([s] { return s.size(); });
  use(n);
}
#else
weft::task<> f(std::string s) {
  auto named = [s] { return s.size(); };
  weft::once_cell<std::size_t> cell;
  const auto n = co_await cell.get_or_init(named);
  use(n);
}
#endif
