// gcc: name it first
// clang: accepted
// GCC 12 destroys an owning closure that is made in a co_await expression twice.
#include "common.hpp"

#ifdef WRONG
weft::task<> f(std::string s) {
  weft::mutex m;
  weft::condition_variable changed;
  auto held = co_await m.lock();
  co_await changed.wait(held, [s] { return s.empty(); });
}
#else
weft::task<> f(std::string s) {
  auto named = [s] { return s.empty(); };
  weft::mutex m;
  weft::condition_variable changed;
  auto held = co_await m.lock();
  co_await changed.wait(held, named);
}
#endif
