// gcc: error "array used as initializer"  clang: ok
// G9: an initializer_list with an awaited element.
#include <vector>

#include "../lifetime.hpp"

using namespace conformance;

task<object> make(int i);

task<void> f() {
  std::vector<object> v{co_await make(1), object(2)};
  expect(v[0].get() == 1, "");
}
