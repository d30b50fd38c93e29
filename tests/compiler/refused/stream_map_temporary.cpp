// gcc: error "safe_in_await"  clang: ok
// G1 in the library: an operator refuses a temporary closure that owns something.
#include <string>
#include <vector>

#include "weft/together/stream.hpp"

weft::stream<int> numbers() { co_yield 1; }

weft::task<std::size_t> f(std::string s) {
  const auto all = co_await numbers()
                       .map([s](int i) { return s.size() + static_cast<std::size_t>(i); })
                       .collect();
  co_return all.size();
}
