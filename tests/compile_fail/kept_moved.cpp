// flags: -Wno-dangling
// refused: it borrows: co_await it where it is made|use of deleted
// Nor moved.
#include "common.hpp"

#ifdef WRONG
weft::task<> f() {
  auto kept = weft::timeout(1s, answer(1));
  auto moved = std::move(kept);
  co_return;
}
#else
weft::task<> f() {
  const auto n = co_await weft::timeout(1s, answer(1));
  use(n);
}
#endif
