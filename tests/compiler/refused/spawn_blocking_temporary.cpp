// gcc: error "name it first"  clang: ok
// G1 in the library: an awaitable that holds its callable refuses a temporary closure that owns something.
#include <string>

#include "weft/runtime/blocking.hpp"

weft::task<std::size_t> f(std::string s) {
  const std::size_t n = co_await weft::spawn_blocking([s] { return s.size(); });
  co_return n;
}
