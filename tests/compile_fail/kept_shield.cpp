// gcc: it borrows: co_await it where it is made
// flags: -Wno-dangling
// clang: it borrows: co_await it where it is made
// A combinator holds its operands by reference; kept in a variable it would outlive them.
#include "common.hpp"

#ifdef WRONG
weft::task<> f() {
  auto kept = weft::shield(answer(1));
  const auto got = co_await kept;
  use(got);
}
#else
weft::task<> f() {
  const auto got = co_await weft::shield(answer(1));
  use(got);
}
#endif
