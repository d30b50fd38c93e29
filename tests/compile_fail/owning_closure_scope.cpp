// gcc: name it first
// clang: accepted
// GCC 12 destroys an owning closure that is made in a co_await expression twice.
#include "common.hpp"

#ifdef WRONG
weft::task<> f(std::string s) {
  co_await weft::scope([s](weft::scope_ref) -> weft::task<> {
    use(s);
    co_return;
  });
}
#else
weft::task<> f(std::string s) {
  auto named = [s](weft::scope_ref) -> weft::task<> {
    use(s);
    co_return;
  };
  co_await weft::scope(named);
}
#endif
