// gcc: error "array used as initializer"  clang: ok
// G9: naming the container's type does not help; it must be a variable of its own.
#include <vector>

#include "../lifetime.hpp"

using namespace conformance;

task<int> join(std::vector<object> v);

task<void> f() {
  const int r = co_await join(std::vector<object>{object(1), object(2)});
  expect(r == 1, "");
}
