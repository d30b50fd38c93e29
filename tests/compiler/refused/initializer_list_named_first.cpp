// gcc: ok  clang: ok
// G9, the way to write it: the container is a variable before the await.
#include <vector>

#include "../lifetime.hpp"

using namespace conformance;

task<int> join(std::vector<object> v);

task<void> f() {
  std::vector<object> v{object(1), object(2)};
  const int r = co_await join(std::move(v));
  expect(r == 1, "");
}
