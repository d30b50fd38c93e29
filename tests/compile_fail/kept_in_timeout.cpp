// gcc: what a combinator gives borrows its operands, and these are gone
// flags: -Wno-dangling
// clang: what a combinator gives borrows
// Nor may it be kept and handed to another one.
#include "common.hpp"

#ifdef WRONG
weft::task<> f() {
  auto both = weft::when_all(answer(1), answer(2));
  const auto got = co_await weft::timeout(1s, both);
  use(got);
}
#else
weft::task<> f() {
  const auto got = co_await weft::timeout(1s, weft::when_all(answer(1), answer(2)));
  use(got);
}
#endif
