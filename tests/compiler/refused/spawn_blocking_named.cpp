// gcc: ok  clang: ok
// What to write instead: the closure has a name.
#include <string>

#include "weft/runtime/blocking.hpp"

weft::task<std::size_t> f(std::string s) {
  auto measure = [s] { return s.size(); };
  const std::size_t n = co_await weft::spawn_blocking(measure);
  const std::size_t m = co_await weft::spawn_blocking(weft::moved(measure));
  co_return n + m;
}
