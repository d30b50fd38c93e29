// gcc: error  clang: error
// An operator takes the stream it is called on: a name has to be moved.
#include "weft/together/stream.hpp"

weft::stream<int> numbers() { co_yield 1; }

auto f() {
  auto s = numbers();
  return s.take(1);
}
