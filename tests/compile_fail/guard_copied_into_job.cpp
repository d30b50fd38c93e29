// refused: spawn\(\) copies the function and its arguments, and one of these cannot be copied
// A lock has one holder: a job gets the guard by a move, after which the maker holds nothing.
#include "common.hpp"

weft::task<> with_lock(weft::mutex_guard) { co_return; }

#ifdef WRONG
weft::task<> f(weft::mutex& m) {
  auto held = co_await m.lock();
  weft::spawn(with_lock, held).detach();
}
#else
weft::task<> f(weft::mutex& m) {
  auto held = co_await m.lock();
  weft::spawn(with_lock, std::move(held)).detach();
}
#endif
