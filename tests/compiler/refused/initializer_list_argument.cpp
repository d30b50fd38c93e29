// gcc: error "array used as initializer"  clang: ok
// G9: nothing in the list is awaited, but the call it is given to is.
#include <string>
#include <vector>

#include "../lifetime.hpp"

using namespace conformance;

task<int> join(std::vector<object> v);

task<void> f() {
  const int r = co_await join({object(1), object(2)});
  expect(r == 1, "");
}
