// refused: the body takes a scope_ref and returns a task
// The body of a scope is a coroutine.
#include "common.hpp"

#ifdef WRONG
weft::task<> f() {
  co_await weft::scope([](weft::scope_ref) {});
}
#else
weft::task<> f() {
  co_await weft::scope([](weft::scope_ref) -> weft::task<> { co_return; });
}
#endif
